"""DPUSets: the effect of changes of a deployment on existing DPUs."""

from __future__ import annotations

from dataclasses import replace

from dpf_async import DeploymentView, DPFClient, ObjectState
from dpf_async.levels import Level
from dpf_async.models import (
    BFB,
    DPU,
    BFBSpec,
    DPUCluster,
    DPUClusterSpec,
    DPUDeployment,
    DPUFlavor,
    DPUFlavorSpec,
    DPUNode,
    DPUSet,
    ObjectMeta,
    known,
)
from dpf_async.sim import Simulator
from dpf_async.sim.operator import INSTANT
from dpf_async.sim.simulator import minimal_site
from tests.sim.operator.site import (
    Change,
    answer_reboots,
    conditions,
    dpus,
    exists,
    history,
    message,
    only_dpu,
    phases,
    register,
    release_hold,
    site_with_client,
)

FORCED = {"hold": True, "force": True}


async def use_another_bfb(sim: Simulator, dpf: DPFClient, name: str = "new") -> None:
    spec = BFBSpec(url="https://bfb.example.com/new.bfb")
    await dpf.resource(BFB).create(BFB(metadata=ObjectMeta(name=name), spec=spec))
    await dpf.resource(DPUDeployment).patch("compute", {"spec": {"dpus": {"bfb": name}}})
    await sim.settled()


def _prerequisites(view: DeploymentView) -> str:
    condition = view.condition("PrerequisitesReady")
    return (condition.message or "") if condition is not None else ""


_waits_for_its_bfb = Level[DeploymentView](
    "waiting for its BFB", lambda view: "BFB is not ready" in _prerequisites(view)
)


def _ready_message_is(text: str) -> Level[ObjectState[DPUSet]]:
    """The condition Ready of the DPUSet has this message."""

    def holds(state: ObjectState[DPUSet]) -> bool:
        condition = state.condition("Ready")
        return condition is not None and condition.message == text

    return Level(text, holds)


def _is_current(change: Change) -> bool:
    ready = [one for one in change.status["conditions"] if one["type"] == "Ready"]
    generation: int = change.obj["metadata"]["generation"]
    return [one["observedGeneration"] for one in ready] == [generation]


async def use_strategy(sim: Simulator, dpf: DPFClient, strategy: str) -> None:
    chosen = {"spec": {"dpus": {"dpuSetStrategy": {"type": strategy}}}}
    await dpf.resource(DPUDeployment).patch("compute", chosen)
    await sim.settled()


async def test_with_on_delete_a_new_bfb_applies_when_the_dpu_is_deleted() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()
        dpu = await only_dpu(dpf, node.name)

        await use_another_bfb(sim, dpf)

        same = await only_dpu(dpf, node.name)
        assert (same.uid, same.spec.bfb, same.status.phase) == (dpu.uid, "bf-bundle", "Ready")
        await dpf.reprovision_dpu(dpu.name, timeout=60)
        assert (await only_dpu(dpf, node.name)).spec.bfb == "new"


async def test_with_rolling_update_a_new_bfb_replaces_ready_dpus_one_by_one() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        hosts = [await sim.ready_node(), await sim.ready_node()]
        await use_strategy(sim, dpf, "RollingUpdate")

        await use_another_bfb(sim, dpf)

        found = {(await only_dpu(dpf, host.name)).spec.bfb: host.name for host in hosts}
        assert set(found) == {"bf-bundle", "new"}, "one is replaced and held; the other waits for it"
        await dpf.mark_dpu_node_ready_for_maintenance(found["new"])
        await answer_reboots(dpf, found["new"])
        await sim.settled()
        assert (await only_dpu(dpf, found["bf-bundle"])).spec.bfb == "new"


async def test_with_rolling_update_dpus_that_are_not_ready_are_replaced_at_once() -> None:
    async with site_with_client() as (sim, dpf):
        hosts = [await register(sim), await register(sim)]
        await use_strategy(sim, dpf, "RollingUpdate")

        await use_another_bfb(sim, dpf)

        assert [(await only_dpu(dpf, host.name)).spec.bfb for host in hosts] == ["new", "new"]


async def test_with_rolling_update_the_next_dpu_is_replaced_after_one_is_ready() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        current, outdated = await sim.ready_node(), await sim.ready_node()
        await use_another_bfb(sim, dpf)
        await dpf.reprovision_dpu((await only_dpu(dpf, current.name)).name, timeout=60)
        await sim.settled()
        await release_hold(sim, dpf, current.name)
        await answer_reboots(dpf, current.name)
        await sim.settled()
        sim.trouble("dpu_node_not_ready", node=current.name)
        await sim.settled()
        await use_strategy(sim, dpf, "RollingUpdate")
        before = await only_dpu(dpf, outdated.name)

        sim.repair()
        await sim.settled()

        assert before.spec.bfb == "bf-bundle", "it waits for the DPU that is not Ready"
        assert (await only_dpu(dpf, outdated.name)).spec.bfb == "new"


async def test_a_dpuset_is_never_ready_with_outdated_dpus() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        await sim.ready_node()
        await sim.ready_node()
        await use_strategy(sim, dpf, "RollingUpdate")
        before = len(history(sim, DPUSet))

        await use_another_bfb(sim, dpf)

        after = [change for change in history(sim, DPUSet)[before:] if _is_current(change)]
        assert {change.condition("Ready") for change in after} == {("False", "Pending")}


async def test_with_on_delete_a_dpuset_is_not_ready_until_outdated_dpus_are_deleted() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()

        await use_another_bfb(sim, dpf)

        dpu_set = await dpf.resource(DPUSet).get("compute-default")
        assert conditions(dpu_set)["Ready"] == ("False", "Pending")
        assert message(dpu_set, "Ready") == "Some DPUs are not ready"
        await dpf.reprovision_dpu((await only_dpu(dpf, node.name)).name, timeout=60)
        await sim.settled()
        await release_hold(sim, dpf, node.name)
        await answer_reboots(dpf, node.name)
        await sim.settled()
        dpu_set = await dpf.resource(DPUSet).get("compute-default")
        assert conditions(dpu_set)["Ready"] == ("True", "Success")


async def test_a_dpuset_is_ready_after_its_dpus_observed_a_change_in_place() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        await sim.ready_node()
        compute = dpf.handle(DPUSet, "compute-default")

        with sim.server.faults.stalled(verb="patch", resource="dpus/status"):
            await dpf.resource(DPUDeployment).patch("compute", {"spec": {"dpus": {"nodeEffect": FORCED}}})
            await compute.until(_ready_message_is("Some DPUs are not ready"), timeout=60)
        await sim.settled()

        dpu_set = await dpf.resource(DPUSet).get(compute.name)
        assert conditions(dpu_set)["Ready"] == ("True", "Success")


async def test_a_changed_flavor_affects_the_template_hash_and_new_dpus_only() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim)
        before = (await dpf.resource(DPUSet).get("compute-default")).metadata.labels
        flavor = DPUFlavor(metadata=ObjectMeta(name="other"), spec=DPUFlavorSpec(dpu_mode="zero-trust"))
        await dpf.resource(DPUFlavor).create(flavor)

        await dpf.update_dpu_deployment_configuration("compute", "other", timeout=60)
        await sim.settled()

        after = (await dpf.resource(DPUSet).get("compute-default")).metadata.labels
        key = known.DPUSET_TEMPLATE_HASH_LABEL
        assert before[key] != after[key]
        dpu = await only_dpu(dpf, host.name)
        assert (dpu.spec.dpu_flavor, dpu.metadata.labels[key]) == ("dpu-flavor", before[key])


async def test_the_old_bfb_is_released_when_no_deployment_uses_it() -> None:
    async with site_with_client() as (sim, dpf):
        await use_another_bfb(sim, dpf)

        old, new = [await dpf.resource(BFB).get(name) for name in ("bf-bundle", "new")]

        assert old.metadata.finalizers == (known.BFB_FINALIZER,)
        assert not any(key.startswith(known.CONSUMED_BY_LABEL_PREFIX) for key in old.metadata.labels)
        assert new.metadata.finalizers == (known.BFB_FINALIZER, known.DPUDEPLOYMENT_FINALIZER)


async def test_a_bfb_that_is_not_ready_does_not_change_dpusets() -> None:
    async with site_with_client(troubles=["bfb_download_failed@new"]) as (sim, dpf):
        await use_another_bfb(sim, dpf)

        deployment = await dpf.resource(DPUDeployment).get("compute")

        assert conditions(deployment)["PrerequisitesReady"] == ("False", "Pending")
        assert message(deployment, "PrerequisitesReady").endswith("BFB is not ready yet")
        assert conditions(deployment)["DPUSetsReconciled"] == ("Unknown", "Pending")
        assert deployment.status.observed_generation == deployment.metadata.generation
        template = (await dpf.resource(DPUSet).get("compute-default")).spec.dpu_template.spec
        assert template is not None
        assert template.bfb is not None
        assert template.bfb.name == "bf-bundle"


async def test_no_dpu_is_created_before_the_bfb_exists() -> None:
    profile = replace(INSTANT, bfb_download=3600.0)
    async with Simulator(profile=profile) as sim, sim.client() as dpf:
        await dpf.create_initialization_objects(minimal_site(), bmc_password="secret")
        host = await sim.register_host()

        view = await dpf.deployment("compute").until(_waits_for_its_bfb, timeout=60)

        assert not view.accepted
        assert not await exists(dpf, DPUSet, "compute-default")
        assert await dpus(dpf, host.name) == []


async def test_a_dpu_in_an_unselected_cluster_is_deleted_even_with_on_delete() -> None:
    async with site_with_client() as (sim, dpf):
        await register(sim)
        gold = ObjectMeta(name="gold", labels={"tier": "gold"})
        await dpf.resource(DPUCluster).create(DPUCluster(metadata=gold, spec=DPUClusterSpec(type="kamaji")))
        await sim.settled()
        (group,) = (await dpf.resource(DPUDeployment).get("compute")).to_wire()["spec"]["dpus"]["dpuSets"]

        chosen = {"spec": {"dpus": {"dpuSets": [{**group, "dpuClusterSelector": {"tier": "gold"}}]}}}
        await dpf.resource(DPUDeployment).patch("compute", chosen)
        await sim.settled()

        (dpu,) = (await dpf.resource(DPU).list()).items
        assert len([change for change in history(sim, DPU) if change.type == "DELETED"]) == 1
        assert dpu.spec.cluster is not None
        assert dpu.spec.cluster.name == "gold"


async def test_a_non_disruptive_label_is_applied_without_a_hold() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()
        before = len(history(sim, DPU))

        template = {"spec": {"dpuTemplate": {"spec": {"cluster": {"nodeLabels": {"rack": "7"}}}}}}
        await dpf.resource(DPUSet).patch("compute-default", template)
        await sim.settled()

        sequence = phases(history(sim, DPU)[before:])
        assert sequence == ["Ready", "DPU Cluster Config", "Node Effect Removal", "Ready"]
        dpu = await only_dpu(dpf, node.name)
        assert dpu.spec.cluster is not None
        assert dpu.spec.cluster.node_labels["rack"] == "7"


async def test_two_groups_select_hosts_by_their_labels() -> None:
    async with site_with_client() as (sim, dpf):
        host = await register(sim)
        others = {"matchLabels": {"group": "other"}}

        (group,) = (await dpf.resource(DPUDeployment).get("compute")).to_wire()["spec"]["dpus"]["dpuSets"]
        more = {"nameSuffix": "other", "dpuNodeSelector": others}
        await dpf.resource(DPUDeployment).patch("compute", {"spec": {"dpus": {"dpuSets": [group, more]}}})
        await dpf.resource(DPUNode).patch(
            host.name, {"metadata": {"labels": {"group": "other", known.CARBIDE_CONTROLLED_NODE_LABEL: None}}}
        )
        await sim.settled()

        dpu = await only_dpu(dpf, host.name)
        assert dpu.metadata.labels[known.DPUSET_NAME_LABEL] == "compute-other"


async def test_a_dpuset_is_applied_after_repeated_conflicts() -> None:
    async with site_with_client() as (sim, dpf):
        flavor = DPUFlavor(metadata=ObjectMeta(name="new"), spec=DPUFlavorSpec())
        await dpf.resource(DPUFlavor).create(flavor)
        await sim.settled()
        sim.server.faults.answer(409, times=4, verb="patch", resource="dpusets")

        await dpf.update_dpu_deployment_configuration("compute", "new", timeout=60)

        (made,) = (await dpf.resource(DPUSet).list()).items
        assert made.to_wire()["spec"]["dpuTemplate"]["spec"]["dpuFlavor"] == "new"
