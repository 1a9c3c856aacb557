"""Every operation that needs permissions, as a call, and the objects that it needs to run.

A new operation in NEEDS needs a call here, and a Scenario for each permission that no other operation needs;
test_permissions.py names the missing ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import anyio

from dpf_async import (
    DeviceSpec,
    DPFClient,
    DPUView,
    HostSpec,
    HostUpgrade,
    SiteSpec,
    discover,
    monitor,
    provision,
    reprovision,
    rollback,
    upgrade,
)
from dpf_async._base.tasks import background_tasks
from dpf_async._handshakes.claims import CLAIM_LABEL, Claims, lease_name
from dpf_async.health import HealthPolicy, HealthTransition, NodeHealth
from dpf_async.levels import Level, accepted, node_effect_held
from dpf_async.models import (
    DPU,
    BFBSpec,
    DPFOperatorConfig,
    DPUFlavorSpec,
    DPUNode,
    DPUNodeMaintenance,
    DPUServiceNADSpec,
    DPUSpec,
    Lease,
    LeaseSpec,
    NodeEffect,
    ObjectMeta,
    PhysicalInterface,
    ServiceInterfaceSpec,
    known,
)
from dpf_async.models.names import DeviceName, NodeName
from dpf_async.models.node import DPUNodeMaintenanceSpec
from dpf_async.sim.operator.process.bootstrap import install
from dpf_async.sim.simulator import minimal_site
from dpf_async.specs import InterfaceSpec
from dpf_async.transitions import Transition

GUARD: Final = 20.0
"""Timeout of a test that hangs, in seconds."""

OTHER_BFB: Final = "other-bundle"
OTHER_FLAVOR: Final = "other-flavor"

SITE: Final[SiteSpec] = minimal_site().model_copy(
    update={
        "bfbs": {**minimal_site().bfbs, OTHER_BFB: BFBSpec(url="https://bfb.example.com/other.bfb")},
        "flavors": {**minimal_site().flavors, OTHER_FLAVOR: DPUFlavorSpec()},
        "networks": {"uplink": DPUServiceNADSpec(resource_type="sf")},
        "interfaces": {
            "p0": InterfaceSpec(
                labels={"uplink": "p0"},
                interface=ServiceInterfaceSpec(
                    interface_type="physical", physical=PhysicalInterface(interface_name="p0")
                ),
            )
        },
        "operator_bfcfg": False,
    }
)
"""A site with one object of each kind, and the BFB and flavor to change it to."""

(GROUP,) = SITE.groups


@dataclass(frozen=True)
class Hosts:
    """The arguments of the calls.

    Attributes:
        held: a host with a pending hold.
        rebooting: name of a host with a pending reboot request; it may be the same host.
        dpu: name of a DPU.
    """

    held: HostSpec
    rebooting: str
    dpu: str


HOST: Final = HostSpec(
    name="node-1",
    devices=(DeviceSpec(name="device-1", serial_number="MT2500XZ0001", bmc_ip="10.1.0.1"),),
    labels={"rack": "7"},
)
HOSTS: Final = Hosts(held=HOST, rebooting=HOST.name, dpu="node-1-device-1")
"""The host that `registered` creates."""

CLAIMS: Final = Claims("alice")

Call = Callable[[DPFClient, Hosts], Awaitable[object]]

EXISTS: Final = Level[DPUView]("exists", lambda _: True, survives_failure=True)


async def reboot(_: str) -> None:
    """Simulate a reboot; it has no effect in these tests."""


async def first_transition(dpf: DPFClient) -> Transition:
    async with dpf.transitions() as stream:
        return await anext(stream)


async def first_health(dpf: DPFClient) -> HealthTransition:
    async with dpf.health_transitions() as stream:
        return await anext(stream)


async def first_action(dpf: DPFClient) -> str:
    """Return the first action of a monitor."""
    acted = anyio.Event()
    actions: list[str] = []

    class Policy(HealthPolicy):
        async def remove_from_pool(self, host: NodeHealth) -> None:
            actions.append(f"remove {host.node}")
            acted.set()

        async def return_to_pool(self, host: NodeHealth) -> None:
            actions.append(f"return {host.node}")
            acted.set()

    async with background_tasks() as tasks:
        tasks.start_soon(monitor, dpf, Policy())
        await acted.wait()
    return actions[0]


async def approve(_: HostUpgrade) -> bool:
    """Approve every host."""
    return True


async def answer_reboot(dpf: DPFClient, node: str) -> None:
    async with dpf.node(node).external_reboot(timeout=GUARD):
        await reboot(node)


async def release_hold(dpf: DPFClient, node: str) -> None:
    async with dpf.node(node).node_effect_hold(timeout=GUARD):
        pass


async def renew_password(dpf: DPFClient) -> None:
    async def provider() -> str:
        return "hunter2"

    async with dpf.bmc_password(provider):
        pass


CALLS: Final[Mapping[str, Call]] = {
    "node": lambda dpf, hosts: dpf.node(hosts.held.name).until(node_effect_held),
    "transitions": lambda dpf, _: first_transition(dpf),
    "health_transitions": lambda dpf, _: first_health(dpf),
    "monitor": lambda dpf, _: first_action(dpf),
    "snapshot": lambda dpf, hosts: dpf.snapshot(hosts.held.name),
    "dpu": lambda dpf, hosts: dpf.dpu(hosts.dpu).until(EXISTS),
    "deployment": lambda dpf, _: dpf.deployment(GROUP).until(accepted),
    "site_accepted": lambda dpf, _: dpf.site_accepted(SITE),
    "plan_site": lambda dpf, _: dpf.plan_site(SITE),
    "bmc_password": lambda dpf, _: renew_password(dpf),
    "create_initialization_objects": lambda dpf, _: dpf.create_initialization_objects(
        SITE, bmc_password="hunter2"
    ),
    # With other labels, so that the call patches an existing host.
    "create_dpu_node": lambda dpf, hosts: dpf.create_dpu_node(
        hosts.held.name,
        [device.model_copy(update={"labels": {"slot": "3"}}) for device in hosts.held.devices],
        labels={"rack": "8"},
    ),
    "host_discovered": lambda dpf, hosts: dpf.host_discovered(hosts.held.name),
    "verify_labels": lambda dpf, hosts: dpf.verify_labels(
        hosts.held.model_copy(update={"labels": {"rack": "9"}}), repair=True
    ),
    "mark_dpu_node_ready_for_maintenance": lambda dpf, hosts: dpf.mark_dpu_node_ready_for_maintenance(
        hosts.held.name
    ),
    "mark_dpu_node_rebooted": lambda dpf, hosts: dpf.mark_dpu_node_rebooted(hosts.rebooting),
    "reprovision_dpu": lambda dpf, hosts: dpf.reprovision_dpu(hosts.dpu),
    "is_dpu_node_waiting_for_reboot": lambda dpf, hosts: dpf.is_dpu_node_waiting_for_reboot(hosts.rebooting),
    "is_dpu_ready": lambda dpf, hosts: dpf.is_dpu_ready(hosts.dpu),
    "update_dpu_deployment_bfb": lambda dpf, _: dpf.update_dpu_deployment_bfb(GROUP, OTHER_BFB),
    "update_dpu_deployment_configuration": lambda dpf, _: dpf.update_dpu_deployment_configuration(
        GROUP, OTHER_FLAVOR
    ),
    "outdated_dpus": lambda dpf, _: dpf.outdated_dpus(),
    "service_versions": lambda dpf, _: dpf.service_versions(SITE),
    "delete_dpu": lambda dpf, hosts: dpf.delete_dpu(hosts.held.devices[0].name),
    "force_delete_dpu": lambda dpf, hosts: dpf.force_delete_dpu(hosts.held.devices[0].name, grace_period=0),
    "delete_dpu_node": lambda dpf, hosts: dpf.delete_dpu_node(hosts.held.name),
    "force_delete_dpu_node": lambda dpf, hosts: dpf.force_delete_dpu_node(hosts.held.name, grace_period=0),
    "external_reboot": lambda dpf, hosts: answer_reboot(dpf, hosts.rebooting),
    "node_effect_hold": lambda dpf, hosts: release_hold(dpf, hosts.held.name),
    "discover": lambda dpf, hosts: discover(dpf, hosts.held),
    "provision": lambda dpf, hosts: provision(dpf, hosts.held, reboot=reboot),
    "reprovision": lambda dpf, hosts: reprovision(dpf, hosts.held.name, reboot=reboot),
    # The client has claims=CLAIMS.
    "claims": lambda dpf, hosts: release_hold(dpf, hosts.held.name),
    "upgrade": lambda dpf, _: upgrade(dpf, GROUP, approve=approve, reboot=reboot),
    "rollback": lambda dpf, _: rollback(dpf, GROUP),
}
"""Every operation of NEEDS."""

# The objects that operations need, created by an administrator in place of the operator.

Given = Callable[[DPFClient], Awaitable[None]]


async def nothing(_: DPFClient) -> None:
    """An empty namespace: a forbidden read needs no object."""


async def installed(admin: DPFClient) -> None:
    """DPF with a configuration that has its own bf.cfg template, without a site."""
    await install(admin, now=datetime.now(UTC))
    template = {"spec": {"provisioningController": {"bfCFGTemplateConfigMap": "bfcfg"}}}
    await admin.resource(DPFOperatorConfig).patch(known.OPERATOR_CONFIG_NAME, template)


async def defined(admin: DPFClient) -> None:
    """DPF with a site."""
    await installed(admin)
    await admin.create_initialization_objects(SITE)


async def registered(admin: DPFClient) -> None:
    """The host of HOSTS, with a pending hold and reboot request; its DPU has a finalizer."""
    await admin.create_dpu_node(HOST.name, HOST.devices, labels=HOST.labels)
    reboot_required = {"metadata": {"annotations": {known.EXTERNAL_REBOOT_REQUIRED: "true"}}}
    await admin.resource(DPUNode).patch(HOST.name, reboot_required)
    (device,) = HOST.devices
    dpu = DPUSpec(
        dpu_node_name=NodeName(HOST.name),
        dpu_device_name=DeviceName(device.name),
        serial_number=device.serial_number,
        dpu_flavor="dpu-flavor",
        bfb="bf-bundle",
        node_effect=NodeEffect(hold=True),
    )
    meta = ObjectMeta(name=HOSTS.dpu, finalizers=(known.DPU_FINALIZER,))
    await admin.resource(DPU).create(DPU(metadata=meta, spec=dpu))
    await admin.resource(DPUNodeMaintenance).create(
        DPUNodeMaintenance(
            metadata=ObjectMeta(name="hold", annotations={known.WAIT_FOR_EXTERNAL_NODE_EFFECT: "true"}),
            spec=DPUNodeMaintenanceSpec(dpu_node_name=NodeName(HOST.name), node_effect=NodeEffect(hold=True)),
        )
    )


async def claimed(admin: DPFClient) -> None:
    """The same host, with a claim of another worker."""
    await registered(admin)
    await admin.resource(Lease).create(
        Lease(
            metadata=ObjectMeta(name=lease_name(HOST.name), labels={CLAIM_LABEL: "dpunode"}),
            spec=LeaseSpec(holder_identity="other-worker", lease_duration_seconds=3600),
        )
    )


@dataclass(frozen=True)
class Scenario:
    """An operation that needs certain permissions when certain objects exist.

    Attributes:
        shows: the verbs that it needs, by resource.
    """

    operation: str
    given: Given
    shows: Mapping[str, str]


SCENARIOS: Final = (
    Scenario(
        "create_initialization_objects",
        installed,
        {
            "bfbs": "create",
            "dpuflavors": "list create",
            "dpuservicenads": "list create patch",
            "dpuserviceinterfaces": "list create patch",
            "dpuservicetemplates": "create patch",
            "dpuserviceconfigurations": "list create patch",
            "dpudeployments": "create patch",
            "secrets": "create patch",
            "dpfoperatorconfigs": "get patch",
        },
    ),
    Scenario("update_dpu_deployment_bfb", defined, {"bfbs": "get"}),
    Scenario("update_dpu_deployment_configuration", defined, {"dpuflavors": "get", "dpudeployments": "get"}),
    Scenario("service_versions", nothing, {"dpuservicetemplates": "list"}),
    Scenario("outdated_dpus", registered, {"dpusets": "list"}),
    Scenario("site_accepted", nothing, {"bfbs": "list watch"}),
    Scenario("deployment", nothing, {"dpudeployments": "list watch"}),
    Scenario("dpu", nothing, {"dpus": "list watch"}),
    Scenario("node", nothing, {"dpunodes": "list watch", "dpunodemaintenances": "list watch"}),
    Scenario("transitions", nothing, {"dpudevices": "list watch"}),
    Scenario("create_dpu_node", nothing, {"dpudevices": "create", "dpunodes": "create"}),
    Scenario("create_dpu_node", registered, {"dpudevices": "get patch", "dpunodes": "patch"}),
    Scenario("is_dpu_ready", registered, {"dpus": "get"}),
    Scenario("is_dpu_node_waiting_for_reboot", registered, {"dpunodes": "get"}),
    Scenario("mark_dpu_node_ready_for_maintenance", registered, {"dpunodemaintenances": "get patch"}),
    Scenario("reprovision_dpu", registered, {"dpus": "delete"}),
    Scenario("force_delete_dpu", registered, {"dpus": "patch"}),
    Scenario("delete_dpu", registered, {"dpudevices": "delete"}),
    Scenario("claims", registered, {"leases": "get create patch"}),
    Scenario("claims", claimed, {"leases": "list watch"}),
    Scenario("delete_dpu_node", registered, {"dpunodes": "delete", "dpunodemaintenances": "delete"}),
)
"""For each permission of the operator role, the cheapest operation that fails without it."""
