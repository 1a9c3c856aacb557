"""The verbs of hosts: telling DPF of them, bringing them to Ready, taking them away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpf_async import ForcedDeletion, HostSpec, NodeView, discover, load_hosts, load_site
from dpf_async import provision as provision_host
from dpf_async.cli import console, deletion_report, terminal
from dpf_async.cli.batch import each, show_outcomes
from dpf_async.cli.documents import node_document
from dpf_async.cli.host_actions import Hands
from dpf_async.cli.options import (
    DEFAULT_GRACE,
    DEFAULT_GRACE_PERIOD,
    DEFAULT_NAMESPACE,
    ClaimOption,
    ContextOption,
    DrainCommandOption,
    FinishOthersOption,
    ForceOption,
    FreeOption,
    GraceOption,
    GracePeriodOption,
    HostsArgument,
    KubeconfigOption,
    MaxParallelOption,
    NamespaceOption,
    Output,
    OutputOption,
    RebootCommandOption,
    Released,
    ReleasedOption,
    ServicesOption,
    TimeoutOption,
    WaitTerminatingOption,
    YesOption,
    client,
)
from dpf_async.errors import UsageError

app: typer.Typer = typer.Typer(
    help="Register hosts, bring them to Ready, take them away.", no_args_is_help=True
)

NamesArgument = Annotated[list[str] | None, typer.Argument(help="Only these of them; else all.")]
SiteOption = Annotated[
    Path, typer.Option("--site", help="Description of their site, whose groups give them their labels.")
]


@app.command(
    epilog=console.teach(
        "host register examples/hosts.yaml --site examples/site.yaml --timeout 10m",
        no="a host was refused or not discovered",
    )
)
def register(
    hosts: HostsArgument,
    names: NamesArgument = None,
    *,
    site: SiteOption,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Whether to wait until DPF has found every DPU.")
    ] = True,
    wait_terminating: WaitTerminatingOption = False,
    grace: GraceOption = DEFAULT_GRACE,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Tell DPF of hosts and their DPUs, and wait until it has found every DPU to be as described.

    DPF then asks each DPU's BMC, and makes a DPU for every device of a host that a group of the site selects; see `host
    provision` for what comes next. What is there as described is left alone; what may change is made so.
    """

    async def verb() -> None:
        chosen = _chosen(hosts, site, names)
        async with client(kubeconfig, context, namespace) as dpf:

            async def one(name: str) -> NodeView:
                host = chosen[name]
                if wait:
                    return await discover(
                        dpf,
                        host,
                        if_terminating="wait" if wait_terminating else "refuse",
                        grace=grace,
                        timeout=timeout,
                        progress=console.say_progress,
                    )
                return await dpf.create_dpu_node(
                    host.name,
                    host.devices,
                    labels=host.labels,
                    if_terminating="wait" if wait_terminating else "refuse",
                    timeout=timeout,
                    progress=console.say_progress,
                )

            outcomes = await each(chosen, one)
        words = "discovered" if wait else "registered"
        show_outcomes(
            outcomes,
            output,
            subject="node",
            words=lambda view: f"{view.name}: {words}, {len(view.device_names)} DPUs",
            document=node_document,
        )

    console.run(verb)


@app.command(
    epilog=console.teach(
        "host provision examples/hosts.yaml --site examples/site.yaml --drain-command './drain {node}'"
        " --reboot-command 'ipmitool -H bmc-of-{node} -U root -f password power cycle'",
        no="a host is not Ready",
    )
)
def provision(
    hosts: HostsArgument,
    names: NamesArgument = None,
    *,
    site: SiteOption,
    reboot_command: RebootCommandOption = None,
    drain_command: DrainCommandOption = None,
    yes: FreeOption = False,
    claim: ClaimOption = False,
    services: ServicesOption = False,
    finish_others: FinishOthersOption = False,
    wait_terminating: WaitTerminatingOption = False,
    if_released: ReleasedOption = Released.ASK_AGAIN,
    grace: GraceOption = DEFAULT_GRACE,
    max_parallel: MaxParallelOption = None,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Bring hosts from unknown to Ready: register them, and answer what DPF asks until they are.

    DPF asks whether a host may be disturbed, installs its DPUs, and asks for reboots of the host, as often as they
    need. A command that fails ends the flow for its host, and DPF's question stands. Run again, for a host on its way,
    it goes on; for one that is Ready it returns at once. All hosts are in progress at a time, unless --max-parallel
    says otherwise; --timeout is for each, from its turn on.
    """

    async def verb() -> None:
        chosen = _chosen(hosts, site, names)
        hands = Hands(reboot=reboot_command, drain=drain_command, yes=yes)
        async with client(kubeconfig, context, namespace, claim=claim) as dpf:

            async def one(name: str) -> NodeView:
                return await provision_host(
                    dpf,
                    chosen[name],
                    reboot=hands.reboot,
                    node_effect=hands.drain,
                    services=services,
                    if_terminating="wait" if wait_terminating else "refuse",
                    if_released=if_released.choice,
                    if_failed="finish_others" if finish_others else "raise",
                    grace=grace,
                    timeout=timeout,
                    progress=console.say_progress,
                )

            outcomes = await each(chosen, one, max_parallel=max_parallel)
        show_outcomes(outcomes, output, subject="node", words=ready_words, document=node_document)

    console.run(verb)


@app.command(
    epilog=console.teach("host delete node-02-00-00-00-0a-01 --timeout 1h", no="something is still there")
)
def delete(
    nodes: Annotated[list[str], typer.Argument(help="Names of DPUNodes.")],
    *,
    force: ForceOption = False,
    grace_period: GracePeriodOption = DEFAULT_GRACE_PERIOD,
    yes: YesOption = False,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take hosts away, with their DPUs, DPUDevices and maintenances; return when all of it is gone.

    DPF then cleans up after each DPU; one whose OS is being installed goes when that is over. What is gone already is
    success. With --force the cluster forgets what DPF has not cleaned up, and the hardware may still run.
    """

    async def verb() -> None:
        await terminal.make_sure(f"Delete {', '.join(nodes)}, with all DPUs?", yes=yes)
        async with client(kubeconfig, context, namespace) as dpf:

            async def one(name: str) -> ForcedDeletion:
                if force:
                    return await dpf.force_delete_dpu_node(
                        name, grace_period=grace_period, progress=console.say_progress
                    )
                await dpf.delete_dpu_node(name, timeout=timeout, progress=console.say_progress)
                return ForcedDeletion()

            outcomes = await each(nodes, one)
        deletion_report.show(outcomes, output, subject="node")

    console.run(verb)


def ready_words(view: NodeView) -> str:
    """A host that was brought to Ready, for a person."""
    dpus = ", ".join(f"{dpu.name} {dpu.phase}" for dpu in view.dpus)
    return f"{view.name}: {'ready' if view.ready else 'not ready'}; {dpus or 'no DPUs'}"


def _chosen(hosts: Path, site: Path, names: list[str] | None) -> dict[str, HostSpec]:
    described = {host.name: host for host in load_hosts(hosts, load_site(site))}
    unknown = [name for name in names or () if name not in described]
    if unknown:
        raise UsageError(f"{hosts} has no host {', '.join(unknown)}; it has {', '.join(described)}")
    return {name: described[name] for name in names or described}
