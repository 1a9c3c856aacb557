"""Deletion targets of DPUs and hosts, including objects that cannot be decoded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from dpf_async import DPFClient
from dpf_async._hosts.deletion_targets import find_dpu_targets, find_node_targets
from dpf_async.errors import DecodeError
from tests.support.objects import Obj, dpu, node
from tests.support.scripted import Scripted, refusing


@asynccontextmanager
async def client_with(*objects: Obj) -> AsyncIterator[DPFClient]:
    """A client of a server that has these objects and no others."""
    async with Scripted(*objects) as server, server.client() as dpf:
        server.on_other = refusing(404, "NotFound")
        yield dpf


def undecodable_dpu(name: str, *, device: str = "device-1") -> Obj:
    """A DPU that cannot be decoded, but refers to its DPUDevice and DPUNode."""
    obj = dpu(name, 10)
    obj["spec"]["dpuDeviceName"] = device
    obj["status"]["phase"] = 7
    return obj


async def test_an_undecodable_dpu_is_a_target_of_the_device_and_node_that_it_refers_to() -> None:
    async with client_with(
        undecodable_dpu("a"), undecodable_dpu("b", device="device-2"), node("node-1", 11)
    ) as dpf:
        of_device = await find_dpu_targets(dpf, "device-1")
        of_node = await find_node_targets(dpf, "node-1")

    assert [target.name for target in of_device.dpus] == ["a"]
    assert [target.name for target in of_node.dpus] == ["a", "b"]


@pytest.mark.parametrize("spec", [7, {"dpuDeviceName": 7, "dpuNodeName": 7}])
async def test_an_undecodable_object_without_references_is_an_error_that_names_it(
    spec: object,
) -> None:
    unknown = undecodable_dpu("a") | {"spec": spec}
    async with client_with(unknown, node("node-1", 11, devices=["device-1"])) as dpf:
        with pytest.raises(
            DecodeError, match=r"DPU a cannot be decoded .*not known whether it has to be deleted"
        ):
            await find_dpu_targets(dpf, "device-1")
        with pytest.raises(DecodeError, match="DPU a cannot be decoded"):
            await find_node_targets(dpf, "node-1")


async def test_device_names_are_compared_without_case_as_dpf_does() -> None:
    async with client_with(node("node-1", 11, devices=["Device-1"])) as dpf:
        targets = await find_dpu_targets(dpf, "device-1")

    assert targets.listed_by == targets.nodes == ("node-1",)
