"""DPF is upgraded under running clients: CRDs change, and objects of two releases stand side by side (flow 12)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest

from dpf_async import DPFClient, Effect
from dpf_async.errors import APIError, Invalid
from dpf_async.levels import phase_is, ready
from dpf_async.models import DPU, DPUDeployment, DPUNode, DPUNodeMaintenance, DPUSet, Resource, known
from dpf_async.transitions import (
    DPUAppeared,
    DPUGone,
    NodeAppeared,
    NodeEffectHeld,
    NodeGone,
    PhaseChanged,
    Transition,
)
from tests.apiserver.cluster import RealCluster
from tests.integration.backends import Backend
from tests.integration.test_setup import site_of
from tests.support.cluster import NODE, Cluster, Server, cluster
from tests.support.crd_releases import breaking, of_v25, of_v27
from tests.support.crd_sets import manifests_of
from tests.support.definitions import Definitions, definitions
from tests.support.states import REBOOTING, condition

JSON = dict[str, Any]  # Any: it is JSON


def unchanged(manifest: JSON) -> JSON:
    return manifest


def old_dpu(name: str, **spec: Any) -> JSON:
    """A DPU as an operator of v25 wrote it: without a node effect."""
    return {
        "metadata": {"name": name},
        "spec": {
            "dpuNodeName": NODE,
            "dpuDeviceName": f"device-of-{name}",
            "serialNumber": "MT2500XZ0001",
            "bfb": "bundle",
            "dpuFlavor": "flavor",
            **spec,
        },
    }


class Releases:
    """A site whose CRDs go from release to release, and the raw objects that others write there."""

    def __init__(self, site: Cluster[Server], crds: Definitions) -> None:
        self.site = site
        self.crds = crds

    async def create(self, kind: type[Resource], obj: JSON) -> JSON:
        """Written by somebody else, whatever our models have to say about it."""
        body = {"apiVersion": kind.API_VERSION, "kind": kind.KIND, **obj}
        return await self.crds.admin.ask("POST", self._path(kind), body)

    async def raw(self, kind: type[Resource], name: str) -> JSON:
        """What the server has."""
        return await self.crds.admin.ask("GET", f"{self._path(kind)}/{name}")

    async def phase(self, dpu: str, phase: str) -> None:
        """What an operator says. A server that has just been given other CRDs may need a moment to know the phase."""
        status = {
            "phase": phase,
            "conditions": [condition("Ready", reason="DPUReady")] if phase == "Ready" else [],
        }
        with anyio.fail_after(60):
            while True:
                try:
                    await self.site.dpf.resource(DPU).patch_status(dpu, {"status": status})
                except Invalid:
                    continue
                return

    def _path(self, kind: type[Resource]) -> str:
        return f"/apis/{kind.API_VERSION}/namespaces/{self.site.dpf.namespace}/{kind.PLURAL}"


async def heard(stream: AsyncIterator[Transition], last: Callable[[Transition], bool]) -> list[Transition]:
    """Everything up to, and with, the transition that is meant."""
    told: list[Transition] = []
    with anyio.fail_after(60):
        async for transition in stream:
            told.append(transition)
            if last(transition):
                return told
    raise AssertionError("a stream of transitions does not end by itself")


def is_phase(phase: str) -> Callable[[Transition], bool]:
    return lambda one: isinstance(one, PhaseChanged) and one.after == phase


def phases_in(told: list[Transition]) -> list[str]:
    return [str(one.after) for one in told if isinstance(one, PhaseChanged)]


async def test_a_stream_and_a_wait_go_on_through_two_upgrades_and_hear_of_everything_once(
    backend: Backend,
) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await crds.become(of_v25)
        world = Releases(site, crds)
        await site.create_node()
        await world.create(DPU, old_dpu("dpu-1"))
        waited: list[str] = []

        async def wait() -> None:
            view = await site.dpf.dpu("dpu-1").until(ready & ~phase_is("Error"), timeout=60)
            waited.append(str(view.phase))

        async with site.dpf.transitions() as stream, anyio.create_task_group() as tasks:
            told = await heard(stream, lambda one: isinstance(one, DPUAppeared))
            tasks.start_soon(wait)
            for change, phases in (
                (None, ["Pending", "DMS Deployment"]),
                (unchanged, ["OS Installing", "DPU Config"]),
                (of_v27, ["DPU Cluster Config", "Of The Future", "Ready"]),
            ):
                if change is not None:
                    # Written while the server is still busy with its new definitions, and the watch with its loss.
                    await crds.replace(change)
                for phase in phases:
                    await world.phase("dpu-1", phase)
                    told += await heard(stream, is_phase(phase))
                    model = await site.dpf.resource(DPU).get("dpu-1")
                    assert model.status.phase == phase
                if change is not None:
                    await crds.published(change)
            # Kinds are watched apart: nothing says which of two deletions is heard of first.
            await site.dpf.resource(DPU).delete("dpu-1")
            told += await heard(stream, lambda one: isinstance(one, DPUGone))
            await site.dpf.resource(DPUNode).delete(NODE)
            told += await heard(stream, lambda one: isinstance(one, NodeGone))

    assert phases_in(told) == [
        "Pending",
        "DMS Deployment",
        "OS Installing",
        "DPU Config",
        "DPU Cluster Config",
        "Of The Future",
        "Ready",
    ]
    assert [type(one).__name__ for one in told if not isinstance(one, PhaseChanged)] == [
        "NodeAppeared",
        "DPUAppeared",
        "ConditionChanged",  # Ready
        "DPUGone",
        "NodeGone",
    ]
    assert waited == ["Ready"]


async def side_by_side(world: Releases) -> None:
    """Objects that v25 left behind, after the upgrade to this release, and some of this release."""
    site = world.site
    await world.crds.become(of_v25)
    for name, phase in (("old-1", "DMS Deployment"), ("old-2", "Host Network Configuration")):
        await world.create(DPU, old_dpu(name))
        await world.phase(name, phase)
    await world.create(
        DPUDeployment,
        {
            "metadata": {"name": "old"},
            "spec": {
                "dpus": {"bfb": "bundle", "flavor": "flavor"},
                "services": {"dts": {"serviceTemplate": "dts", "serviceConfiguration": "dts"}},
            },
        },
    )
    template = {"spec": {"bfb": {"name": "bundle"}, "dpuFlavor": "flavor"}}
    await world.create(DPUSet, {"metadata": {"name": "old"}, "spec": {"dpuTemplate": template}})
    await world.create(
        DPUNode,
        {
            "metadata": {"name": NODE, "annotations": {known.EXTERNAL_REBOOT_REQUIRED: ""}},
            "spec": {"nodeRebootMethod": {"external": {}}},
        },
    )
    await site.write_conditions(DPUNode, NODE, [condition(*REBOOTING)])
    await world.create(
        DPUNodeMaintenance,
        {
            "metadata": {
                "name": f"{NODE}-hold",
                "annotations": {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "true"},
            },
            "spec": {"dpuNodeName": NODE, "nodeEffect": {"hold": True}, "requestor": ["old-1"]},
        },
    )
    await world.crds.become(unchanged)
    await world.create(DPU, old_dpu("new-1", nodeEffect={"hold": True}, blueFieldSoftware="bundle"))
    await world.phase("new-1", "DPU Config")


async def test_objects_of_two_releases_are_read_listed_and_streamed_side_by_side(backend: Backend) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await side_by_side(Releases(site, crds))

        listed = {kind: await site.dpf.resource(kind).list() for kind in (DPU, DPUDeployment, DPUSet)}
        single = await site.dpf.resource(DPUDeployment).get("old")
        view = await site.dpf.node(NODE).view()
        accepted = await site.dpf.deployment("old").view()
        async with site.dpf.transitions() as stream:
            told = await heard(stream, lambda one: isinstance(one, NodeEffectHeld))

    assert all(not found.undecodable for found in listed.values())
    assert {dpu.name: str(dpu.status.phase) for dpu in listed[DPU].items if isinstance(dpu, DPU)} == {
        "old-1": "DMS Deployment",
        "old-2": "Host Network Configuration",
        "new-1": "DPU Config",
    }
    assert single.spec.dpus.node_effect is None
    assert single.spec.dpus.dpu_set_strategy is None
    assert not accepted.accepted
    assert {dpu.name for dpu in view.dpus} == {"old-1", "old-2", "new-1"}
    assert view.external_reboot_required
    assert view.hold is not None
    assert view.unreadable == ()
    assert isinstance(told[0], NodeAppeared)
    appeared = [one for one in told if isinstance(one, DPUAppeared)]
    assert sorted(one.dpu for one in appeared) == ["new-1", "old-1", "old-2"]


async def test_what_an_older_release_wrote_is_answered_labelled_and_made_ready(backend: Backend) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        world = Releases(site, crds)
        await side_by_side(world)
        before = {kind: await world.raw(kind, "old") for kind in (DPUDeployment, DPUSet)}

        rebooted = await site.dpf.mark_dpu_node_rebooted(NODE)
        released = await site.dpf.mark_dpu_node_ready_for_maintenance(NODE)
        for kind, name in ((DPU, "old-1"), (DPUDeployment, "old"), (DPUSet, "old")):
            await site.dpf.resource(kind).patch(name, {"metadata": {"labels": {"rack": "7"}}})
        await world.phase("old-1", "Ready")
        is_ready = await site.dpf.is_dpu_ready("old-1")
        after = {kind: await world.raw(kind, "old") for kind in (DPUDeployment, DPUSet)}

        assert (rebooted, released, is_ready) == (True, True, True)
        assert known.EXTERNAL_REBOOT_REQUIRED not in await site.annotations()
        assert await site.hold_annotation() == "false"
        assert "nodeEffect" not in (await world.raw(DPU, "old-1"))["spec"]
    for kind, raw in after.items():
        assert raw["metadata"]["labels"] == {"rack": "7"}
        assert raw["spec"] == before[kind]["spec"]


async def test_a_deployment_that_lacks_what_is_required_now_says_so_when_it_is_changed(
    backend: Backend,
) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await side_by_side(Releases(site, crds))
        deployments = site.dpf.resource(DPUDeployment)

        with pytest.raises(Invalid, match="DPUDeployment old") as refused:
            await deployments.patch("old", {"spec": {"dpus": {"bfb": "newer"}}})
        missing = {"dpuSetStrategy": {"type": "OnDelete"}, "nodeEffect": {"hold": True}}
        await deployments.patch("old", {"spec": {"dpus": missing}})
        changed = await deployments.patch("old", {"spec": {"dpus": {"bfb": "newer"}}})

    assert {cause.field for cause in refused.value.causes} >= {
        "spec.dpus.dpuSetStrategy",
        "spec.dpus.nodeEffect",
    }
    assert changed.spec.dpus.bfb == "newer"


# check_compatibility


async def test_a_cluster_of_this_release_is_compatible(backend: Backend) -> None:
    async with backend.cluster() as site:
        found = await site.dpf.check_compatibility()

    assert found.compatible, str(found)
    assert found.of(Effect.MAY_BREAK) == ()
    assert found.unpublished == ()


async def test_a_release_that_only_adds_is_compatible_and_what_is_new_is_told(backend: Backend) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await crds.become(of_v27)

        found = await site.dpf.check_compatibility()

    assert found.compatible, str(found)
    told = {(finding.kind, finding.path) for finding in found.of(Effect.HARMLESS)}
    assert {("DPU", ".spec.tray"), ("DPU", ".status.seat"), ("DPU", ".status.phase")} <= told


async def test_what_a_release_breaks_is_told_with_the_methods_that_it_hits(backend: Backend) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await crds.become(breaking)

        found = await site.dpf.check_compatibility()
        with pytest.raises(APIError, match="DPUDeployment compute"):
            await site.dpf.create_initialization_objects(site_of())

    assert not found.compatible
    broken = {finding.path: finding for finding in found.of(Effect.BREAKS)}
    assert set(broken) == {".spec.dpus.flavor", ".spec.dpus.profile"}
    for finding in broken.values():
        assert "create_initialization_objects" in finding.operations
    assert "update_dpu_deployment_configuration" in broken[".spec.dpus.flavor"].operations


async def test_an_older_release_breaks_what_decides_by_what_it_does_not_have(backend: Backend) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await crds.become(of_v25)

        found = await site.dpf.check_compatibility()

    broken = {(finding.kind, finding.path) for finding in found.of(Effect.BREAKS)}
    assert ("DPU", ".status.operationalConditions") in broken


async def test_a_kind_that_is_not_there_is_told_as_one_with_what_needs_it() -> None:
    manifests = [
        manifest
        for manifest in manifests_of("generated")
        if manifest["spec"]["names"]["kind"] != DPUNodeMaintenance.KIND
    ]
    async with cluster(manifests=manifests) as site:
        found = await site.dpf.check_compatibility()

    (broken,) = found.of(Effect.BREAKS)
    assert (broken.kind, broken.path) == ("DPUNodeMaintenance", "")
    assert "mark_dpu_node_ready_for_maintenance" in broken.operations


@pytest.mark.apiserver
async def test_any_user_who_is_known_may_ask_and_needs_no_other_permission(
    own_cluster: RealCluster, namespace: str
) -> None:
    alice = own_cluster.kubeconfig(token=own_cluster.token_of("alice"))
    async with DPFClient(kubeconfig=alice, namespace=namespace) as dpf:
        assert (await dpf.check_access(operations=["is_dpu_ready"])).missing
        before = await dpf.check_compatibility()
        async with definitions(own_cluster, [DPUDeployment.KIND]) as crds:
            await crds.become(breaking)
            after = await dpf.check_compatibility()

    assert before.compatible, str(before)
    assert before.unpublished == ()
    assert not after.compatible
