"""The settings of the DPFOperatorConfig, scaled by the profile. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dpf_async.models import DPFOperatorConfig, ProvisioningController, duration_seconds
from dpf_async.sim.operator.hardware.profiles import Profile

AGENT_START_SECONDS: Final = 20 * 60
"""Timeout of the first report of an agent after the OS booted; not configurable (docs/dpf/phases.md#os-installing)."""

REDFISH: Final = "redfish"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that the controllers use; durations in seconds.

    Attributes:
        install_interface: how DPUs are installed; None if the config does not specify it.
        node_effect_removal_timeout: None is off.
        sync_wait: how long a node effect waits for the other DPUs of the host.
        sync_wait_text: the same value as written in the config.
    """

    install_interface: str | None
    os_install_timeout: float
    agent_start_timeout: float
    node_effect_removal_timeout: float | None
    sync_wait: float
    sync_wait_text: str
    max_parallel_installations: int
    max_unavailable_nodes: int


def settings_of(config: DPFOperatorConfig | None, profile: Profile) -> Settings | None:
    """The settings; None if there is no config."""
    if config is None:
        return None
    controller = config.spec.provisioning_controller
    scale = profile.bound_scale
    removal = _seconds(controller.node_effect_removal_timeout)
    return Settings(
        install_interface=_interface(controller),
        os_install_timeout=_seconds(controller.os_install_timeout) * scale,
        agent_start_timeout=AGENT_START_SECONDS * scale,
        node_effect_removal_timeout=removal * scale if removal else None,
        sync_wait=_seconds(controller.multi_dpu_operations_sync_wait_time) * scale,
        sync_wait_text=controller.multi_dpu_operations_sync_wait_time,
        max_parallel_installations=controller.max_dpu_parallel_installations,
        max_unavailable_nodes=controller.max_unavailable_dpu_nodes,
    )


def _seconds(text: str) -> float:
    return duration_seconds(text) or 0.0


def _interface(controller: ProvisioningController) -> str | None:
    chosen = controller.install_interface
    if chosen is None:
        return None
    if chosen.install_via_redfish is not None:
        return REDFISH
    if chosen.install_via_host_agent is not None:
        return "hostAgent"
    return "gNOI" if chosen.install_via_gnoi is not None else None
