"""Compares objects during the provisioning of a host with the example objects of the reference material."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from dpf_async import DeviceSpec, HostSpec, SiteSpec
from dpf_async.levels import external_reboot_required, ready, services_ready
from dpf_async.models import (
    BFB,
    DPU,
    BFBSpec,
    DPUDeployment,
    DPUDevice,
    DPUFlavorSpec,
    DPUNode,
    DPUNodeMaintenance,
    DPUService,
    DPUSet,
    HelmChart,
    HelmSource,
    Resource,
    known,
)
from dpf_async.sim import Simulator
from dpf_async.specs import GroupSpec, ServiceSpec
from tests.sim.operator.site import Change, history
from tests.support.shared import shared_path

NODE = "node-02-00-00-00-0a-01"
DEVICE = "device-02-00-00-00-0b-01"
BUNDLE = "bf-bundle-ed70332bf849b077f624a5cab511894233fc7cef58a38e96eee93f76589c0ff6"

KINDS = (BFB, DPU, DPUDeployment, DPUDevice, DPUNode, DPUNodeMaintenance, DPUSet)


def example_site() -> SiteSpec:
    chart = HelmChart(source=HelmSource(repo_url="https://helm.ngc.nvidia.com/nvidia/doca", version="1.22.1"))
    group = GroupSpec(
        bfb=BUNDLE,
        flavor="carbide-dpu-flavor",
        node_labels={known.DPU_ENABLED_LABEL: "true", known.CARBIDE_CONTROLLED_NODE_LABEL: "true"},
        services=("dts",),
    )
    url = "https://content.mellanox.com/BlueField/BFBs/Ubuntu24.04/example.bfb"
    return SiteSpec(
        bfbs={BUNDLE: BFBSpec(url=url)},
        flavors={"carbide-dpu-flavor": DPUFlavorSpec(dpu_mode="zero-trust")},
        services={"dts": ServiceSpec(chart=chart)},
        groups={"nico-deployment-v2": group},
    )


def example_host() -> HostSpec:
    device = DeviceSpec(
        name=DEVICE,
        serial_number="MT2500XZ0001",
        bmc_ip="10.0.0.11",
        labels={
            known.CARBIDE_CONTROLLED_DEVICE_LABEL: "true",
            known.CARBIDE_DPU_MACHINE_ID_LABEL: "fm100dsexample",
            known.CARBIDE_HOST_BMC_IP_LABEL: "10.0.0.1",
            known.CARBIDE_IS_PRIMARY_DPU_LABEL: "true",
        },
    )
    labels = {
        known.DPU_ENABLED_LABEL: "true",
        known.CARBIDE_CONTROLLED_NODE_LABEL: "true",
        known.CARBIDE_HOST_BMC_IP_LABEL: "10.0.0.1",
    }
    return HostSpec(name=NODE, devices=(device,), labels=labels)


async def record() -> dict[str, list[Change]]:
    """Every write for that host, by kind."""
    async with Simulator() as sim, sim.client() as dpf:
        host = example_host()
        await dpf.create_initialization_objects(example_site(), bmc_password="secret")
        await sim.settled()
        (service,) = (await dpf.resource(DPUService).list()).items
        critical = {"metadata": {"labels": {known.CRITICAL_SERVICE_LABEL: ""}}}
        await dpf.resource(DPUService).patch(service.name, critical)
        skip = {"metadata": {"annotations": {known.SKIP_CHAIN_REQUESTOR: ""}}}
        await dpf.resource(DPUDeployment).patch("nico-deployment-v2", skip)
        await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
        await sim.settled()
        await dpf.mark_dpu_node_ready_for_maintenance(NODE)
        await dpf.node(NODE).until(external_reboot_required, timeout=60)
        await dpf.mark_dpu_node_rebooted(NODE)
        await dpf.node(NODE).until(ready & services_ready, timeout=60)
        await sim.settled()
        sim.trouble("critical_service_down")
        await sim.settled()
        return {kind.KIND: history(sim, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def recorded() -> dict[str, list[Change]]:
    return anyio.run(record)


@pytest.fixture(scope="module")
def examples() -> dict[str, Any]:
    """The examples by number, such as "14.7c"."""
    listed = json.loads(shared_path("dpf-examples.json").read_text())
    return {one["title"].split(" ", 1)[0]: one["object"] for one in listed}


def condition_is(type_: str, status: str, reason: str) -> Callable[[Change], bool]:
    return lambda change: change.condition(type_) == (status, reason)


EXAMPLES: dict[str, tuple[type[Resource], Callable[[Change], bool]]] = {
    "14.1": (BFB, lambda change: len(change.finalizers) == 2),
    "14.2b": (
        DPUDeployment,
        lambda change: bool(change.annotations) and change.condition("Ready") == ("True", "Success"),
    ),
    "14.3": (DPUSet, lambda change: change.status.get("dpuStatistics") == {"Node Effect": 1}),
    "14.4a": (DPUNode, condition_is("Ready", "True", "Ready")),
    "14.4b": (DPUNode, condition_is("Ready", "False", "Ready")),
    "14.4c": (DPUNode, condition_is("DPUNodeRebootInProgress", "True", "WaitForExternalReboot")),
    "14.4d": (DPUNode, condition_is("DPUNodeRebootInProgress", "False", "DPUNodeRebootInProgress")),
    "14.4e": (
        DPUNode,
        lambda change: (
            change.condition("Ready") == ("True", "Ready")
            and change.condition("DPUNodeRebootInProgress") is not None
        ),
    ),
    "14.5a": (DPUDevice, condition_is("NodeAttached", "False", "Pending")),
    "14.5c": (DPUDevice, lambda change: bool(change.finalizers)),
    "14.6a": (DPUNodeMaintenance, condition_is("NodeEffectApplied", "False", "NodeEffectIsProcessing")),
    "14.6b": (DPUNodeMaintenance, condition_is("NodeEffectApplied", "True", "Success")),
    "14.7c": (DPU, condition_is("NodeEffectReady", "False", "NodeEffectInProgress")),
    "14.7e": (DPU, lambda change: "redfishTaskId" in change.status),
    "14.7f": (DPU, condition_is("OSInstalled", "True", "OemLastState")),
    "14.7g": (DPU, condition_is("Rebooted", "False", "WaitingForManualPowerCycleOrReboot")),
    "14.7h": (
        DPU,
        lambda change: change.phase == "DPU Config" and change.condition("Rebooted") == ("True", "Rebooted"),
    ),
    "14.7i": (DPU, condition_is("NodeEffectRemoved", "False", "NodeEffectRemovalInProgress")),
    "14.7j": (DPU, condition_is("Ready", "True", "DPUReady")),
    "14.7k": (DPU, lambda change: _operational(change) == "False"),
}
"""For each example, its kind and the predicate of the write that it corresponds to."""


def _operational(change: Change) -> str:
    conditions = change.status.get("operationalConditions", [])
    return next((one["status"] for one in conditions if one["type"] == "OperationalReady"), "")


@pytest.mark.parametrize("number", list(EXAMPLES))
def test_an_object_equals_the_example(
    number: str, recorded: dict[str, list[Change]], examples: dict[str, Any]
) -> None:
    kind, matches = EXAMPLES[number]

    found = next(change.obj for change in recorded[kind.KIND] if matches(change))

    assert comparable(number, found) == comparable(number, examples[number])


GENERATED = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    (r"dts-(abc12|[0-9a-f]{5})(-[0-9a-f]{5})?|dts-xyz", "A-SERVICE"),
    (r"consumed-by-dpudeployment-[0-9a-f]{10}", "consumed-by-dpudeployment-TEN"),
    (r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", "UUID"),
    (r"\b[0-9a-f]{10}\b", "HASH"),
    (r"02:00:00(:[0-9a-f]{2}){3}", "MAC"),
    (r'"initialBootID": "[^"]*"', '"initialBootID": "BOOT"'),
    (r"install task \d+% complete", "install task N% complete"),
]
"""Values that differ between runs: times, identities, generated parts of names."""

FREE = {
    # Set in Initializing (docs/dpf/phases.md#phase-steps), but absent in the examples.
    "": ("secureBoot",),
    # The services run without delay here; in the example they are still starting.
    "14.7i": ("operationalConditions",),
}


def comparable(number: str, obj: dict[str, Any]) -> dict[str, Any]:
    """Metadata, spec and status without values that differ between runs."""
    keys = ("name", "labels", "annotations", "finalizers")
    metadata = {key: obj["metadata"][key] for key in keys if obj["metadata"].get(key)}
    free = (*FREE.get(number, ()), *(FREE[""] if obj["kind"] == "DPU" else ()))
    status = {key: value for key, value in obj.get("status", {}).items() if key not in free}
    if obj["kind"] == "DPUDeployment":
        # The observed generation depends on the number of changes.
        del status["observedGeneration"]
        status["conditions"] = [{**one, "observedGeneration": 0} for one in status["conditions"]]
    text = json.dumps({"metadata": metadata, "spec": obj["spec"], "status": status}, sort_keys=True)
    for pattern, word in GENERATED:
        text = re.sub(pattern, word, text)
    found: dict[str, Any] = json.loads(text)
    return found
