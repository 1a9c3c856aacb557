"""What belongs to a DPU or a host, also where an object cannot be read: it is neither overlooked nor taken for gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dpf_async import DPFClient
from dpf_async._hosts.deletion_targets import dpu_parts, node_parts
from dpf_async.errors import DecodeError
from tests.support.objects import Obj, dpu, node
from tests.support.scripted import Scripted, refusing


@asynccontextmanager
async def a_site(*objects: Obj) -> AsyncIterator[DPFClient]:
    """These objects and no others."""
    async with Scripted(*objects) as server, server.client() as dpf:
        server.on_other = refusing(404, "NotFound")
        yield dpf


def spoilt(name: str, *, device: str = "device-1") -> Obj:
    """A DPU that says what it belongs to, and is unreadable otherwise."""
    obj = dpu(name, 10)
    obj["spec"]["dpuDeviceName"] = device
    obj["status"]["phase"] = 7
    return obj


async def test_an_unreadable_dpu_that_says_what_it_belongs_to_goes_with_it() -> None:
    async with a_site(spoilt("a"), spoilt("b", device="device-2"), node("node-1", 11)) as dpf:
        of_device = await dpu_parts(dpf, "device-1")
        of_node = await node_parts(dpf, "node-1")

    assert [part.name for part in of_device.dpus] == ["a"]
    assert [part.name for part in of_node.dpus] == ["a", "b"]


@pytest.mark.parametrize("spec", [7, {"dpuDeviceName": 7, "dpuNodeName": 7}])
async def test_an_object_of_which_nobody_knows_what_it_belongs_to_stands_in_the_way_and_is_named(
    spec: object,
) -> None:
    unknown = spoilt("a") | {"spec": spec}
    async with a_site(unknown, node("node-1", 11, devices=["device-1"])) as dpf:
        with pytest.raises(DecodeError, match="DPU a cannot be read, so it is not known whether it goes"):
            await dpu_parts(dpf, "device-1")
        with pytest.raises(DecodeError, match="DPU a cannot be read"):
            await node_parts(dpf, "node-1")


async def test_device_names_are_compared_without_case_as_dpf_does() -> None:
    async with a_site(node("node-1", 11, devices=["Device-1"])) as dpf:
        parts = await dpu_parts(dpf, "device-1")

    assert parts.carriers == parts.nodes == ("node-1",)
