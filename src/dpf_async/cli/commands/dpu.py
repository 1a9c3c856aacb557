"""`dpf-async dpu`: reprovision, delete and list DPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.table import Table

from dpf_async import DPFClient, DPUView, ForcedDeletion, NodeView
from dpf_async import reprovision as reprovision_host
from dpf_async.cli import console, deletion_report, terminal
from dpf_async.cli.batch import run_for_each, show_outcomes
from dpf_async.cli.commands.host import ready_text
from dpf_async.cli.documents import dpu_document, node_document
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
    YesOption,
    client,
)
from dpf_async.errors import UsageError
from dpf_async.health import DPUHealth
from dpf_async.models import DPU

app: typer.Typer = typer.Typer(help="Reprovision, delete and list DPUs.", no_args_is_help=True)


@app.command(
    epilog=console.epilog(
        "dpu reprovision node-02-00-00-00-0a-01-device-02-00-00-00-0b-01 --yes"
        " --reboot-command 'ipmitool -H bmc-of-{node} power cycle'",
        failed="a host is not Ready again",
    )
)
def reprovision(
    dpus: Annotated[list[str], typer.Argument(help="Names of DPUs, see `dpu status`.")],
    *,
    uid: Annotated[
        str | None,
        typer.Option(
            "--uid",
            help="uid of the DPU to replace, as printed at the start. After an interruption, give it so that the new"
            " DPU is not reprovisioned as well.",
        ),
    ] = None,
    refuse_installing: Annotated[
        bool,
        typer.Option(
            "--refuse-installing",
            help="Refuse a DPU in phase OS Installing; default: wait for the installation.",
        ),
    ] = False,
    reboot_command: RebootCommandOption = None,
    drain_command: DrainCommandOption = None,
    yes: SkipDrainOption = False,
    claim: ClaimOption = False,
    services: ServicesOption = False,
    finish_others: FinishOthersOption = False,
    if_released: ReleasedOption = Released.REQUEST_AGAIN,
    grace: GraceOption = DEFAULT_GRACE,
    max_parallel: MaxParallelOption = None,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete DPUs so that DPF creates them again, and bring their hosts to Ready.

    The new DPU has the same name, and the BFB and DPUFlavor that its group has now. As for provisioning, DPF holds the
    node effect and requests reboots. On a terminal, the verb prompts before it deletes, unless --yes is given. All
    hosts are reprovisioned concurrently, or up to --max-parallel of them; --timeout applies to each host and begins
    with its flow.
    """

    async def verb() -> None:
        if uid is not None and len(dpus) != 1:
            raise UsageError(f"--uid needs exactly one DPU, not {len(dpus)}; nothing was done")
        actions = HostActions(reboot=reboot_command, drain=drain_command, yes=yes)
        async with client(kubeconfig, context, namespace, claim=claim) as dpf:
            hosts = await _hosts(dpf, dpus, uid, timeout)
            await terminal.require_confirmation(
                f"Reprovision {', '.join(dpus)}?", yes=yes or not terminal.is_interactive()
            )

            async def reprovision_one(node: str) -> NodeView:
                return await reprovision_host(
                    dpf,
                    node,
                    replacing=hosts[node],
                    reboot=actions.reboot,
                    node_effect=actions.drain,
                    services=services,
                    if_installing="refuse" if refuse_installing else "wait",
                    if_released=if_released.choice,
                    if_failed="finish_others" if finish_others else "raise",
                    grace=grace,
                    timeout=timeout,
                    progress=console.print_progress,
                )

            outcomes = await run_for_each(hosts, reprovision_one, max_parallel=max_parallel)
        show_outcomes(outcomes, output, subject="node", text=ready_text, document=node_document)

    console.run(verb)


@app.command(
    epilog=console.epilog("dpu delete device-02-00-00-00-0b-01 --timeout 1h", failed="an object still exists")
)
def delete(
    devices: Annotated[list[str], typer.Argument(help="Names of DPUDevices, see `dpu status`.")],
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
    """Delete DPUDevices with their DPUs and their entries in the DPUNode; return when all of them are deleted.

    Without its DPUDevice, a DPU is not created again. A DPU in phase OS Installing is deleted when the installation has
    ended. Objects that are already deleted count as success. With --force, objects are deleted that DPF has not cleaned
    up, and the DPU hardware may still be running.
    """

    async def verb() -> None:
        await terminal.require_confirmation(f"Delete {', '.join(devices)} with the DPU?", yes=yes)
        async with client(kubeconfig, context, namespace) as dpf:

            async def delete_one(name: str) -> ForcedDeletion:
                if force:
                    return await dpf.force_delete_dpu(
                        name, grace_period=grace_period, progress=console.print_progress
                    )
                await dpf.delete_dpu(name, timeout=timeout, progress=console.print_progress)
                return ForcedDeletion()

            outcomes = await run_for_each(devices, delete_one)
        deletion_report.show(outcomes, output, subject="device")

    console.run(verb)


@app.command(
    epilog=console.epilog(
        "dpu status node-02-00-00-00-0a-01-device-02-00-00-00-0b-01", failed="a DPU is not ready"
    )
)
def status(
    dpus: Annotated[list[str] | None, typer.Argument(help="Names of DPUs; default: all.")] = None,
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show DPUs: phase, readiness, services, BFB, DPUFlavor and problems."""

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            listed = await dpf.resource(DPU).list()
            names = dpus or [*(dpu.name for dpu in listed.items), *(obj.name for obj in listed.undecodable)]
            outcomes = await run_for_each(names, lambda name: _read(dpf, name))
        shown = [outcome.result for outcome in outcomes if outcome.result is not None]
        if not output.is_json and shown:
            console.out.print(_table(shown))
        elif not output.is_json and not names:
            console.show(f"no DPUs in namespace {namespace}")
        show_outcomes(
            outcomes if output.is_json else [one for one in outcomes if one.error is not None],
            output,
            subject="dpu",
            text=str,
            document=_Status.document,
        )
        if not all(one.dpu.ready for one in shown):
            raise typer.Exit(console.FAILED)

    console.run(verb)


@dataclass(frozen=True, slots=True)
class _Status:
    """A DPU and its problems."""

    dpu: DPUView
    health: DPUHealth

    def document(self) -> dict[str, Any]:  # Any: JSON
        return {**dpu_document(self.dpu), "problems": [str(problem) for problem in self.health.problems]}


async def _read(dpf: DPFClient, name: str) -> _Status:
    return _Status(await dpf.dpu(name).view(), await dpf.dpu(name).health())


def _table(statuses: list[_Status]) -> Table:
    table = console.table("DPU", "device", "phase", "ready", "services", "BFB", "flavor", "problem")
    for status in statuses:
        dpu = status.dpu
        problems = status.health.problems
        table.add_row(
            dpu.name,
            dpu.device,
            str(dpu.phase),
            console.yes_or_no(dpu.ready),
            console.yes_or_no(dpu.services_ready),
            dpu.bfb,
            dpu.flavor,
            str(problems[0]).removeprefix(f"DPU {dpu.name} ") if problems else "",
        )
    return table


async def _hosts(
    dpf: DPFClient, names: list[str], uid: str | None, timeout: float | None
) -> dict[str, dict[str, str]]:
    """The name and uid of each DPU to reprovision, by DPUNode."""
    hosts: dict[str, dict[str, str]] = {}
    for name in names:
        view = await dpf.dpu(name).find() if uid is not None else await dpf.dpu(name).view()
        if view is None:
            # It was deleted before an interruption; only the DPU that replaces it has the name of the host.
            view = await dpf.reprovision_dpu(name, uid=uid, timeout=timeout, progress=console.print_progress)
        hosts.setdefault(view.node, {})[name] = uid or view.uid
        console.print_note(
            f"DPU {name} has uid {uid or view.uid}: after an interruption, resume with --uid {uid or view.uid}"
        )
    return hosts
