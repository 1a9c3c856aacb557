"""Defects of the Rust SDK without a test elsewhere; the numbers are those of docs/coming-from-rust.md.

Source: docs/dpf/sdk.md#defects.
"""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from pydantic import ValidationError

from dpf_async import DPUView, HostSpec, load_site, presets, provision
from dpf_async.levels import external_reboot_required
from dpf_async.models import (
    DPU,
    KINDS,
    DPUDeployment,
    DPUFlavor,
    DPUPhase,
    DPUServiceConfiguration,
    DPUServiceTemplate,
    Resource,
)
from dpf_async.sim import Simulator
from dpf_async.specs import GroupSpec, PortSpec, SwitchSpec
from dpf_async.transitions import (
    DPUAppeared,
    ExternalRebootRequired,
    NodeGone,
    PhaseChanged,
    Transition,
)
from dpf_async.watch import Added
from tests.integration.test_plain_calls import dpu_in
from tests.integration.test_setup import site_of
from tests.site.test_files import EXAMPLES
from tests.support.cluster import NODE, Cluster, Server, cluster
from tests.support.scripted import Scripted
from tests.support.states import dpu


async def test_8_a_reboot_request_has_the_name_of_the_node_and_no_address() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        waiting = await sim.node_waiting_for_external_reboot()
        async with dpf.node(waiting.name).external_reboot(timeout=60) as request:
            received = request

    addresses = {one.object.spec.bmc_ip for one in waiting.devices}
    assert received.node == waiting.name
    assert received.dpus == tuple(dpu.name for dpu in waiting.dpus)
    assert {received.node, *received.dpus}.isdisjoint(addresses)
    # A DPU has a deprecated address: that of its own BMC, which is not for rebooting the host.
    assert not [
        name for name in dir(received) if "ip" in name.lower().split("_") or "address" in name.lower()
    ]


async def test_9_method_stream_and_level_agree_on_whether_a_reboot_is_requested() -> None:
    async with cluster() as site:
        await site.create_node()
        await dpu_in(site, "Rebooting")
        before = await _requested(site)
        await site.request_reboot()
        pending = await _requested(site)
        await site.dpf.mark_dpu_node_rebooted(NODE)
        confirmed = await _requested(site)

    assert (before, pending, confirmed) == ({False}, {True}, {False})


async def _requested(site: Cluster[Server]) -> set[bool]:
    """The results of the method, the level and the stream."""
    view = await site.dpf.node(NODE).view()
    transitions: list[Transition] = []
    with anyio.fail_after(60):
        async with site.dpf.transitions() as stream:
            while not any(isinstance(one, DPUAppeared) for one in transitions):
                transitions.append(await anext(stream))
            # A new stream first yields the current state; a further change shows that it is complete.
            await site.dpf.resource(DPU).patch_status("dpu-1", {"status": {"phase": "Error"}})
            while not any(isinstance(one, PhaseChanged) for one in transitions):
                transitions.append(await anext(stream))
            await site.dpf.resource(DPU).patch_status("dpu-1", {"status": {"phase": "Rebooting"}})
    return {
        await site.dpf.is_dpu_node_waiting_for_reboot(NODE),
        external_reboot_required.holds(view),
        any(isinstance(one, ExternalRebootRequired) for one in transitions),
    }


@pytest.mark.parametrize("phase", [*DPUPhase.VALUES, *DPUPhase.OTHER_RELEASES, "Of No Release"])
def test_10_no_phase_is_reported_as_another(phase: str) -> None:
    view = DPUView(dpu(phase=phase))

    assert str(view.phase) == phase
    assert [value for value in DPUPhase.VALUES if view.phase == value] == [phase] * (phase in DPUPhase.VALUES)


@pytest.mark.parametrize("kind", KINDS)
async def test_12_every_kind_can_be_watched(kind: type[Resource]) -> None:
    obj = {
        "apiVersion": kind.API_VERSION,
        "kind": kind.KIND,
        "metadata": {
            "name": "a",
            "namespace": "dpf-operator-system",
            "uid": "uid-of-a",
            "resourceVersion": "100",
        },
    }
    with anyio.fail_after(60):
        async with Scripted(obj) as server, server.client() as dpf, dpf.resource(kind).watch() as stream:
            first = await anext(stream)
            watch = await server.watch(kind.PLURAL)
            await watch.send(server.deleted(obj))
            events = [type(await anext(stream)).__name__ for _ in range(2)]

    assert isinstance(first, Added)
    assert events == ["Synced", "Deleted"]


async def test_13_updates_yield_no_transitions_and_deletions_do() -> None:
    async with cluster() as site:
        await site.create_node()
        await dpu_in(site, "Pending")
        transitions: list[Transition] = []
        with anyio.fail_after(60):
            async with site.dpf.transitions() as stream:
                while not any(isinstance(one, DPUAppeared) for one in transitions):
                    transitions.append(await anext(stream))
                for number in range(5):
                    labels = {"metadata": {"labels": {"number": str(number)}}}
                    await site.dpf.resource(DPU).patch("dpu-1", labels)
                await site.dpf.resource(DPU).delete("dpu-1")
                while type(transitions[-1]).__name__ != "DPUGone":
                    transitions.append(await anext(stream))
                await site.dpf.delete_dpu_node(NODE, timeout=60)
                while not isinstance(transitions[-1], NodeGone):
                    transitions.append(await anext(stream))

    assert [type(one).__name__ for one in transitions if type(one).__name__ != "NodeTerminating"] == [
        "NodeAppeared",
        "DPUAppeared",
        "DPUGone",
        "NodeGone",
    ]


async def test_15_a_group_has_exactly_the_interfaces_charts_and_dependencies_of_its_site() -> None:
    switch = SwitchSpec(
        ports=(PortSpec(labels={"interface": "mine"}), PortSpec(service="one", interface="eth0")), mtu=9000
    )
    one = presets.dts(
        chart={"source": {"repoURL": "https://charts.example.com", "chart": "mine", "version": "7"}},
        interfaces=[{"name": "eth0", "network": "mine"}],
    )
    group = GroupSpec(
        bfb="bfb",
        flavor="flavor",
        node_labels={"group": "a"},
        services=("one", "dts"),
        depends_on={"dts": ["one"]},
        chains=(switch,),
    )
    site = site_of(services={"one": one, "dts": presets.dts()}, groups={"a": group})
    async with cluster() as environment:
        await environment.dpf.create_initialization_objects(site)

        deployment = await environment.dpf.resource(DPUDeployment).get("a")
        template = await environment.dpf.resource(DPUServiceTemplate).get("one")
        configuration = await environment.dpf.resource(DPUServiceConfiguration).get("one")

    assert deployment.spec.service_chains is not None
    (created,) = deployment.spec.service_chains.switches
    assert [port.service.name if port.service else None for port in created.ports] == [None, "one"]
    assert set(deployment.spec.services) == {"one", "dts"}
    assert [on.name for on in deployment.spec.services["dts"].depends_on] == ["one"]
    assert not deployment.spec.services["one"].depends_on
    assert template.spec.helm_chart.source.chart == "mine"
    assert [each.name for each in configuration.spec.interfaces] == ["eth0"]


async def test_18_a_host_is_read_by_the_name_of_its_node() -> None:
    async with Simulator() as sim, sim.client() as dpf:
        (created,) = (await sim.ready_node()).dpus

        host = await dpf.node(created.node).view()

    assert host.exists
    found = host.dpu_of(created.device)
    assert found is not None
    assert found.uid == created.uid
    assert host.dpu_of("no-such-device") is None


async def test_20_another_flavor_changes_no_dpu_before_it_is_reprovisioned() -> None:
    async def reboot(_: str) -> None:
        """Simulated hosts need no reboot."""

    async with Simulator() as sim, sim.client() as dpf:
        ready = await sim.ready_node()
        (old,) = ready.dpus
        (name,) = [found.name for found in (await dpf.resource(DPUDeployment).list()).items]
        await dpf.resource(DPUFlavor).create(
            DPUFlavor.model_validate({"metadata": {"name": "newer"}, "spec": {}})
        )

        await dpf.update_dpu_deployment_configuration(name, "newer", timeout=60)
        await sim.settled()
        before = await dpf.node(old.node).view()
        await dpf.reprovision_dpu(old.name, uid=old.uid, timeout=60)
        host = HostSpec.model_validate(
            {"name": old.node, "devices": [_described(device.object) for device in ready.devices]}
        )
        after = await provision(dpf, host, reboot=reboot, timeout=60)

    assert [(one.uid, one.flavor, one.ready) for one in before.dpus] == [(old.uid, old.flavor, True)]
    assert [one.flavor for one in after.dpus] == ["newer"]


def _described(device: Any) -> dict[str, Any]:  # Any: a DPUDevice
    spec = device.spec
    return {"name": device.name, "serialNumber": spec.serial_number, "bmcIp": spec.bmc_ip, "psid": spec.psid}


def test_21_a_wildcard_with_other_devices_is_rejected_and_the_preset_has_only_the_wildcard() -> None:
    (entry,) = presets.flavor().nvconfig

    assert entry.device == "*"
    with pytest.raises(ValidationError, match="must be the only one"):
        presets.flavor(
            nvconfig=[{"device": "*", "parameters": ["A=1"]}, {"device": "p0", "parameters": ["B=1"]}]
        )


def test_21_no_preset_contains_generated_names_of_services() -> None:
    agent = presets.carbide_dpu_agent(version="1", repository="oci://example.com/charts")

    assert agent.configuration is not None
    assert agent.configuration.helm_chart is not None
    text = str(agent.configuration.helm_chart.to_wire())
    assert text.count("(index .Services") == 3
    for site in EXAMPLES.glob("site*.yaml"):
        assert "carbide-dpf-cluster-" not in str(load_site(site).model_dump())
