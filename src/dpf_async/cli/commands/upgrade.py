"""`dpf-async upgrade`: set another BFB or DPUFlavor in a DPUDeployment, upgrade its hosts, and roll back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from dpf_async import (
    DeploymentChange,
    HostUpgrade,
    OutdatedDPU,
    References,
    UpgradeReport,
    rollback,
)
from dpf_async import upgrade as upgrade_deployment
from dpf_async.cli import console, terminal
from dpf_async.cli.host_actions import HostActions
from dpf_async.cli.options import (
    DEFAULT_NAMESPACE,
    ClaimOption,
    ContextOption,
    DrainCommandOption,
    KubeconfigOption,
    NamespaceOption,
    Output,
    OutputOption,
    RebootCommandOption,
    SkipDrainOption,
    TimeoutOption,
    client,
    duration,
)
from dpf_async.errors import UpgradeFailed, UsageError


def upgrade(
    deployment: Annotated[str, typer.Argument(help="Name of a DPUDeployment.")],
    *,
    bfb: Annotated[
        str | None, typer.Option("--bfb", metavar="NAME", help="BFB to install; it must be in phase Ready.")
    ] = None,
    flavor: Annotated[
        str | None, typer.Option("--flavor", metavar="NAME", help="DPUFlavor to apply.")
    ] = None,
    back: Annotated[
        bool,
        typer.Option(
            "--rollback",
            help="Set the previous BFB and DPUFlavor in the DPUDeployment, or those of --bfb and --flavor, and change"
            " no host. Then run `dpf-async upgrade` without these options to reprovision the hosts.",
        ),
    ] = False,
    approved: Annotated[
        list[str] | None,
        typer.Option(
            "--approve",
            metavar="NODE",
            help="Upgrade only this host; may be repeated.",
        ),
    ] = None,
    parallel: Annotated[
        int, typer.Option("--max-parallel", metavar="N", help="Maximum number of hosts in progress.")
    ] = 1,
    continue_on_failure: Annotated[
        bool,
        typer.Option(
            "--continue", help="Continue with other hosts when one fails; default: begin no further host."
        ),
    ] = False,
    reboot_command: RebootCommandOption = None,
    drain_command: DrainCommandOption = None,
    yes: SkipDrainOption = False,
    claim: ClaimOption = False,
    host_timeout: Annotated[
        float | None,
        typer.Option(
            "--host-timeout",
            parser=duration,
            metavar="DURATION",
            help="Stop waiting for one host after this time.",
        ),
    ] = None,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Set another BFB or DPUFlavor in a DPUDeployment, and upgrade its hosts one by one.

    The verb prompts for each host on the terminal, unless --approve or --yes approves it. With strategy OnDelete it
    deletes the outdated DPUs, and DPF creates them again; with RollingUpdate DPF deletes them itself. In both cases DPF
    requests reboots as for provisioning. Run it again without --bfb and --flavor to resume.
    """

    async def upgrade_hosts() -> None:
        if not (yes or approved or terminal.is_interactive()):
            raise UsageError(
                "no way to approve hosts: name them with --approve, or give --yes, or run this on a terminal;"
                " nothing was done"
            )
        actions = HostActions(reboot=reboot_command, drain=drain_command, yes=yes)

        async def approve(host: HostUpgrade) -> bool:
            if approved:
                return host.node in approved
            return yes or await terminal.confirm(f"DPUNode {host.node}: upgrade it now?")

        try:
            async with client(kubeconfig, context, namespace, claim=claim) as dpf:
                report = await upgrade_deployment(
                    dpf,
                    deployment,
                    bfb=bfb,
                    flavor=flavor,
                    approve=approve,
                    reboot=actions.reboot,
                    node_effect=actions.drain,
                    max_parallel=parallel,
                    on_failure="continue" if continue_on_failure else "stop",
                    host_timeout=host_timeout,
                    timeout=timeout,
                    progress=console.print_progress,
                )
        except UpgradeFailed as error:
            _show_report(error.report, output)
            raise
        _show_report(report, output)

    async def roll_back() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            change = await rollback(
                dpf, deployment, bfb=bfb, flavor=flavor, timeout=timeout, progress=console.print_progress
            )
        _show_change(change, output)

    console.run(roll_back if back else upgrade_hosts)


def _show_report(report: UpgradeReport, output: Output) -> None:
    if output.is_json:
        hosts = [{"node": host.node, "outcome": host.outcome, "reason": host.reason} for host in report.hosts]
        console.show_json({**_document(report), "hosts": hosts})
        return
    console.show(report)
    for host in report.hosts:
        console.show(f"  {host}")
    _show_outdated(report.outdated)


def _show_change(change: DeploymentChange, output: Output) -> None:
    if output.is_json:
        console.show_json(_document(change))
        return
    action = "rolled back to" if change.changed else "is already at"
    console.show(f"DPUDeployment {change.deployment} {action}: {change.references}")
    _show_outdated(change.outdated)


def _show_outdated(outdated: tuple[OutdatedDPU, ...]) -> None:
    for one in outdated:
        console.show(f"  outdated: {one}")


def _document(result: UpgradeReport | DeploymentChange) -> dict[str, Any]:  # Any: JSON
    return {
        "deployment": result.deployment,
        "changed": result.changed,
        "references": _references(result.references),
        "previous": _references(result.previous),
        "outdated": [asdict(one) for one in result.outdated],
    }


def _references(references: References | None) -> dict[str, Any] | None:  # Any: JSON
    return None if references is None else asdict(references)
