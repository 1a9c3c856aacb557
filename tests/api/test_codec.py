"""Decoding of lines and pages to records; undecodable objects are distinguished from malformed lines."""

from __future__ import annotations

import json
import traceback
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpf_async._api.codec import Codec, Malformed, ObjectState, StatusEvent, Undecodable, decode_model
from dpf_async._api.records import DPUNodeRecord, DPURecord, Envelope, MaintenanceRecord
from dpf_async.errors import DecodeError
from dpf_async.models import DPU, DPUNode, DPUNodeMaintenance, Secret
from tests.support.objects import Obj, dpu, event, maintenance, node
from tests.support.scripted import listing, status

CODEC = Codec(DPU)


def page_of(*items: object, **metadata: object) -> bytes:
    return json.dumps({"metadata": {"resourceVersion": "100", **metadata}, "items": items}).encode()


def read(line: bytes) -> ObjectState[DPU]:
    envelope = CODEC.read(line)
    assert isinstance(envelope, Envelope)
    return CODEC.state(envelope.object, line)


def test_a_line_is_decoded_to_a_state_that_keeps_its_bytes() -> None:
    wire = dpu("a", 101, "Ready", labels={"rack": "1"})

    state = read(event("MODIFIED", wire))

    assert (state.name, state.uid, state.resource_version, state.phase) == ("a", "uid-of-a", "101", "Ready")
    assert state.labels == {"rack": "1"}
    assert json.loads(state.document) == wire
    assert state.object.to_wire() == wire


def test_a_state_from_a_list_and_one_from_a_watch_have_the_same_document() -> None:
    wire = dpu("a", 101)

    (listed,) = CODEC.read_page(page_of(wire)).items

    assert json.loads(listed.document) == json.loads(read(event("ADDED", wire)).document) == wire


@pytest.mark.parametrize(
    ("kind", "wire", "record"),
    [
        (DPU, dpu("a", 1, node="node-7"), DPURecord),
        (DPUNode, node("node-7", 1, devices=["d1", "d2"]), DPUNodeRecord),
        (DPUNodeMaintenance, maintenance("m", 1, node="node-7"), MaintenanceRecord),
    ],
)
def test_records_have_the_references_between_kinds(
    kind: type[DPU | DPUNode | DPUNodeMaintenance], wire: Obj, record: type[object]
) -> None:
    state = Codec(kind).read_object(json.dumps(wire).encode())

    assert isinstance(state.record, record)
    assert state.object.to_wire() == wire


@pytest.mark.parametrize(
    ("generation", "observed", "current"),
    [(1, 1, True), (2, 1, False), (1, 2, True), (2, None, True), (None, 1, True), (None, None, True)],
)
def test_h12_a_status_is_current_if_observed_generation_has_reached_generation(
    generation: int | None, observed: int | None, current: bool
) -> None:
    wire = dpu("a", 101, generation=generation)
    wire["status"]["observedGeneration"] = observed

    assert read(event("ADDED", wire)).current is current


def test_an_error_event_is_a_status_even_if_it_resembles_an_object() -> None:
    full = CODEC.read(event("ERROR", status(410, "Expired", details={"retryAfterSeconds": 3})))
    bare = CODEC.read(event("ERROR", {}))
    like_an_object = CODEC.read(event("ERROR", {"metadata": {}, "code": 500}))

    assert full == StatusEvent(410, "Expired", "scripted 410", 3)
    assert bare == StatusEvent(0, "", "", 0)
    assert like_an_object == StatusEvent(500, "", "", 0)


def test_objects_of_another_shape_are_undecodable_and_other_lines_are_malformed() -> None:
    odd = CODEC.read(event("ADDED", dpu("a", 101) | {"status": {"phase": 7}}))
    nameless = CODEC.read(event("ADDED", {"metadata": 7}))
    html = CODEC.read(b"<html>")

    assert isinstance(odd, Undecodable)
    assert (odd.kind, odd.name, odd.uid, odd.resource_version) == (DPU, "a", "uid-of-a", "101")
    assert "status.phase" in odd.error
    assert isinstance(nameless, Undecodable)
    assert nameless.uid == ""
    assert isinstance(html, Malformed)


def test_g3_one_undecodable_item_of_a_page_does_not_affect_the_others() -> None:
    page = CODEC.read_page(page_of(dpu("a", 1), dpu("bad", 2) | {"spec": []}, 7, dpu("c", 3)))

    assert [state.name for state in page.items] == ["a", "c"]
    assert [obj.name for obj in page.undecodable] == ["bad", ""]


def test_a_page_has_the_resource_version_and_the_continue_token() -> None:
    page = CODEC.read_page(json.dumps(listing([], 100, continue_="token")).encode())

    assert (page.resource_version, page.continue_) == ("100", "token")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"<html>",
        b"\xff",
        b"{}",
        b'{"metadata":{}}',
        b'{"metadata":{"resourceVersion":7}}',
    ],
)
def test_a8_a_body_that_is_not_a_list_with_a_version_is_rejected(body: bytes) -> None:
    with pytest.raises(DecodeError, match="list of dpus") as raised:
        CODEC.read_page(body)

    assert raised.value.kind == "DPU"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"metadata":7}', b'{"metadata":{"name":"a"},"status":7}']
)
def test_the_error_for_a_body_that_is_not_an_object_has_its_name_if_readable(body: bytes) -> None:
    with pytest.raises(DecodeError, match=r"DPU .* cannot be read") as raised:
        CODEC.read_object(body)

    assert raised.value.name == ("a" if b"name" in body else "")


def test_the_error_for_a_model_mismatch_names_object_and_field() -> None:
    wire = dpu("a", 101)
    wire["status"]["conditions"] = [{"type": "Ready", "status": 7}]

    with pytest.raises(DecodeError, match=r"DPU a: status\.conditions\.0\.status: ") as raised:
        decode_model(DPU, json.dumps(wire).encode())

    assert (raised.value.kind, raised.value.name) == ("DPU", "a")
    assert raised.value.path == "status.conditions.0.status"


def test_m3_names_and_keys_of_objects_are_escaped_in_messages() -> None:
    hostile = "x\x1b[2J\r\n\u202e"
    wire = dpu(hostile, 101, labels={hostile: 7})

    with pytest.raises(DecodeError) as raised:
        decode_model(DPU, json.dumps(wire).encode())

    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    "data", [["c2VjcmV0"], {"password": {"c2VjcmV0": 1}}, {"password": ["c2VjcmV0"]}, "c2VjcmV0"]
)
def test_m2_the_data_of_a_secret_is_in_no_message_repr_or_traceback(data: object) -> None:
    wire = {"metadata": {"name": "bmc", "uid": "u", "resourceVersion": "1"}, "data": data}
    raw = json.dumps(wire).encode()

    with pytest.raises(DecodeError) as raised:
        decode_model(Secret, raw)
    shown = "".join(traceback.format_exception(raised.value))

    assert "c2VjcmV0" not in shown
    assert "DecodeError: Secret bmc: data" in shown


def test_m2_the_repr_of_a_secret_has_none_of_its_data() -> None:
    wire = {"metadata": {"name": "bmc", "uid": "u", "resourceVersion": "1"}, "data": {"password": "c2VjcmV0"}}
    raw = json.dumps(wire).encode()

    state = Codec(Secret).read_object(raw)

    assert state.object.value("password") == b"secret"
    for shown in (repr(state.object), str(state.object), repr(state), str(state)):
        assert "bmc" in shown
        assert "c2VjcmV0" not in shown


def test_m2_the_repr_of_an_undecodable_secret_has_none_of_its_data() -> None:
    unreadable = Codec(Secret).read(
        event("ADDED", {"metadata": {"name": "bmc", "uid": 7}, "data": {"p": "c2VjcmV0"}})
    )

    assert isinstance(unreadable, Undecodable)
    assert "c2VjcmV0" not in repr(unreadable)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(st.binary(max_size=200))
def test_n8_the_decoder_raises_for_no_bytes(line: bytes) -> None:
    assert CODEC.read(line) is not None


@pytest.mark.exhaustive
@given(
    type_=st.sampled_from(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "?"]),
    changes=st.dictionaries(
        st.sampled_from(["metadata", "spec", "status", "kind", "x"]),
        JSON | st.dictionaries(st.sampled_from(["name", "uid", "phase", "conditions", "dpuNodeName"]), JSON),
    ),
)
def test_n8_the_decoder_raises_for_no_object(type_: str, changes: Obj) -> None:
    decoded = CODEC.read(event(type_, dpu("a", 101) | changes))

    if isinstance(decoded, Envelope):
        assert CODEC.state(decoded.object, b"") is not None
    with suppress(DecodeError):
        decode_model(DPU, json.dumps(dpu("a", 101) | changes).encode())
