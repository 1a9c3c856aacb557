"""Objects sent in protobuf."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest

from dpf_async.sim.apiserver.wire.protobuf import MAGIC, ProtobufError, decode_protobuf
from tests.sim.apiserver.api import SECRETS, WIDGETS, serving


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def entries(number: int, values: Mapping[str, str | bytes]) -> bytes:
    return b"".join(field(number, field(1, key) + field(2, value)) for key, value in values.items())


def enveloped(kind: str, api_version: str, raw: bytes) -> bytes:
    return (
        MAGIC + field(1, field(1, api_version) + field(2, kind)) + field(2, raw) + field(3, "") + field(4, "")
    )


SECRET = enveloped(
    "Secret",
    "v1",
    field(1, field(1, "s") + field(8, b"") + entries(11, {"k": "v"}) + field(14, "x.io/f"))
    + entries(2, {"password": b"\x00\xff", "empty": b""})
    + field(3, "Opaque"),
)


def test_a_secret_is_decoded_with_its_bytes_and_metadata() -> None:
    assert decode_protobuf(SECRET) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "s",
            "creationTimestamp": None,
            "labels": {"k": "v"},
            "finalizers": ["x.io/f"],
        },
        "data": {"password": "AP8=", "empty": ""},
        "type": "Opaque",
    }


def test_a_lease_is_decoded_with_its_times_and_numbers() -> None:
    spec = field(1, "me") + field(2, 300) + field(3, field(1, 1_700_000_000) + field(2, 5_000)) + field(5, 2)
    owner = field(1, "Node") + field(3, "n") + field(4, "u") + field(5, "v1") + field(6, 1)
    raw = field(1, field(1, "l") + field(9, field(1, 1_700_000_000)) + field(13, owner)) + field(2, spec)

    lease = decode_protobuf(enveloped("Lease", "coordination.k8s.io/v1", raw))

    assert lease["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 300,
        "acquireTime": "2023-11-14T22:13:20.000005Z",
        "leaseTransitions": 2,
    }
    assert lease["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:20Z"
    assert lease["metadata"]["ownerReferences"] == [
        {"kind": "Node", "name": "n", "uid": "u", "apiVersion": "v1", "controller": True}
    ]


@pytest.mark.parametrize(
    "data", [b"{}", SECRET[:-30], enveloped("Pod", "v1", b""), MAGIC + b"\x0d", MAGIC + b"\xff"]
)
def test_invalid_protobuf_is_an_error(data: bytes) -> None:
    with pytest.raises(ProtobufError):
        decode_protobuf(data)


def test_a_review_is_decoded_with_its_attributes() -> None:
    attributes = field(1, "dpf") + field(2, "list") + field(3, "g") + field(4, "*") + field(5, "dpus")
    review = enveloped(
        "SelfSubjectAccessReview",
        "authorization.k8s.io/v1",
        field(1, b"") + field(2, field(1, attributes + field(6, "status") + field(7, "a"))),
    )

    assert decode_protobuf(review)["spec"]["resourceAttributes"] == {
        "namespace": "dpf",
        "verb": "list",
        "group": "g",
        "version": "*",
        "resource": "dpus",
        "subresource": "status",
        "name": "a",
    }


async def test_core_kinds_are_created_from_protobuf_and_answered_in_json() -> None:
    async with serving() as api:
        headers = {"Content-Type": "application/vnd.kubernetes.protobuf"}
        async with api.session.post(SECRETS, data=io.BytesIO(SECRET), headers=headers) as response:
            made = await response.json()
        async with api.session.post(SECRETS, data=io.BytesIO(b"k8s"), headers=headers) as broken:
            refused = await broken.json()
        async with api.session.post(WIDGETS, data=io.BytesIO(SECRET), headers=headers) as custom:
            unsupported = custom.status

        assert (response.status, made["data"]["password"]) == (201, "AP8=")
        assert (broken.status, refused["reason"]) == (400, "BadRequest")
        assert unsupported == 415
