"""Reading is lenient: any values of a server are accepted if they have the right types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dpf_async.models import (
    BFB,
    DPU,
    KINDS,
    DPUDeployment,
    DPUDevice,
    DPUNode,
    DPUNodeMaintenance,
    DPUPhase,
    DPUSet,
    Resource,
    Secret,
)
from dpf_async.models.schema import schema_of
from tests.support.shared import shared_path

BY_NAME = {kind.KIND: kind for kind in KINDS}
SPEC = {"dpuNodeName": "n", "dpuDeviceName": "d", "serialNumber": "s", "dpuFlavor": "f"}


def read(kind: type[Resource], **parts: Any) -> Any:
    return kind.model_validate_json(json.dumps({"metadata": {"name": "x"}, **parts}))


# --- Round trips


def test_a_round_trip_does_not_change_an_example_object() -> None:
    examples = [each["object"] for each in json.loads(shared_path("dpf-examples.json").read_text())]

    written = [
        BY_NAME[example["kind"]].model_validate_json(json.dumps(example)).to_wire() for example in examples
    ]

    assert written == examples


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
unknown_fields = st.dictionaries(st.text(max_size=5).map("xNew{}".format), json_values, max_size=2)


def sendable(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Objects that a server may send for this schema: the right types, any values, and unknown fields."""
    match schema.get("type"):
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(-(2**63), 2**63 - 1)
        case "string":
            return st.text(max_size=10)
        case "array":
            return st.lists(sendable(schema["items"]), max_size=2)
        case "object" if "properties" in schema:
            required = set(schema.get("required", ()))
            fields = {name: sendable(value) for name, value in schema["properties"].items()}
            known = st.fixed_dictionaries(
                {name: value for name, value in fields.items() if name in required},
                optional={name: value for name, value in fields.items() if name not in required},
            )
            return st.builds(lambda one, other: other | one, known, unknown_fields)
        case "object" if "additionalProperties" in schema:
            return st.dictionaries(st.text(max_size=5), sendable(schema["additionalProperties"]), max_size=2)
        case "object":
            return unknown_fields
        case _:
            return st.integers(0, 99) | st.text(max_size=5)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_round_trip_does_not_change_any_object_of_a_server(
    kind: type[Resource], data: st.DataObject
) -> None:
    parts = {part: sendable(schema_of(kind)["properties"][part]) for part in parts_of(kind)}
    sent = data.draw(st.fixed_dictionaries(parts)) | {
        "apiVersion": kind.API_VERSION,
        "kind": kind.KIND,
        "metadata": {"name": "x", "managedFields": [{"manager": "kubectl"}]},
    }

    written = kind.model_validate_json(json.dumps(sent)).to_wire()

    assert written == sent


def parts_of(kind: type[Resource]) -> tuple[str, ...]:
    return ("spec", "status") if kind.HAS_STATUS else ("spec",)


def test_a_dict_is_read_as_leniently_as_bytes() -> None:
    wire = {"metadata": {"name": "UPPER"}, "spec": {"dpus": [{"name": ""}]}}

    node = DPUNode.from_wire(wire)

    assert node.to_wire() == {"apiVersion": DPUNode.API_VERSION, "kind": "DPUNode", **wire}


# --- Values that cannot be written


def test_a_phase_of_another_release_is_read_and_not_known() -> None:
    dpu = read(DPU, spec=SPEC, status={"phase": "Warming Up"})

    assert dpu.status.phase == "Warming Up"
    assert isinstance(dpu.status.phase, DPUPhase)
    assert not dpu.status.phase.known


def test_values_that_violate_the_rules_of_this_release_are_read() -> None:
    node = read(
        DPUNode, spec={"nodeRebootMethod": {"external": {}, "script": {"name": ""}}, "dpus": [{"name": ""}]}
    )
    device = read(DPUDevice, spec={"serialNumber": "", "bmcIp": "fd00::1", "bmcPort": 0, "psid": "?"})
    dpu_set = read(DPUSet, spec={"dpuTemplate": {}, "strategy": {"type": "Canary"}})

    assert node.spec.node_reboot_method.external is not None
    assert device.spec.bmc_ip == "fd00::1"
    assert dpu_set.spec.strategy.type == "Canary"


def test_fields_that_other_releases_omit_may_be_absent() -> None:
    deployment = read(DPUDeployment, spec={"dpus": {"flavor": "f"}, "services": {}})
    dpu_set = read(DPUSet, spec={"dpuTemplate": {"spec": {"dpuFlavor": "f"}}})
    dpu = read(DPU, spec=SPEC, status={"conditions": [{"type": "Ready", "status": "True"}]})

    assert deployment.spec.dpus.dpu_set_strategy is None
    assert deployment.spec.dpus.node_effect is None
    assert deployment.spec.dpus.bfb is None
    assert dpu_set.spec.strategy is None
    assert dpu_set.spec.dpu_template.spec.node_effect is None
    assert dpu.spec.node_effect is None
    assert dpu.spec.bfb is None
    assert dpu.condition("Ready").reason == ""


def test_null_for_a_list_or_a_map_reads_as_empty() -> None:
    node = DPUNode.model_validate_json(
        '{"metadata": {"name": "x", "labels": null, "finalizers": null},'
        ' "spec": {"dpus": null}, "status": {"conditions": null}}'
    )

    assert node.metadata.labels == {}
    assert node.metadata.finalizers == ()
    assert node.spec.dpus == ()
    assert node.conditions == ()


def test_null_for_a_value_that_may_be_absent_reads_as_absent() -> None:
    node = DPUNode.model_validate_json(
        '{"metadata": {"name": "x", "creationTimestamp": null}, "status": {"kubeNodeRef": null}}'
    )

    assert node.metadata.creation_timestamp is None
    assert node.status.kube_node_ref is None


def test_an_object_without_status_is_read_with_the_defaults_of_the_api_server() -> None:
    dpu, bfb = read(DPU, spec=SPEC), read(BFB, spec={"url": "http://x"})
    node, device = read(DPUNode), read(DPUDevice, spec={"serialNumber": "s"})

    assert dpu.status.phase == DPUPhase.INITIALIZING
    assert bfb.status.phase == "Initializing"
    assert node.spec.node_reboot_method.host_agent is not None
    assert (device.spec.bmc_port, device.spec.number_of_pfs, device.status.dpu_type) == (443, 1, "Unknown")
    assert dpu.to_wire().keys() == {"apiVersion", "kind", "metadata", "spec"}


# --- Types


@pytest.mark.parametrize(
    ("kind", "parts", "path"),
    [
        (DPUNode, {"spec": {"dpus": {}}}, ("spec", "dpus")),
        (DPUNode, {"spec": {"dpus": [{"name": 7}]}}, ("spec", "dpus", 0, "name")),
        (DPUNode, {"metadata": {"name": "x", "labels": {"a": 1}}}, ("metadata", "labels", "a")),
        (DPUNode, {"status": {"conditions": [{"type": "Ready"}]}}, ("status", "conditions", 0, "status")),
        (DPUDevice, {"spec": {"serialNumber": "s", "bmcPort": "443"}}, ("spec", "bmcPort")),
        (DPUDevice, {"spec": {"serialNumber": "s", "numberOfPFs": 1.0}}, ("spec", "numberOfPFs")),
        (
            DPUNodeMaintenance,
            {"spec": {"dpuNodeName": "n", "nodeEffect": {"hold": "true"}}},
            ("spec", "nodeEffect", "hold"),
        ),
        (DPU, {"spec": SPEC | {"dpuNodeName": None}}, ("spec", "dpuNodeName")),
        (DPU, {"spec": SPEC, "status": {"phase": 3}}, ("status", "phase")),
        (DPU, {}, ("spec",)),
        (Secret, {"data": []}, ("data",)),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_value_of_the_wrong_type_is_rejected_with_its_path(
    kind: type[Resource], parts: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(ValidationError) as refused:
        read(kind, **parts)

    assert [error["loc"] for error in refused.value.errors()] == [path]


def test_an_object_that_was_read_is_immutable() -> None:
    node = read(DPUNode, spec={"dpus": []})

    with pytest.raises(ValidationError, match="frozen"):
        node.spec.dpus = ({"name": "other"},)
