"""Upgrades: another BFB or DPUFlavor for a DPUDeployment, its hosts brought there one after the other, and back."""

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
from dpf_async.cli.host_actions import Hands
from dpf_async.cli.options import (
    DEFAULT_NAMESPACE,
    ClaimOption,
    ContextOption,
    DrainCommandOption,
    FreeOption,
    KubeconfigOption,
    NamespaceOption,
    Output,
    OutputOption,
    RebootCommandOption,
    TimeoutOption,
    client,
    duration,
)
from dpf_async.errors import UpgradeFailed, UsageError


def upgrade(
    deployment: Annotated[str, typer.Argument(help="Name of a DPUDeployment.")],
    *,
    bfb: Annotated[
        str | None, typer.Option("--bfb", metavar="NAME", help="The BFB to install, which must be Ready.")
    ] = None,
    flavor: Annotated[
        str | None, typer.Option("--flavor", metavar="NAME", help="The DPUFlavor to configure DPUs by.")
    ] = None,
    back: Annotated[
        bool,
        typer.Option(
            "--rollback",
            help="Have the DPUDeployment say again what it said before, or what --bfb and --flavor say, and touch no"
            " host. `dpf-async upgrade` without them brings hosts back then.",
        ),
    ] = False,
    approved: Annotated[
        list[str] | None,
        typer.Option(
            "--approve",
            metavar="NODE",
            help="Upgrade this host, and no other that is not named; may be repeated.",
        ),
    ] = None,
    parallel: Annotated[
        int, typer.Option("--max-parallel", metavar="N", help="Hosts in progress at a time, at most.")
    ] = 1,
    go_on: Annotated[
        bool,
        typer.Option("--continue", help="Go on with other hosts when one fails; else begin no other one."),
    ] = False,
    reboot_command: RebootCommandOption = None,
    drain_command: DrainCommandOption = None,
    yes: FreeOption = False,
    claim: ClaimOption = False,
    host_timeout: Annotated[
        float | None,
        typer.Option(
            "--host-timeout", parser=duration, metavar="DURATION", help="Time for the waiting for one host."
        ),
    ] = None,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have a DPUDeployment make DPUs with another BFB or DPUFlavor, and bring its hosts up to date one by one.

    Each host is asked about on the terminal, unless --approve or --yes says so. With OnDelete its outdated DPUs are
    deleted, and DPF makes them anew; with RollingUpdate DPF deletes them itself. Both ask for a reboot as provisioning
    does. Run again, without --bfb and --flavor, it goes on where it stopped.
    """

    async def forth() -> None:
        if not (yes or approved or terminal.is_there()):
            raise UsageError(
                "nobody would approve hosts: name them with --approve, or say --yes; nothing was done"
            )
        hands = Hands(reboot=reboot_command, drain=drain_command, yes=yes)

        async def approve(host: HostUpgrade) -> bool:
            if approved:
                return host.node in approved
            return yes or await terminal.confirmed(f"DPUNode {host.node}: upgrade it now?")

        try:
            async with client(kubeconfig, context, namespace, claim=claim) as dpf:
                report = await upgrade_deployment(
                    dpf,
                    deployment,
                    bfb=bfb,
                    flavor=flavor,
                    approve=approve,
                    reboot=hands.reboot,
                    node_effect=hands.drain,
                    max_parallel=parallel,
                    on_failure="continue" if go_on else "stop",
                    host_timeout=host_timeout,
                    timeout=timeout,
                    progress=console.say_progress,
                )
        except UpgradeFailed as error:
            _show_report(error.report, output)
            raise
        _show_report(report, output)

    async def again_as_before() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            change = await rollback(
                dpf, deployment, bfb=bfb, flavor=flavor, timeout=timeout, progress=console.say_progress
            )
        _show_change(change, output)

    console.run(again_as_before if back else forth)


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
    what = "says again" if change.changed else "said already"
    console.show(f"DPUDeployment {change.deployment} {what}: {change.references}")
    _show_outdated(change.outdated)


def _show_outdated(outdated: tuple[OutdatedDPU, ...]) -> None:
    for one in outdated:
        console.show(f"  outdated: {one}")


def _document(done: UpgradeReport | DeploymentChange) -> dict[str, Any]:  # Any: JSON
    return {
        "deployment": done.deployment,
        "changed": done.changed,
        "references": _references(done.references),
        "previous": _references(done.previous),
        "outdated": [asdict(one) for one in done.outdated],
    }


def _references(said: References | None) -> dict[str, Any] | None:  # Any: JSON
    return None if said is None else asdict(said)
