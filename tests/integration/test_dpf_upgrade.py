"""DPF is upgraded while clients run: CRDs change, and objects of two releases exist at a time (flow 12)."""

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
    """A site whose CRDs change from release to release, and raw objects of other clients."""

    def __init__(self, site: Cluster[Server], crds: Definitions) -> None:
        self.site = site
        self.crds = crds

    async def create(self, kind: type[Resource], obj: JSON) -> JSON:
        """Create an object without validation by the models, as another client does."""
        body = {"apiVersion": kind.API_VERSION, "kind": kind.KIND, **obj}
        return await self.crds.admin.ask("POST", self._path(kind), body)

    async def raw(self, kind: type[Resource], name: str) -> JSON:
        """The object as the server stores it."""
        return await self.crds.admin.ask("GET", f"{self._path(kind)}/{name}")

    async def phase(self, dpu: str, phase: str) -> None:
        """Write the status as the operator does. After a change of CRDs the server may not know the phase at once."""
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


async def read_until(
    stream: AsyncIterator[Transition], last: Callable[[Transition], bool]
) -> list[Transition]:
    """The transitions up to and including the last one."""
    transitions: list[Transition] = []
    with anyio.fail_after(60):
        async for transition in stream:
            transitions.append(transition)
            if last(transition):
                return transitions
    raise AssertionError("a stream of transitions never ends")


def is_phase(phase: str) -> Callable[[Transition], bool]:
    return lambda one: isinstance(one, PhaseChanged) and one.after == phase


def phases_in(transitions: list[Transition]) -> list[str]:
    return [str(one.after) for one in transitions if isinstance(one, PhaseChanged)]


async def test_a_stream_and_a_wait_continue_through_two_upgrades_and_yield_each_transition_once(
    backend: Backend,
) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await crds.become(of_v25)
        releases = Releases(site, crds)
        await site.create_node()
        await releases.create(DPU, old_dpu("dpu-1"))
        waited: list[str] = []

        async def wait() -> None:
            view = await site.dpf.dpu("dpu-1").until(ready & ~phase_is("Error"), timeout=60)
            waited.append(str(view.phase))

        async with site.dpf.transitions() as stream, anyio.create_task_group() as tasks:
            transitions = await read_until(stream, lambda one: isinstance(one, DPUAppeared))
            tasks.start_soon(wait)
            for change, phases in (
                (None, ["Pending", "DMS Deployment"]),
                (unchanged, ["OS Installing", "DPU Config"]),
                (of_v27, ["DPU Cluster Config", "Of The Future", "Ready"]),
            ):
                if change is not None:
                    # Written while the server still installs the new definitions and the watch is being restarted.
                    await crds.replace(change)
                for phase in phases:
                    await releases.phase("dpu-1", phase)
                    transitions += await read_until(stream, is_phase(phase))
                    model = await site.dpf.resource(DPU).get("dpu-1")
                    assert model.status.phase == phase
                if change is not None:
                    await crds.published(change)
            # Kinds are watched separately, so the order of deletions of two kinds is not defined.
            await site.dpf.resource(DPU).delete("dpu-1")
            transitions += await read_until(stream, lambda one: isinstance(one, DPUGone))
            await site.dpf.resource(DPUNode).delete(NODE)
            transitions += await read_until(stream, lambda one: isinstance(one, NodeGone))

    assert phases_in(transitions) == [
        "Pending",
        "DMS Deployment",
        "OS Installing",
        "DPU Config",
        "DPU Cluster Config",
        "Of The Future",
        "Ready",
    ]
    assert [type(one).__name__ for one in transitions if not isinstance(one, PhaseChanged)] == [
        "NodeAppeared",
        "DPUAppeared",
        "ConditionChanged",  # Ready
        "DPUGone",
        "NodeGone",
    ]
    assert waited == ["Ready"]


async def two_releases(releases: Releases) -> None:
    """Objects of v25 after the upgrade to this release, and objects of this release."""
    site = releases.site
    await releases.crds.become(of_v25)
    for name, phase in (("old-1", "DMS Deployment"), ("old-2", "Host Network Configuration")):
        await releases.create(DPU, old_dpu(name))
        await releases.phase(name, phase)
    await releases.create(
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
    await releases.create(DPUSet, {"metadata": {"name": "old"}, "spec": {"dpuTemplate": template}})
    await releases.create(
        DPUNode,
        {
            "metadata": {"name": NODE, "annotations": {known.EXTERNAL_REBOOT_REQUIRED: ""}},
            "spec": {"nodeRebootMethod": {"external": {}}},
        },
    )
    await site.write_conditions(DPUNode, NODE, [condition(*REBOOTING)])
    await releases.create(
        DPUNodeMaintenance,
        {
            "metadata": {
                "name": f"{NODE}-hold",
                "annotations": {known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "true"},
            },
            "spec": {"dpuNodeName": NODE, "nodeEffect": {"hold": True}, "requestor": ["old-1"]},
        },
    )
    await releases.crds.become(unchanged)
    await releases.create(DPU, old_dpu("new-1", nodeEffect={"hold": True}, blueFieldSoftware="bundle"))
    await releases.phase("new-1", "DPU Config")


async def test_objects_of_two_releases_are_read_listed_and_streamed_together(backend: Backend) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await two_releases(Releases(site, crds))

        listed = {kind: await site.dpf.resource(kind).list() for kind in (DPU, DPUDeployment, DPUSet)}
        single = await site.dpf.resource(DPUDeployment).get("old")
        view = await site.dpf.node(NODE).view()
        accepted = await site.dpf.deployment("old").view()
        async with site.dpf.transitions() as stream:
            transitions = await read_until(stream, lambda one: isinstance(one, NodeEffectHeld))

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
    assert isinstance(transitions[0], NodeAppeared)
    appeared = [one for one in transitions if isinstance(one, DPUAppeared)]
    assert sorted(one.dpu for one in appeared) == ["new-1", "old-1", "old-2"]


async def test_requests_and_objects_of_an_older_release_are_answered_and_patched(backend: Backend) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        releases = Releases(site, crds)
        await two_releases(releases)
        before = {kind: await releases.raw(kind, "old") for kind in (DPUDeployment, DPUSet)}

        rebooted = await site.dpf.mark_dpu_node_rebooted(NODE)
        released = await site.dpf.mark_dpu_node_ready_for_maintenance(NODE)
        for kind, name in ((DPU, "old-1"), (DPUDeployment, "old"), (DPUSet, "old")):
            await site.dpf.resource(kind).patch(name, {"metadata": {"labels": {"rack": "7"}}})
        await releases.phase("old-1", "Ready")
        is_ready = await site.dpf.is_dpu_ready("old-1")
        after = {kind: await releases.raw(kind, "old") for kind in (DPUDeployment, DPUSet)}

        assert (rebooted, released, is_ready) == (True, True, True)
        assert known.EXTERNAL_REBOOT_REQUIRED not in await site.annotations()
        assert await site.hold_annotation() == "false"
        assert "nodeEffect" not in (await releases.raw(DPU, "old-1"))["spec"]
    for kind, raw in after.items():
        assert raw["metadata"]["labels"] == {"rack": "7"}
        assert raw["spec"] == before[kind]["spec"]


async def test_a_change_of_a_deployment_without_newly_required_fields_names_them(
    backend: Backend,
) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await two_releases(Releases(site, crds))
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


async def test_a_release_that_only_adds_fields_is_compatible_and_the_additions_are_reported(
    backend: Backend,
) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await crds.become(of_v27)

        found = await site.dpf.check_compatibility()

    assert found.compatible, str(found)
    reported = {(finding.kind, finding.path) for finding in found.of(Effect.HARMLESS)}
    assert {("DPU", ".spec.tray"), ("DPU", ".status.seat"), ("DPU", ".status.phase")} <= reported


async def test_breaking_changes_are_reported_with_the_affected_methods(backend: Backend) -> None:
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


async def test_an_older_release_breaks_operations_that_depend_on_missing_fields(backend: Backend) -> None:
    async with backend.cluster() as site, backend.definitions(site) as crds:
        await crds.become(of_v25)

        found = await site.dpf.check_compatibility()

    broken = {(finding.kind, finding.path) for finding in found.of(Effect.BREAKS)}
    assert ("DPU", ".status.operationalConditions") in broken


async def test_a_missing_kind_is_reported_with_the_operations_that_need_it() -> None:
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
async def test_every_authenticated_user_may_check_compatibility(
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
