"""Helpers for tests of the simulated operator: read objects, read the history of writes, and advance hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from dpf_async import DPFClient, HostSpec
from dpf_async.levels import external_reboot_required, ready
from dpf_async.models import DPU, Condition, DPFOperatorConfig, DPUNodeMaintenance, Resource, known
from dpf_async.sim import Simulator

PHASES = [
    "Initializing",
    "Pending",
    "Node Effect",
    "Initialize Interface",
    "Config FW Parameters",
    "Prepare BFB",
    "OS Installing",
    "DPU Config",
    "Rebooting",
    "DPU Config",
    "DPU Cluster Config",
    "Node Effect Removal",
    "Ready",
]
"""The phases of a DPU that requires one reboot (docs/dpf/phases.md#phase-order)."""


@dataclass(frozen=True)
class Change:
    """One write in the history of the server."""

    type: str
    version: int
    obj: dict[str, Any]
    old: dict[str, Any] | None

    @property
    def name(self) -> str:
        name: str = self.obj["metadata"]["name"]
        return name

    @property
    def phase(self) -> str:
        phase: str = self.status.get("phase", "")
        return phase

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.obj.get("status", {})
        return status

    @property
    def annotations(self) -> dict[str, str]:
        annotations: dict[str, str] = self.obj["metadata"].get("annotations", {})
        return annotations

    @property
    def finalizers(self) -> list[str]:
        finalizers: list[str] = self.obj["metadata"].get("finalizers", [])
        return finalizers

    def condition(self, type_: str) -> tuple[str, str] | None:
        """Status and reason of a condition."""
        for condition in self.status.get("conditions", []):
            if condition["type"] == type_:
                return condition["status"], condition["reason"]
        return None


def history(sim: Simulator, kind: type[Resource], name: str = "") -> list[Change]:
    """Every write of the objects of a kind, in order. Unlike a watch, it never skips states."""
    for resource, collection in sim.server._cluster.store.collections.items():
        if (resource.group, resource.resource) == (kind.GROUP, kind.PLURAL):
            changes = [Change(event.type, event.version, event.obj, event.old) for event in collection.events]
            return [change for change in changes if name in ("", change.name)]
    return []


def phases(changes: Iterable[Change]) -> list[str]:
    """The sequence of phases of an object."""
    found: list[str] = []
    for change in changes:
        if change.type != "DELETED" and found[-1:] != [change.phase]:
            found.append(change.phase)
    return found


def condition_changes(changes: Iterable[Change], type_: str) -> list[tuple[str, str]]:
    """The sequence of status and reason of a condition."""
    found: list[tuple[str, str]] = []
    for change in changes:
        current = change.condition(type_)
        if current is not None and found[-1:] != [current]:
            found.append(current)
    return found


def conditions(obj: Any) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition, in their order."""
    found: tuple[Condition, ...] = obj.conditions
    return {one.type: (one.status, one.reason) for one in found}


def message(obj: Any, type_: str) -> str:
    """The message of a condition."""
    found: tuple[Condition, ...] = obj.conditions
    return next(one.message for one in found if one.type == type_)


async def dpus(dpf: DPFClient, node: str) -> list[DPU]:
    """The DPUs of a node, by name."""
    listed = (await dpf.resource(DPU).list()).items
    return sorted((dpu for dpu in listed if dpu.spec.dpu_node_name == node), key=lambda dpu: dpu.name)


async def only_dpu(dpf: DPFClient, node: str) -> DPU:
    """The only DPU of a node."""
    (dpu,) = await dpus(dpf, node)
    return dpu


async def exists(dpf: DPFClient, kind: type[Resource], name: str) -> bool:
    """Whether the object exists."""
    return any(obj.name == name for obj in (await dpf.resource(kind).list()).items)


async def get_hold(dpf: DPFClient, node: str) -> DPUNodeMaintenance:
    """The hold of a node."""
    return await dpf.resource(DPUNodeMaintenance).get(f"{node}{known.HOLD_SUFFIX}")


async def annotate(dpf: DPFClient, kind: type[Resource], name: str, key: str, value: str | None) -> None:
    """Set an annotation; None removes it."""
    await dpf.resource(kind).patch(name, {"metadata": {"annotations": {key: value}}})


async def answer_reboots(dpf: DPFClient, node: str) -> int:
    """Confirm reboots until the node is Ready; return their number."""
    count = 0
    while True:
        view = await dpf.node(node).until(ready | external_reboot_required, timeout=60)
        if view.ready:
            return count
        count += await dpf.mark_dpu_node_rebooted(node)


async def configure(dpf: DPFClient, **settings: Any) -> None:
    """Change the operator's settings, given as in JSON."""
    patch = {"spec": {"provisioningController": settings}}
    await dpf.resource(DPFOperatorConfig).patch(known.OPERATOR_CONFIG_NAME, patch)


@asynccontextmanager
async def site_with_client(**options: Any) -> AsyncIterator[tuple[Simulator, DPFClient]]:
    """A Simulator with the minimal site, and a client."""
    async with Simulator(**options) as sim, sim.client() as dpf:
        await sim.define_site()
        yield sim, dpf


async def register(sim: Simulator, devices: int = 1) -> HostSpec:
    """Register a host and wait until the operator has handled it."""
    host = await sim.register_host(devices=devices)
    await sim.settled()
    return host


async def release_hold(sim: Simulator, dpf: DPFClient, node: str) -> None:
    """Release the hold of a node and wait until the operator has handled it."""
    await dpf.mark_dpu_node_ready_for_maintenance(node)
    await sim.settled()
