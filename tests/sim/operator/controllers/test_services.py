"""Services: the objects of a deployment, their requestors, and the effects of health and changes on DPUs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dpf_async import DPFClient, ObjectState, SiteSpec
from dpf_async._specs import PortSpec
from dpf_async.levels import Level, external_reboot_required, phase_is, ready, services_ready
from dpf_async.models import (
    DPU,
    ConfiguredInterface,
    DPUDeployment,
    DPUNodeMaintenance,
    DPUService,
    DPUServiceChain,
    DPUServiceConfiguration,
    DPUServiceInterface,
    DPUServiceTemplate,
    known,
)
from dpf_async.sim import Simulator
from dpf_async.sim.operator import INSTANT
from dpf_async.sim.simulator import minimal_site
from dpf_async.specs import ServiceSpec, SwitchSpec
from tests.sim.operator.site import (
    answer_reboots,
    conditions,
    dpus,
    exists,
    get_hold,
    history,
    message,
    only_dpu,
    phases,
    register,
    release_hold,
    site_with_client,
)


def site_spec_with(service: dict[str, Any], **group: Any) -> SiteSpec:
    """The minimal site with another service and group."""
    site = minimal_site()
    dts = site.services["dts"].model_copy(update=service)
    compute = site.groups["compute"].model_copy(update=group)
    return site.model_copy(
        update={
            "services": {"dts": ServiceSpec.model_validate(dts.model_dump())},
            "groups": {"compute": compute},
        }
    )


async def define(sim: Simulator, dpf: DPFClient, site: SiteSpec) -> None:
    await dpf.create_initialization_objects(site, bmc_password="secret")
    await sim.settled()


async def change_service(sim: Simulator, dpf: DPFClient, version: str = "2.0.0") -> None:
    chart = {"spec": {"helmChart": {"source": {"version": version}}}}
    await dpf.resource(DPUServiceTemplate).patch("dts", chart)
    await sim.settled()


async def only_service(dpf: DPFClient) -> DPUService:
    (service,) = (await dpf.resource(DPUService).list()).items
    return service


async def test_a_deployment_without_hosts_is_ready() -> None:
    async with site_with_client() as (_, dpf):
        deployment = await dpf.resource(DPUDeployment).get("compute")

        assert list(conditions(deployment)) == [
            "Ready",
            "PrerequisitesReady",
            "ResourceFittingReady",
            "VersionMatchingReady",
            "DPUSetsReconciled",
            "DPUSetsReady",
            "DPUServicesReconciled",
            "DPUServicesReady",
            "DPUServiceChainsReconciled",
            "DPUServiceChainsReady",
            "DPUServiceInterfacesReconciled",
            "DPUServiceInterfacesReady",
        ]
        assert set(conditions(deployment).values()) == {("True", "Success")}
        assert {one.observed_generation for one in deployment.conditions} == {1}


async def test_the_observed_generation_is_written_after_the_conditions() -> None:
    async with site_with_client() as (sim, dpf):
        await dpf.resource(DPUDeployment).patch("compute", {"spec": {"revisionHistoryLimit": 3}})
        await sim.settled()

        changes = history(sim, DPUDeployment)

        of_conditions = next(c.version for c in changes if _generation_of_conditions(c.status) == 2)
        of_status = next(c.version for c in changes if c.status.get("observedGeneration") == 2)
        assert of_conditions < of_status


def _generation_of_conditions(status: dict[str, Any]) -> int:
    return max((one.get("observedGeneration", 0) for one in status.get("conditions", [])), default=0)


async def test_a_deployment_owns_the_objects_it_creates() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        interface = ConfiguredInterface(name="app_sf", network="mybrsfc")
        port = PortSpec(service="dts", interface="app_sf")
        await define(
            sim, dpf, site_spec_with({"interfaces": (interface,)}, chains=(SwitchSpec(ports=(port,)),))
        )

        service = await only_service(dpf)
        (of_service,) = (await dpf.resource(DPUServiceInterface).list()).items
        (chain,) = (await dpf.resource(DPUServiceChain).list()).items

        for obj in (service, of_service, chain):
            (owner,) = obj.metadata.owner_references
            assert (owner.kind, owner.name, owner.controller) == ("DPUDeployment", "compute", True)
            assert obj.metadata.labels[known.OWNED_BY_DPUDEPLOYMENT_LABEL] == f"{known.DPF_NAMESPACE}_compute"
        assert service.spec.interfaces == (of_service.name,)
        inner = of_service.spec.template.spec.template.spec.service
        assert inner is not None
        assert (inner.network, inner.interface_name) == (f"{known.DPF_NAMESPACE}/mybrsfc", "app_sf")
        (end,) = chain.spec.template.spec.template.spec.switches[0].ports
        metadata = of_service.spec.template.spec.template.metadata
        assert metadata is not None
        assert end.service_interface.match_labels == metadata.labels


async def test_services_and_chains_are_requestors_unless_the_chain_is_excluded() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        port = PortSpec(labels={"uplink": "p0"})
        await define(sim, dpf, site_spec_with({}, chains=(SwitchSpec(ports=(port,)),)))
        (chain,) = (await dpf.resource(DPUServiceChain).list()).items
        service = await only_service(dpf)
        owner = f"{known.DPF_NAMESPACE}_compute"

        both = await register(sim)
        excuse = {"metadata": {"annotations": {known.SKIP_CHAIN_REQUESTOR: ""}}}
        await dpf.resource(DPUDeployment).patch("compute", excuse)
        await sim.settled()
        one = await register(sim)

        asked = [(await get_hold(dpf, host.name)).spec.requestor[:-1] for host in (both, one)]
        assert asked == [(f"{owner}_{service.name}", f"{owner}_{chain.name}"), (f"{owner}_{service.name}",)]


_has_only_service_requestors = Level[ObjectState[DPUNodeMaintenance]](
    "asked for by services only",
    lambda state: all("_" in one for one in state.object.spec.requestor),
)


async def test_the_node_effect_is_removed_only_when_services_run() -> None:
    profile = replace(INSTANT, start_pods=3600.0)
    async with site_with_client(profile=profile, troubles=["no_reboot"]) as (sim, dpf):
        host = await register(sim)
        await dpf.mark_dpu_node_ready_for_maintenance(host.name)
        dpu = await only_dpu(dpf, host.name)

        view = await dpf.dpu(dpu.name).until(phase_is("Node Effect Removal"), timeout=60)
        maintenance = dpf.handle(DPUNodeMaintenance, f"{host.name}-hold")
        await maintenance.until(_has_only_service_requestors, timeout=60)

        assert not services_ready.holds(view)
        assert (
            (await get_hold(dpf, host.name))
            .spec.requestor[0]
            .startswith(f"{known.DPF_NAMESPACE}_compute_dts-")
        )


async def test_a_failed_critical_service_does_not_change_the_phase_ready() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node(devices=2)
        one, _ = await dpus(dpf, node.name)

        sim.trouble("critical_service_down", device=one.spec.dpu_device_name)
        await sim.settled()

        down, up = await dpus(dpf, node.name)
        assert down.status.phase == up.status.phase == "Ready"
        assert conditions(down)["Ready"] == ("True", "DPUReady")
        found = {one.type: one for one in down.status.operational_conditions}
        assert (found["OperationalReady"].status, found["OperationalReady"].reason) == ("False", "NotReady")
        assert found["OperationalReady"].message == "Not ready conditions: DPUServiceCriticalPodsReady"
        assert found["DPUServiceCriticalPodsReady"].message.startswith(
            "Critical Pods not ready (0/1 Pods): dts-"
        )
        assert up.operational_condition("OperationalReady").status == "True"  # type: ignore[union-attr]  # written
        sim.repair("critical_service_down")
        await dpf.node(node.name).until(ready & services_ready, timeout=60)


async def test_a_non_critical_service_is_reported_separately() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()
        uncritical = {"metadata": {"labels": {known.CRITICAL_SERVICE_LABEL: None}}}
        await dpf.resource(DPUService).patch((await only_service(dpf)).name, uncritical)

        sim.trouble("critical_service_down")
        await sim.settled()

        found = {
            one.type: one.status for one in (await only_dpu(dpf, node.name)).status.operational_conditions
        }
        assert found["DPUServiceNonCriticalPodsReady"] == found["OperationalReady"] == "False"
        assert found["DPUServiceCriticalPodsReady"] == "True"


async def test_a_disruptive_change_requests_a_hold_and_installs_nothing() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        await define(sim, dpf, site_spec_with({"disruptive": True}))
        node = await sim.ready_node()
        old, before = await only_service(dpf), len(history(sim, DPU))

        await change_service(sim, dpf)

        dpu = await only_dpu(dpf, node.name)
        assert (dpu.status.phase, dpu.status.previous_phase) == ("Node Effect", "Ready")
        assert dpu.status.post_provisioning_node_effect is True
        assert conditions(dpu)["Ready"] == ("True", "DPUReady"), "the condition is kept"
        assert conditions(dpu)["NodeEffectReady"] == ("False", "NodeEffectInProgress")
        hold = await get_hold(dpf, node.name)
        assert hold.metadata.annotations[known.WAIT_FOR_EXTERNAL_NODE_EFFECT] == "true"
        assert len((await dpf.resource(DPUService).list()).items) == 2, "the old revision runs until then"

        await release_hold(sim, dpf, node.name)

        sequence = phases(history(sim, DPU)[before:])
        assert sequence == ["Ready", "Node Effect", "DPU Cluster Config", "Node Effect Removal", "Ready"]
        assert (await only_dpu(dpf, node.name)).status.post_provisioning_node_effect is None
        assert (await only_service(dpf)).name != old.name


async def test_a_second_disruptive_change_during_a_hold_does_not_block_ready() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        await define(sim, dpf, site_spec_with({"disruptive": True}))
        node = await sim.ready_node()
        await change_service(sim, dpf)

        await change_service(sim, dpf, "3.0.0")
        assert len((await dpf.resource(DPUService).list()).items) == 3
        await release_hold(sim, dpf, node.name)

        assert (await only_dpu(dpf, node.name)).status.phase == "Ready"
        assert (await only_service(dpf)).spec.helm_chart.source.version == "3.0.0"


async def test_a_non_disruptive_change_is_applied_in_place() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()
        old, before = await only_service(dpf), len(history(sim, DPU))

        await change_service(sim, dpf)

        service = await only_service(dpf)
        assert service.uid == old.uid
        assert service.spec.helm_chart.source.version == "2.0.0"
        assert phases(history(sim, DPU)[before:]) in ([], ["Ready"])
        assert (await only_dpu(dpf, node.name)).status.phase == "Ready"


async def test_services_of_a_failed_dpu_remain_requestors() -> None:
    async with site_with_client() as (sim, dpf):
        host = sim.host(devices=2)
        sim.trouble("install_failed", device=host.devices[0].name)
        await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
        await sim.settled()
        await release_hold(sim, dpf, host.name)

        await dpf.mark_dpu_node_rebooted(host.name)
        await sim.settled()

        failed, waiting = await dpus(dpf, host.name)
        assert (failed.status.phase, waiting.status.phase) == ("Error", "Node Effect Removal")
        hold = await get_hold(dpf, host.name)
        assert not {failed.name, waiting.name} & {*hold.spec.requestor}
        assert hold.spec.requestor, "its services never ran on the failed DPU"


async def test_values_of_the_configuration_take_precedence_over_the_template() -> None:
    async with site_with_client() as (sim, dpf):
        values = {"helmChart": {"values": {"a": {"b": 2}}}}
        await dpf.resource(DPUServiceTemplate).patch(
            "dts", {"spec": {"helmChart": {"values": {"a": {"b": 1, "c": 1}}}}}
        )
        await dpf.resource(DPUServiceConfiguration).patch("dts", {"spec": {"serviceConfiguration": values}})
        await sim.settled()

        assert (await only_service(dpf)).spec.helm_chart.values == {"a": {"b": 2, "c": 1}}


async def test_services_that_do_not_fit_stop_the_deployment() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        site = site_spec_with({"resources": {"cpu": "17"}})
        flavor = site.flavors["dpu-flavor"].model_copy(update={"dpu_resources": {"cpu": "16"}})
        await define(sim, dpf, site.model_copy(update={"flavors": {"dpu-flavor": flavor}}))

        deployment = await dpf.resource(DPUDeployment).get("compute")

        assert conditions(deployment)["ResourceFittingReady"] == ("False", "Failure")
        assert conditions(deployment)["DPUServicesReconciled"] == ("Unknown", "Pending")
        assert not (await dpf.resource(DPUService).list()).items


async def test_a_template_for_another_service_stops_the_deployment() -> None:
    async with site_with_client() as (sim, dpf):
        renamed = {"spec": {"deploymentServiceName": "other"}}
        await dpf.resource(DPUServiceConfiguration).patch("dts", renamed)
        await sim.settled()

        deployment = await dpf.resource(DPUDeployment).get("compute")

        assert conditions(deployment)["PrerequisitesReady"] == ("False", "Error")
        assert "is for service other, not dts" in message(deployment, "PrerequisitesReady")


async def test_a_removed_service_is_deleted() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        site = minimal_site()
        group = site.groups["compute"].model_copy(update={"services": ("dts", "hbn")})
        services = {**site.services, "hbn": site.services["dts"]}
        await define(sim, dpf, site.model_copy(update={"services": services, "groups": {"compute": group}}))
        assert len((await dpf.resource(DPUService).list()).items) == 2

        await dpf.resource(DPUDeployment).patch("compute", {"spec": {"services": {"hbn": None}}})
        await sim.settled()

        assert (await only_service(dpf)).name.startswith("dts-")
        template = await dpf.resource(DPUServiceTemplate).get("hbn")
        assert known.DPUDEPLOYMENT_FINALIZER not in template.metadata.finalizers
        assert not await exists(dpf, DPUService, "hbn")


async def test_labels_of_users_on_a_service_are_kept() -> None:
    async with site_with_client() as (sim, dpf):
        await change_service(sim, dpf)

        assert known.CRITICAL_SERVICE_LABEL in (await only_service(dpf)).metadata.labels


async def test_a_disruptive_service_on_a_new_host_causes_one_hold() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        await define(sim, dpf, site_spec_with({"disruptive": True}))

        host = await register(sim)
        await release_hold(sim, dpf, host.name)
        await dpf.node(host.name).until(external_reboot_required, timeout=60)
        await answer_reboots(dpf, host.name)
        await sim.settled()

        assert phases(history(sim, DPU)).count("Node Effect") == 1


async def test_non_critical_services_can_fail_while_critical_ones_run() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()

        sim.trouble("other_service_down")
        await sim.settled()
        with_critical_ones_only = (await only_dpu(dpf, node.name)).status.operational_conditions
        uncritical = {"metadata": {"labels": {known.CRITICAL_SERVICE_LABEL: None}}}
        await dpf.resource(DPUService).patch((await only_service(dpf)).name, uncritical)
        await sim.settled()

        assert {one.status for one in with_critical_ones_only} == {"True"}
        found = {
            one.type: one.status for one in (await only_dpu(dpf, node.name)).status.operational_conditions
        }
        assert found["DPUServiceNonCriticalPodsReady"] == found["OperationalReady"] == "False"
        assert found["DPUServiceCriticalPodsReady"] == "True"


async def test_pods_that_cannot_be_listed_make_the_summary_unknown() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        node = await sim.ready_node()

        sim.trouble("service_health_unknown")
        await sim.settled()

        found = {one.type: one for one in (await only_dpu(dpf, node.name)).status.operational_conditions}
        for type_ in ("DPUServiceCriticalPodsReady", "DPUServiceNonCriticalPodsReady"):
            assert (found[type_].status, found[type_].reason) == ("Unknown", "InternalError")
        assert (found["OperationalReady"].status, found["OperationalReady"].reason) == ("Unknown", "Unknown")
        assert found["NodeProblemsReady"].status == "True"
