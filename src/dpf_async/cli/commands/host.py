"""`dpf-async host`: register hosts, bring them to Ready, delete them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpf_async import ForcedDeletion, HostSpec, NodeView, discover, load_hosts, load_site
from dpf_async import provision as provision_host
from dpf_async.cli import console, deletion_report, terminal
from dpf_async.cli.batch import run_for_each, show_outcomes
from dpf_async.cli.documents import node_document
from dpf_async.cli.host_actions import HostActions
from dpf_async.cli.options import (
    DEFAULT_GRACE,
    DEFAULT_GRACE_PERIOD,
    DEFAULT_NAMESPACE,
    ClaimOption,
    ContextOption,
    DrainCommandOption,
    FinishOthersOption,
    ForceOption,
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
    SkipDrainOption,
    TimeoutOption,
    WaitTerminatingOption,
    YesOption,
    client,
)
from dpf_async.errors import UsageError

app: typer.Typer = typer.Typer(help="Register hosts, bring them to Ready, delete them.", no_args_is_help=True)

NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Names of hosts in the host file; default: all.")
]
SiteOption = Annotated[
    Path, typer.Option("--site", help="Site file, whose groups define the labels of the hosts.")
]


@app.command(
    epilog=console.epilog(
        "host register examples/hosts.yaml --site examples/site.yaml --timeout 10m",
        failed="a host was rejected or not discovered",
    )
)
def register(
    hosts: HostsArgument,
    names: NamesArgument = None,
    *,
    site: SiteOption,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Whether to wait until DPF has discovered every DPU.")
    ] = True,
    wait_terminating: WaitTerminatingOption = False,
    grace: GraceOption = DEFAULT_GRACE,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Register hosts and their DPUDevices, and wait until DPF has discovered every DPU.

    DPF then queries the BMC of each DPU, and creates a DPU for every DPUDevice of a host that a group of the site
    selects; `host provision` does the rest. Objects that match the host file are not changed; fields that differ are
    changed if DPF allows it.
    """

    async def verb() -> None:
        hosts_by_name = _selected(hosts, site, names)
        async with client(kubeconfig, context, namespace) as dpf:

            async def register_one(name: str) -> NodeView:
                host = hosts_by_name[name]
                if wait:
                    return await discover(
                        dpf,
                        host,
                        if_terminating="wait" if wait_terminating else "refuse",
                        grace=grace,
                        timeout=timeout,
                        progress=console.print_progress,
                    )
                return await dpf.create_dpu_node(
                    host.name,
                    host.devices,
                    labels=host.labels,
                    if_terminating="wait" if wait_terminating else "refuse",
                    timeout=timeout,
                    progress=console.print_progress,
                )

            outcomes = await run_for_each(hosts_by_name, register_one)
        result = "discovered" if wait else "registered"
        show_outcomes(
            outcomes,
            output,
            subject="node",
            text=lambda view: f"{view.name}: {result}, {len(view.device_names)} DPUs",
            document=node_document,
        )

    console.run(verb)


@app.command(
    epilog=console.epilog(
        "host provision examples/hosts.yaml --site examples/site.yaml --drain-command './drain {node}'"
        " --reboot-command 'ipmitool -H bmc-of-{node} -U root -f password power cycle'",
        failed="a host is not Ready",
    )
)
def provision(
    hosts: HostsArgument,
    names: NamesArgument = None,
    *,
    site: SiteOption,
    reboot_command: RebootCommandOption = None,
    drain_command: DrainCommandOption = None,
    yes: SkipDrainOption = False,
    claim: ClaimOption = False,
    services: ServicesOption = False,
    finish_others: FinishOthersOption = False,
    wait_terminating: WaitTerminatingOption = False,
    if_released: ReleasedOption = Released.REQUEST_AGAIN,
    grace: GraceOption = DEFAULT_GRACE,
    max_parallel: MaxParallelOption = None,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Register hosts, and answer DPF's requests until their DPUs are Ready.

    DPF holds the node effect of a host until it is drained, installs its DPUs, and requests as many reboots as they
    need. If a command fails, the flow ends for its host, and the request stays pending. Run again, the verb resumes; it
    returns at once for a host that is Ready. All hosts are provisioned concurrently, or up to --max-parallel of them;
    --timeout applies to each host and begins with its flow.
    """

    async def verb() -> None:
        hosts_by_name = _selected(hosts, site, names)
        actions = HostActions(reboot=reboot_command, drain=drain_command, yes=yes)
        async with client(kubeconfig, context, namespace, claim=claim) as dpf:

            async def provision_one(name: str) -> NodeView:
                return await provision_host(
                    dpf,
                    hosts_by_name[name],
                    reboot=actions.reboot,
                    node_effect=actions.drain,
                    services=services,
                    if_terminating="wait" if wait_terminating else "refuse",
                    if_released=if_released.choice,
                    if_failed="finish_others" if finish_others else "raise",
                    grace=grace,
                    timeout=timeout,
                    progress=console.print_progress,
                )

            outcomes = await run_for_each(hosts_by_name, provision_one, max_parallel=max_parallel)
        show_outcomes(outcomes, output, subject="node", text=ready_text, document=node_document)

    console.run(verb)


@app.command(
    epilog=console.epilog("host delete node-02-00-00-00-0a-01 --timeout 1h", failed="an object still exists")
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
    """Delete hosts with their DPUs, DPUDevices and DPUNodeMaintenances; return when all of them are deleted.

    DPF cleans up each DPU. A DPU in phase OS Installing is deleted when the installation has ended. Objects that are
    already deleted count as success. With --force, objects are deleted that DPF has not cleaned up, and the DPU
    hardware may still be running.
    """

    async def verb() -> None:
        await terminal.require_confirmation(f"Delete {', '.join(nodes)} with all DPUs?", yes=yes)
        async with client(kubeconfig, context, namespace) as dpf:

            async def delete_one(name: str) -> ForcedDeletion:
                if force:
                    return await dpf.force_delete_dpu_node(
                        name, grace_period=grace_period, progress=console.print_progress
                    )
                await dpf.delete_dpu_node(name, timeout=timeout, progress=console.print_progress)
                return ForcedDeletion()

            outcomes = await run_for_each(nodes, delete_one)
        deletion_report.show(outcomes, output, subject="node")

    console.run(verb)


def ready_text(view: NodeView) -> str:
    """A host after provisioning, for a person."""
    dpus = ", ".join(f"{dpu.name} {dpu.phase}" for dpu in view.dpus)
    return f"{view.name}: {'ready' if view.ready else 'not ready'}; {dpus or 'no DPUs'}"


def _selected(hosts: Path, site: Path, names: list[str] | None) -> dict[str, HostSpec]:
    described = {host.name: host for host in load_hosts(hosts, load_site(site))}
    unknown = [name for name in names or () if name not in described]
    if unknown:
        raise UsageError(f"{hosts} has no host {', '.join(unknown)}; its hosts: {', '.join(described)}")
    return {name: described[name] for name in names or described}
