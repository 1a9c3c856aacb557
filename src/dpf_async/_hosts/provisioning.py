"""Flows: discover, provision and reprovision a host.

A flow keeps no state outside the cluster. After a worker ended, another call continues: requests that were answered
are not pending any more, and the others are answered (docs/dpf/operations.md#flows).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dpf_async._base.error_notes import progress_note
from dpf_async._hosts import registration, reprovisioning, stale_holds
from dpf_async._hosts.fault_grace import GRACE, FaultGrace
from dpf_async._hosts.registration import IfTerminating
from dpf_async._hosts.reprovisioning import IfInstalling
from dpf_async._hosts.request_loop import IfFailed, RequestLoop, Work
from dpf_async._hosts.stale_holds import IfReleased
from dpf_async._readers.progress import ProgressReporter
from dpf_async._readers.waits import Deadline
from dpf_async._session.client import Client
from dpf_async._transitions.levels import Level, discovered, ready, services_ready
from dpf_async._transitions.views import NodeView
from dpf_async.errors import NotFound

if TYPE_CHECKING:
    from dpf_async._readers.progress import ProgressListener
    from dpf_async._specs import HostSpec


async def discover(
    dpf: Client,
    host: HostSpec,
    *,
    if_terminating: IfTerminating = "refuse",
    grace: float | None = GRACE,
    timeout: float | None = None,
    progress: ProgressListener | None = None,
) -> NodeView:
    """Register a host, and wait until the operator has found each of its DPUs and verified it.

    A repeated call writes nothing that exists already, and waits for what is missing.

    Args:
        dpf: an entered DPFClient.
        host: the host that the site explorer found.
        if_terminating: if an object with the same name is being deleted, "refuse" raises, and "wait" waits until it is
            deleted.
        grace: seconds for which a DPUDevice may be faulty before the call fails; the operator retries every 30 s or so.
            None sets no limit.
        timeout: seconds for the whole call.
        progress: callback for what is written and waited for.

    Returns:
        The view in which the DPUNode was reconciled and every DPUDevice was Ready.

    Raises:
        DeviceFailed: a device was faulty for the grace period, as after a wrong password or serial number.
        AlreadyExists: an object with the same name is being deleted, and if_terminating is "refuse".
        Invalid: an object exists with a value that cannot be changed; the message has both values.
        UsageError: the description breaks a rule.
        WaitTimeout: the host was not discovered in time; the message says what is missing.
    """
    deadline = Deadline(timeout)
    reporter = ProgressReporter("discover", progress)
    await _register(dpf, host, if_terminating, deadline, reporter)
    fault_grace = FaultGrace(dpf.node(host.name), grace=grace, reporter=reporter, deadline=deadline)
    return await fault_grace.until(discovered)


async def provision(
    dpf: Client,
    host: HostSpec,
    *,
    reboot: Work,
    node_effect: Work | None = None,
    services: bool = False,
    if_terminating: IfTerminating = "refuse",
    if_released: IfReleased = "request_again",
    if_failed: IfFailed = "raise",
    grace: float | None = GRACE,
    timeout: float | None = None,
    progress: ProgressListener | None = None,
) -> NodeView:
    """Register a host and bring its DPUs to Ready: release the hold and reboot the host each time DPF requests it.

    Works for any number of DPUs, with or without a hold, and for any number of reboots in any order. A repeated call
    continues; for a host that is Ready it returns at once.

    Args:
        dpf: an entered DPFClient.
        host: the host that the site explorer found.
        reboot: reboots the host; a power cycle serves every kind of reboot that DPF requests
            (docs/dpf/reboot.md#reboot-kinds).
        node_effect: makes sure that the host can be disrupted, for example drains it; None if it always can be.
        services: wait until the services on the DPUs are ready as well.
        if_terminating: if an object with the same name is being deleted, "refuse" raises, and "wait" waits until it is
            deleted.
        if_released: if the hold was released before a DPU requested it (docs/dpf/hold.md#stale-release),
            "request_again" has DPF request it again, "refuse" raises, and "accept" continues. Each choice is reported
            to `progress`.
        if_failed: when a DPU is in phase Error, "raise" raises at once; "finish_others" first waits until the other
            DPUs are Ready, or wait only for the failed one.
        grace: seconds for which a DPUDevice may be faulty while its DPU needs it; None sets no limit.
        timeout: seconds for all waits together; reboot and node_effect are not interrupted.
        progress: callback for what is done and waited for.

    Returns:
        The view in which every DPU of the host was ready.

    Raises:
        WaitTimeout: the host is not Ready in time; the message has the phase of each DPU, and the missing services.
        DPUFailed: a DPU is in phase Error; the message has the reason, and the phases of the other DPUs.
        DeviceFailed: a DPU cannot be installed because its device is faulty, as after a wrong password.
        StaleRelease: a hold was released before a DPU requested it, and if_released is "refuse", or a DPU has used it.
        AlreadyExists, Invalid, UsageError: as for `discover`.
        Exception: raised by reboot or node_effect; the request remains pending.
    """
    deadline = Deadline(timeout)
    reporter = ProgressReporter("provision", progress)
    await _register(dpf, host, if_terminating, deadline, reporter)
    loop = RequestLoop(
        dpf,
        host.name,
        reboot=reboot,
        node_effect=node_effect,
        if_released=if_released,
        if_failed=if_failed,
        grace=grace,
        deadline=deadline,
        reporter=reporter,
    )
    with progress_note([f"DPUNode {host.name}"], how="registered", then="provision it again to continue"):
        return await loop.until(_goal(services=services))


async def reprovision(
    dpf: Client,
    node: str,
    *,
    reboot: Work,
    node_effect: Work | None = None,
    replacing: Mapping[str, str] | None = None,
    services: bool = False,
    if_installing: IfInstalling = "wait",
    if_released: IfReleased = "request_again",
    if_failed: IfFailed = "raise",
    grace: float | None = GRACE,
    timeout: float | None = None,
    progress: ProgressListener | None = None,
) -> NodeView:
    """Delete the DPUs of a host, so that DPF creates and installs them again, and bring the host to Ready.

    Args:
        dpf: an entered DPFClient.
        node: name of the DPUNode.
        reboot: as for `provision`.
        node_effect: as for `provision`.
        replacing: names and uids of the DPUs to replace, as in NodeView.uids. Store it before the first call: with it,
            a call after a restart distinguishes old DPUs from new ones. None replaces every DPU that exists now.
        services: as for `provision`.
        if_installing: if a DPU is being installed, and DPF ignores its deletion, "wait" waits until that ends (up to
            45 min), and "refuse" raises before anything is deleted.
        if_released: as for `provision`; "refuse" raises before anything is deleted.
        if_failed: as for `provision`; a DPU that is replaced may be in phase Error.
        grace: as for `provision`.
        timeout: seconds for all waits together.
        progress: callback for what is done and waited for.

    Returns:
        The view in which every DPU of the host was ready; none of them is one of `replacing`.

    Raises:
        NotFound: there is no such DPUNode.
        UsageError: one of `replacing` is a DPU of another host; nothing was deleted.
        DPUInstalling: a DPU is being installed, and if_installing is "refuse"; nothing was deleted.
        WaitTimeout, DPUFailed, DeviceFailed, StaleRelease, Exception: as for `provision`.
    """
    deadline = Deadline(timeout)
    reporter = ProgressReporter("reprovision", progress)
    view = await dpf.node(node).view()
    if not view.exists:
        raise NotFound(
            f"there is no DPUNode {node}; nothing was deleted: provision() registers a host and brings it to Ready",
            status=404,
            reason="NotFound",
            object=f"DPUNode {node}",
        )
    if replacing is None:
        replacing = view.uids
    old = await reprovisioning.find_old_dpus(dpf, node, replacing)
    reprovisioning.refuse_while_installing(old, if_installing)
    deleted = {dpu.name for dpu in old if not dpu.terminating}
    if deleted:
        view = await dpf.node(node).view()
        await stale_holds.resolve_before_deletion(dpf, view, deleted, if_released, reporter)
    loop = RequestLoop(
        dpf,
        node,
        reboot=reboot,
        node_effect=node_effect,
        if_released=if_released,
        if_failed=if_failed,
        grace=grace,
        deadline=deadline,
        reporter=reporter,
    )
    await reprovisioning.replace_all(dpf, replacing, deadline, reporter)
    with reprovisioning.after_deletion([f"DPU {name}" for name in replacing]):
        return await loop.until(_goal(services=services))


async def _register(
    dpf: Client,
    host: HostSpec,
    if_terminating: IfTerminating,
    deadline: Deadline,
    reporter: ProgressReporter,
) -> None:
    await registration.register(
        dpf,
        host.name,
        host.devices,
        host.labels,
        if_terminating=if_terminating,
        deadline=deadline,
        reporter=reporter,
    )


def _goal(*, services: bool) -> Level[NodeView]:
    return ready & services_ready if services else ready
