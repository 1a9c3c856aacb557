"""Labels from one labeler: on objects and in selectors, verified and repaired without changing other labels."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from dpf_async import DeviceSpec, HostSpec, LabelMismatch, provision
from dpf_async.errors import Forbidden, NotFound, UsageError
from dpf_async.models import DPU, DPUDevice, DPUNode, known
from dpf_async.sim.simulator import minimal_site
from dpf_async.specs import ResourceLabeler, label_host, label_site, selector_of
from tests.integration.backends import Backend

PREFIX = "carbide.nvidia.com/"


class Labeler:
    """Labels as in Carbide; `version` is part of the key of one of them."""

    def __init__(self, version: int = 2) -> None:
        self._controlled = f"{PREFIX}controlled.node.v{version}"

    def node_labels(self, group: str) -> Mapping[str, str]:
        return {self._controlled: "true", f"{PREFIX}group": group}

    def node_context_labels(self, host: HostSpec) -> Mapping[str, str]:
        return {f"{PREFIX}dpus": str(len(host.devices))}

    def device_labels(self, host: HostSpec, device: DeviceSpec) -> Mapping[str, str]:
        primary = device.name == host.devices[0].name
        return {known.CARBIDE_CONTROLLED_DEVICE_LABEL: "true", f"{PREFIX}primary": str(primary).lower()}

    def dpu_label_selector(self) -> str:
        return selector_of({known.CARBIDE_CONTROLLED_DEVICE_LABEL: "true"})

    def owns(self, key: str) -> bool:
        return key.startswith(PREFIX)


LABELER: ResourceLabeler = Labeler()
FOUND = HostSpec(
    name="node-1",
    devices=[
        DeviceSpec(name="device-1", serial_number="MT1", bmc_ip="10.0.0.1"),
        DeviceSpec(name="device-2", serial_number="MT2", bmc_ip="10.0.0.2"),
    ],
)
HOST = label_host(FOUND, "compute", LABELER)


def test_a_host_gets_the_labels_of_its_group_and_its_context() -> None:
    assert HOST.labels == {
        f"{PREFIX}controlled.node.v2": "true",
        f"{PREFIX}group": "compute",
        f"{PREFIX}dpus": "2",
    }
    assert [device.labels[f"{PREFIX}primary"] for device in HOST.devices] == ["true", "false"]
    assert FOUND.labels == {}, "the argument is not modified"


def test_the_selector_of_a_group_matches_the_labels_of_its_hosts() -> None:
    site = label_site(minimal_site(), LABELER)

    selector = site.groups["compute"].node_labels
    host = label_host(
        FOUND.model_copy(update={"labels": minimal_site().groups["compute"].node_labels}), "compute", LABELER
    )
    assert selector.items() >= LABELER.node_labels("compute").items()
    assert selector.items() <= host.labels.items()


def test_different_values_for_one_label_are_rejected() -> None:
    conflicting = FOUND.model_copy(update={"labels": {f"{PREFIX}group": "storage"}})

    with pytest.raises(
        UsageError, match=r"DPUNode node-1: label carbide.nvidia.com/group .*'storage' and 'compute'"
    ):
        label_host(conflicting, "compute", LABELER)


async def test_groups_select_the_hosts_that_the_same_labeler_labelled(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        site = label_site(minimal_site(), LABELER)
        await dpf.create_initialization_objects(site, bmc_password="secret")
        await dpf.site_accepted(site, timeout=60)
        host = label_host(sim.host(), "compute", LABELER)

        async def reboot(_: str) -> None:
            """Simulated hosts need no reboot."""

        view = await provision(dpf, host, reboot=reboot, timeout=60)

        assert view.ready
        selected = (await dpf.resource(DPU).list(label_selector=LABELER.dpu_label_selector())).items
        assert [dpu.name for dpu in selected] == [dpu.name for dpu in view.dpus]
        assert await dpf.verify_labels(host, owned=LABELER.owns) == ()


async def test_correct_labels_are_no_mismatch(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices, labels=HOST.labels)

        assert await site.dpf.verify_labels(HOST, owned=LABELER.owns) == ()


async def test_labels_of_an_earlier_labeler_are_mismatches_and_foreign_labels_are_not(
    backend: Backend,
) -> None:
    async with backend.cluster() as site:
        old = label_host(FOUND, "storage", Labeler(version=1))
        await site.dpf.create_dpu_node(old.name, old.devices, labels={**old.labels, "example.com/rack": "7"})
        label = {known.DPUNODE_NAME_LABEL: "node-1"}
        await site.dpf.resource(DPUDevice).patch("device-1", {"metadata": {"labels": label}})

        found = await site.dpf.verify_labels(HOST, owned=LABELER.owns)

        key = f"{PREFIX}controlled.node"
        assert set(found) == {
            LabelMismatch("DPUNode node-1", f"{key}.v2", None, "true"),
            LabelMismatch("DPUNode node-1", f"{PREFIX}group", "storage", "compute"),
            LabelMismatch("DPUNode node-1", f"{key}.v1", "true", None),
        }
        assert str(found[1]) == f"DPUNode node-1: label {PREFIX}group is 'storage', wanted is 'compute'"
        assert (await site.dpf.resource(DPUNode).get("node-1")).metadata.labels[f"{PREFIX}group"] == "storage"


async def test_repair_corrects_owned_labels_and_keeps_foreign_ones(backend: Backend) -> None:
    async with backend.cluster() as site:
        old = label_host(FOUND, "storage", Labeler(version=1))
        await site.dpf.create_dpu_node(old.name, old.devices, labels={**old.labels, "example.com/rack": "7"})
        await site.dpf.resource(DPUDevice).patch(
            "device-2", {"metadata": {"labels": {f"{PREFIX}primary": "true"}}}
        )

        found = await site.dpf.verify_labels(HOST, owned=LABELER.owns, repair=True)

        assert len(found) == 4
        assert all(mismatch.repaired for mismatch in found)
        assert await site.dpf.verify_labels(HOST, owned=LABELER.owns) == ()
        node = await site.dpf.resource(DPUNode).get("node-1")
        assert node.metadata.labels == {**HOST.labels, "example.com/rack": "7"}


async def test_without_an_owner_predicate_no_label_is_removed(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices, labels={**HOST.labels, f"{PREFIX}old": "1"})

        assert await site.dpf.verify_labels(HOST, repair=True) == ()

        node = await site.dpf.resource(DPUNode).get("node-1")
        assert f"{PREFIX}old" in node.metadata.labels


async def test_outdated_labels_of_a_dpu_are_reported_and_not_changed(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        held = await sim.node_waiting_for_hold()
        dpu = held.dpus[0].name
        await dpf.resource(DPU).patch(dpu, {"metadata": {"labels": {f"{PREFIX}old": "1"}}})
        host = HostSpec(
            name=held.name,
            devices=[DeviceSpec(name=held.device_names[0], serial_number="MT1", bmc_ip="10.0.0.1")],
        )

        found = await dpf.verify_labels(host, owned=lambda key: key == f"{PREFIX}old", repair=True)

        assert found == (LabelMismatch(f"DPU {dpu}", f"{PREFIX}old", "1", None, repaired=False),)


async def test_verifying_an_unregistered_host_raises_not_found(backend: Backend) -> None:
    async with backend.cluster() as site:
        with pytest.raises(NotFound, match="DPUDevice device-1") as caught:
            await site.dpf.verify_labels(HOST)

        assert "create_dpu_node creates it" in caught.value.__notes__[0]


async def test_the_permission_that_a_repair_lacks_is_named(backend: Backend) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(HOST.name, HOST.devices)
        site.server.faults.deny(verb="patch", resource="dpunodes")

        with pytest.raises(Forbidden, match="DPUNode node-1"):
            await site.dpf.verify_labels(HOST, repair=True)
