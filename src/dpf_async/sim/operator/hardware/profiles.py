"""Profiles: the durations of a simulated site.

Requeues and timeouts are those of DPF. Durations of hardware come from the timeline of the example objects
(docs/dpf/timings.md#sample-host), a host that is provisioned from 10:05 to 10:58, or are chosen where the examples have
none.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final, Self

from dpf_async.errors import UsageError

_NOT_DURATIONS: Final = frozenset(("name", "bound_scale"))


@dataclass(frozen=True, slots=True)
class Profile:
    """Durations in seconds. 0 means without delay; a requeue of 0 means never, since all kinds are watched.

    Attributes:
        name: of the profile.
        bfb_download: a BFB, until it is Ready.
        chart_fetch: the chart of a DPUServiceTemplate, until that is Ready.
        bmc_initialise: logging in, checking firmware, setting up mTLS with a DPU's BMC.
        bmc_discover: reading type, mode, serial number and addresses from the BMC.
        mode_change: the request to leave NIC mode.
        arm_restart: one forced restart of the processors of a DPU; two are at least 90 s apart
            (docs/dpf/phases.md#perform-arm-force-restart).
        configure_firmware: setting firmware parameters.
        prepare_bfb: generating bf.cfg.
        transfer: transferring the image to the DPU.
        progress_step: between two messages about the transfer.
        boot_os: from the end of the transfer until the OS runs.
        start_agent: from then until the first report of the agent.
        discover_reboot: from the start of an agent until it reports the required reboot.
        boot_again: from the end of a reboot until the agent reports again.
        host_reboot: a reboot by host agent or script.
        custom_action: the Job of a customAction.
        join_cluster: until the DPU is a ready Node of its DPUCluster.
        start_pods: of a service on a DPU.
        clean_up: deleting what remains of a DPU in its DPUCluster.
        dpu_requeue: of every DPU (docs/dpf/phases.md#reconcile).
        hold_requeue: of a pending hold (docs/dpf/hold.md#hold-sequence).
        requeue: of devices, nodes, deployments and deferred reboots (docs/dpf/reboot.md#deferral,
            docs/dpf/discovery.md#retries, docs/dpf/deletion.md#overview).
        retry_base, retry_cap: of failed reconciles. controller-runtime: 5 ms, doubled up to 1000 s.
        bound_scale: factor for the timeouts of the DPFOperatorConfig and similar ones.
    """

    name: str
    bfb_download: float = 0.0
    chart_fetch: float = 0.0
    bmc_initialise: float = 0.0
    bmc_discover: float = 0.0
    mode_change: float = 0.0
    arm_restart: float = 0.0
    configure_firmware: float = 0.0
    prepare_bfb: float = 0.0
    transfer: float = 0.0
    progress_step: float = 0.0
    boot_os: float = 0.0
    start_agent: float = 0.0
    discover_reboot: float = 0.0
    boot_again: float = 0.0
    host_reboot: float = 0.0
    custom_action: float = 0.0
    join_cluster: float = 0.0
    start_pods: float = 0.0
    clean_up: float = 0.0
    dpu_requeue: float = 0.0
    hold_requeue: float = 0.0
    requeue: float = 0.0
    retry_base: float = 0.005
    retry_cap: float = 1.0
    bound_scale: float = 0.0

    def at_speed(self, factor: float) -> Self:
        """The profile with durations divided by `factor`; retries after errors keep their delays.

        Raises:
            UsageError: factor is not positive.
        """
        if not factor > 0:
            raise UsageError(f"speed {factor:g}: must be greater than 0")
        durations = {
            field.name: getattr(self, field.name) / factor
            for field in fields(self)
            if field.name not in _NOT_DURATIONS and not field.name.startswith("retry")
        }
        name = self.name if factor == 1 else f"{self.name} × {factor:g}"
        return replace(self, name=name, bound_scale=self.bound_scale / factor, **durations)


INSTANT: Final = Profile("instant")
"""For tests: no duration, and every timeout expires at once. Each phase is still written separately."""

DEMO: Final = Profile(
    "demo",
    bfb_download=1.0,
    chart_fetch=0.3,
    bmc_initialise=0.4,
    bmc_discover=0.3,
    mode_change=0.3,
    arm_restart=0.5,
    configure_firmware=0.4,
    prepare_bfb=0.3,
    transfer=2.4,
    progress_step=0.3,
    boot_os=0.8,
    start_agent=0.4,
    discover_reboot=0.4,
    boot_again=0.8,
    host_reboot=1.0,
    custom_action=0.5,
    join_cluster=0.7,
    start_pods=0.6,
    clean_up=0.3,
    dpu_requeue=1.0,
    hold_requeue=1.0,
    requeue=2.0,
    retry_cap=5.0,
    bound_scale=1 / 30,
)
"""For demonstrations: chosen so that each step is visible and a host with two DPUs takes about ten seconds."""

REALISTIC: Final = Profile(
    "realistic",
    bfb_download=180.0,  # chosen: an image of a few GB
    chart_fetch=10.0,  # chosen
    bmc_initialise=45.0,  # attached 10:06, ready 10:07
    bmc_discover=15.0,
    mode_change=30.0,  # chosen
    arm_restart=90.0,
    configure_firmware=60.0,  # 10:12 to 10:13
    prepare_bfb=60.0,  # 10:13 to 10:14
    transfer=300.0,  # 10:15 to 10:20
    progress_step=5.0,  # requeue of the DPU controller
    boot_os=840.0,  # 10:20, and the agent at 10:35
    start_agent=60.0,
    discover_reboot=300.0,  # 10:35 to 10:40
    boot_again=180.0,  # 10:45 to 10:48
    host_reboot=300.0,  # chosen: five minutes until a server is up
    custom_action=60.0,  # chosen
    join_cluster=240.0,  # 10:48 to 10:52
    start_pods=180.0,  # 10:52 to 10:55
    clean_up=10.0,  # chosen
    dpu_requeue=5.0,
    hold_requeue=10.0,
    requeue=30.0,
    retry_cap=1000.0,
    bound_scale=1.0,
)
"""The durations of real hardware; see the module."""

PROFILES: Final = {profile.name: profile for profile in (INSTANT, DEMO, REALISTIC)}


def profile_of(name: str | Profile) -> Profile:
    """The profile of this name; a Profile is returned unchanged.

    Raises:
        UsageError: no profile has this name.
    """
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        raise UsageError(f"there is no profile {name!r}: choose one of {', '.join(PROFILES)}")
    return PROFILES[name]
