"""Upgrade and rollback: change the BFB or DPUFlavor of a DPUDeployment, and upgrade its hosts one by one (flow 6).

All state of an upgrade is in the cluster. DPUs that are installed with other references than the DPUDeployment has are
outdated; hosts that were started have an annotation. After a restart, another call continues: hosts that are up to date
are not changed, and hosts that were started are finished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from dpf_async._hosts.request_loop import Work
from dpf_async._readers.progress import ProgressListener, ProgressReporter
from dpf_async._readers.waits import Deadline
from dpf_async._rollout import deployments
from dpf_async._rollout.deployments import DeploymentChange
from dpf_async._rollout.outdated import find_outdated
from dpf_async._rollout.upgrade_plan import Order, UpgradePlan
from dpf_async._rollout.upgrade_report import UpgradeReport
from dpf_async._rollout.upgrade_run import Approve, UpgradeRun
from dpf_async._session.client import Client
from dpf_async._site.acceptance import until_deployment_accepted
from dpf_async.errors import UpgradeFailed, UsageError

if TYPE_CHECKING:
    from dpf_async._rollout.upgrade_report import HostOutcome

OnFailure = Literal["stop", "continue"]
"""When a host fails: start no other host, or continue with the others. Both end in UpgradeFailed."""


async def upgrade(
    dpf: Client,
    deployment: str,
    *,
    bfb: str | None = None,
    flavor: str | None = None,
    approve: Approve,
    reboot: Work,
    node_effect: Work | None = None,
    max_parallel: int = 1,
    order: Order | None = None,
    on_failure: OnFailure = "stop",
    host_timeout: float | None = None,
    progress: ProgressListener | None = None,
    timeout: float | None = None,
) -> UpgradeReport:
    """Change the BFB or DPUFlavor of a DPUDeployment, and upgrade its hosts one by one.

    After an error or a restart, call it again: hosts that are up to date are not changed, and hosts that were started
    are continued before others start. Run one upgrade of a DPUDeployment at a time.

    With OnDelete this deletes all outdated DPUs of a host together after the host was approved. With RollingUpdate DPF
    deletes them, and decides which and how many (docs/dpf/deployments.md#strategies): approve is called at the first
    request of DPF for a host, and max_parallel limits for how many hosts requests are answered at a time. The hold of a
    host that was declined stays pending, and DPF does not continue with other hosts: the upgrade ends when the hosts in
    progress are finished.

    Args:
        dpf: an entered DPFClient.
        deployment: name of the DPUDeployment.
        bfb: name of the BFB, which must be Ready; None leaves the reference unchanged.
        flavor: name of the DPUFlavor; None leaves the reference unchanged.
        approve: whether a host may be upgraded now. Not called for a host that was started before, unless one of its
            DPUs is in phase Error.
        reboot: as for `provision`.
        node_effect: as for `provision`.
        max_parallel: the maximum number of hosts in progress at a time.
        order: of the hosts; by name if None.
        on_failure: when a host fails, "stop" starts no other host, and "continue" does.
        host_timeout: seconds for the waits of one host; None sets no limit but `timeout`.
        progress: callback for what is done to each host, and what it waits for.
        timeout: seconds for all waits together; approve, reboot and node_effect are not interrupted.

    Returns:
        The outcome of each host. None failed; some may have been skipped.

    Raises:
        NotFound: there is no such DPUDeployment, BFB or DPUFlavor; nothing was done.
        UsageError: the BFB is not Ready, an object is being deleted, or an argument is invalid; nothing was done.
        WaitTimeout, SiteFailed, ObjectReplaced: the operator did not accept the change; no host was disrupted.
        UpgradeFailed: hosts failed, the timeout expired, or another client changed the references. Hosts in progress
            are finished first.
    """
    if max_parallel < 1:
        raise UsageError(f"max_parallel={max_parallel}: must be at least 1")
    if on_failure not in get_args(OnFailure):
        raise UsageError(f"on_failure={on_failure!r}: must be one of {', '.join(get_args(OnFailure))}")
    deadline = Deadline(timeout)
    reporter = ProgressReporter("upgrade", progress)
    written = await deployments.set_references(dpf, deployment, bfb=bfb, flavor=flavor, reporter=reporter)
    # A DPU that is deleted before the operator has accepted the change is created with the old references.
    await until_deployment_accepted(dpf, deployment, deadline=deadline, reporter=reporter)
    run = UpgradeRun(
        dpf,
        UpgradePlan(dpf, deployment, written.references, order),
        approve=approve,
        reboot=reboot,
        node_effect=node_effect,
        stop_on_failure=on_failure == "stop",
        host_timeout=host_timeout,
        deadline=deadline,
        reporter=reporter,
    )
    await (run.rolling(max_parallel) if written.rolling else run.on_delete(max_parallel))
    await run.is_wanted()
    report = UpgradeReport(
        deployment,
        written.changed,
        written.references,
        written.previous,
        run.results(),
        await find_outdated(dpf, [deployment]),
    )
    if report.failed or run.interruption:
        raise _failure(report, run)
    return report


def _failure(report: UpgradeReport, run: UpgradeRun) -> UpgradeFailed:
    first: HostOutcome | None = report.failed[0] if report.failed else None
    reasons = [*map(str, report.failed), *([run.interruption] if run.interruption else [])]
    failure = UpgradeFailed(
        f"{report}; {'; '.join(reasons)}; repair the cause and call upgrade() again to continue, or call rollback()",
        report=report,
        node=first.node if first is not None else "",
    )
    failure.__cause__ = first.error if first is not None else run.error
    return failure


async def rollback(
    dpf: Client,
    deployment: str,
    *,
    bfb: str | None = None,
    flavor: str | None = None,
    progress: ProgressListener | None = None,
    timeout: float | None = None,
) -> DeploymentChange:
    """Return a DPUDeployment to its references before the last change, and find the DPUs that are outdated by that.

    An upgrade in progress starts no other host. With OnDelete no DPU is changed: call `upgrade` without bfb and flavor
    to reinstall those that were upgraded. A repeated call changes nothing.

    Args:
        dpf: an entered DPFClient.
        deployment: name of the DPUDeployment.
        bfb: name of the BFB to return to, as in UpgradeReport.previous.
        flavor: name of the DPUFlavor to return to. With neither, the references are those in the annotation
            `dpf-async/previous-references` of the DPUDeployment, from before the last change by this library.
        progress: callback for what is done and waited for.
        timeout: seconds to wait until the operator has accepted the change.

    Raises:
        NotFound: there is no such DPUDeployment, BFB or DPUFlavor.
        UsageError: the previous references are not known; the BFB is not Ready; or an object is being deleted.
        WaitTimeout, SiteFailed, ObjectReplaced: the change was written, and the operator did not accept it.
    """
    if bfb is None and flavor is None:
        previous = await deployments.previous_references(dpf, deployment)
        bfb, flavor = previous.bfb, previous.flavor
    return await deployments.change(
        dpf,
        deployment,
        bfb=bfb,
        flavor=flavor,
        # The annotation stays: with it changed, a second rollback would return to the new references.
        keep_previous=False,
        deadline=Deadline(timeout),
        reporter=ProgressReporter("rollback", progress),
    )
