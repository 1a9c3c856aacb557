"""RecordedHost: every write during the provisioning of one host, recorded once per session for many tests."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import pytest

from dpf_async.models import (
    BFB,
    DPU,
    DPUDeployment,
    DPUDevice,
    DPUNode,
    DPUNodeMaintenance,
    DPUService,
    DPUSet,
    Resource,
)
from dpf_async.sim import Simulator
from tests.sim.operator.site import Change, answer_reboots, history, release_hold

_KINDS = (BFB, DPU, DPUDeployment, DPUDevice, DPUNode, DPUNodeMaintenance, DPUService, DPUSet)


@dataclass(frozen=True)
class RecordedHost:
    """Every write from the registration of one host until it is Ready, by kind."""

    changes: dict[type[Resource], list[Change]]

    def of(self, kind: type[Resource], name: str = "") -> list[Change]:
        """The writes of the objects of a kind, in order."""
        return [change for change in self.changes[kind] if name in ("", change.name)]

    def names(self, kind: type[Resource]) -> list[str]:
        """The objects of a kind."""
        return sorted({change.name for change in self.changes[kind]})


def _record(devices: int) -> RecordedHost:
    async def record() -> RecordedHost:
        async with Simulator() as sim, sim.client() as dpf:
            # In steps, so that summaries are written at the hold and at the reboot.
            node = await sim.node_waiting_for_hold(devices)
            await release_hold(sim, dpf, node.name)
            await answer_reboots(dpf, node.name)
            await sim.settled()
            return RecordedHost({kind: history(sim, kind) for kind in _KINDS})

    return anyio.run(record)


@pytest.fixture(scope="session")
def one_dpu() -> RecordedHost:
    """A host with one DPU and one reboot."""
    return _record(1)


@pytest.fixture(scope="session")
def two_dpus() -> RecordedHost:
    """A host with two DPUs and one reboot."""
    return _record(2)
