"""Creates the objects of a DPF installation: the DPFOperatorConfig and a DPUCluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dpf_async.errors import AlreadyExists
from dpf_async.models import (
    Condition,
    DPFOperatorConfig,
    DPFOperatorConfigSpec,
    DPFOperatorConfigStatus,
    DPUCluster,
    DPUClusterSpec,
    InstallInterface,
    InstallViaRedfish,
    ObjectMeta,
    ProvisioningController,
    format_time,
    known,
)
from dpf_async.sim.operator.runtime.naming import DPF_VERSION

if TYPE_CHECKING:
    from datetime import datetime

    from dpf_async import DPFClient

DPU_CLUSTER: Final = "carbide-dpf-cluster"
"""Name of the DPUCluster (docs/dpf/timings.md#sample-values)."""


async def install(dpf: DPFClient, *, now: datetime) -> None:
    """Create the DPFOperatorConfig and a DPUCluster; existing objects are not changed.

    Args:
        dpf: an entered client.
        now: current time.
    """
    await _install_config(dpf, format_time(now))
    try:
        await dpf.resource(DPUCluster).create(
            DPUCluster(metadata=ObjectMeta(name=DPU_CLUSTER), spec=DPUClusterSpec(type="kamaji"))
        )
    except AlreadyExists:
        return


async def _install_config(dpf: DPFClient, now: str) -> None:
    redfish = InstallViaRedfish(bfb_registry_address="bfb-registry.dpf-operator-system.svc")
    config = DPFOperatorConfig(
        metadata=ObjectMeta(name=known.OPERATOR_CONFIG_NAME),
        spec=DPFOperatorConfigSpec(
            provisioning_controller=ProvisioningController(
                bfb_pvc_name="bfb-pvc", install_interface=InstallInterface(install_via_redfish=redfish)
            )
        ),
    )
    try:
        stored = await dpf.resource(DPFOperatorConfig).create(config)
    except AlreadyExists:
        return
    generation = stored.metadata.generation
    ready = Condition(
        type="Ready",
        status="True",
        reason=known.CommonReason.SUCCESS,
        message="",
        last_transition_time=now,
        **({} if generation is None else {"observed_generation": generation}),
    )
    status = DPFOperatorConfigStatus(version=DPF_VERSION, conditions=(ready,), observed_generation=generation)
    await dpf.resource(DPFOperatorConfig).patch_status(stored.name, {"status": status.to_wire()})
