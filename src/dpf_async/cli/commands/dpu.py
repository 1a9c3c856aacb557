"""The verbs of DPUs: having them made anew, taking them away, looking at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from dpf_async import DPFClient, DPUView, ForcedDeletion, NodeView
from dpf_async import reprovision as reprovision_host
from dpf_async.cli import console, deletion_report, terminal
from dpf_async.cli.batch import each, show_outcomes
from dpf_async.cli.commands.host import ready_words
from dpf_async.cli.documents import dpu_document, node_document
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
    YesOption,
    client,
)
from dpf_async.errors import UsageError
from dpf_async.health import DPUHealth
from dpf_async.models import DPU

app: typer.Typer = typer.Typer(
    help="Have DPUs made anew, take them away, look at them.", no_args_is_help=True
)


@app.command(
    epilog=console.teach(
        "dpu reprovision node-02-00-00-00-0a-01-device-02-00-00-00-0b-01 --yes"
        " --reboot-command 'ipmitool -H bmc-of-{node} power cycle'",
        no="a host is not Ready again",
    )
)
def reprovision(
    dpus: Annotated[list[str], typer.Argument(help="Names of DPUs, as `dpu status` shows them.")],
    *,
    uid: Annotated[
        str | None,
        typer.Option(
            "--uid",
            help="Of the one DPU that is meant, as it was said when this began. After an interruption it keeps the new"
            " DPU from being made anew as well.",
        ),
    ] = None,
    refuse_installing: Annotated[
        bool,
        typer.Option(
            "--refuse-installing", help="Refuse a DPU whose OS is being installed; else that is waited for."
        ),
    ] = False,
    reboot_command: RebootCommandOption = None,
    drain_command: DrainCommandOption = None,
    yes: FreeOption = False,
    claim: ClaimOption = False,
    services: ServicesOption = False,
    finish_others: FinishOthersOption = False,
    if_released: ReleasedOption = Released.ASK_AGAIN,
    grace: GraceOption = DEFAULT_GRACE,
    max_parallel: MaxParallelOption = None,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have DPUs made anew: delete them, and bring their hosts to Ready again.

    DPF makes another DPU of the same name from what its group says by now, with all that provisioning takes: it asks
    whether the host may be disturbed, and for reboots. On a terminal the deletion is asked about first. All hosts are
    in progress at a time, unless --max-parallel says otherwise; --timeout is for each, from its turn on.
    """

    async def verb() -> None:
        if uid is not None and len(dpus) != 1:
            raise UsageError("--uid is for one DPU; nothing was done")
        hands = Hands(reboot=reboot_command, drain=drain_command, yes=yes)
        async with client(kubeconfig, context, namespace, claim=claim) as dpf:
            hosts = await _hosts(dpf, dpus, uid, timeout)
            await terminal.make_sure(f"Have {', '.join(dpus)} made anew?", yes=yes or not terminal.is_there())

            async def one(node: str) -> NodeView:
                return await reprovision_host(
                    dpf,
                    node,
                    replacing=hosts[node],
                    reboot=hands.reboot,
                    node_effect=hands.drain,
                    services=services,
                    if_installing="refuse" if refuse_installing else "wait",
                    if_released=if_released.choice,
                    if_failed="finish_others" if finish_others else "raise",
                    grace=grace,
                    timeout=timeout,
                    progress=console.say_progress,
                )

            outcomes = await each(hosts, one, max_parallel=max_parallel)
        show_outcomes(outcomes, output, subject="node", words=ready_words, document=node_document)

    console.run(verb)


@app.command(
    epilog=console.teach("dpu delete device-02-00-00-00-0b-01 --timeout 1h", no="something is still there")
)
def delete(
    devices: Annotated[list[str], typer.Argument(help="Names of DPUDevices, as `dpu status` shows them.")],
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
    """Take DPUs away for good: the DPUDevice, its DPU, and its entry in the DPUNode; return when all of it is gone.

    Without its device a DPU is not made again. One whose OS is being installed goes when that is over. What is gone
    already is success. With --force the cluster forgets what DPF has not cleaned up, and the hardware may still run.
    """

    async def verb() -> None:
        await terminal.make_sure(f"Delete {', '.join(devices)}, with its DPU?", yes=yes)
        async with client(kubeconfig, context, namespace) as dpf:

            async def one(name: str) -> ForcedDeletion:
                if force:
                    return await dpf.force_delete_dpu(
                        name, grace_period=grace_period, progress=console.say_progress
                    )
                await dpf.delete_dpu(name, timeout=timeout, progress=console.say_progress)
                return ForcedDeletion()

            outcomes = await each(devices, one)
        deletion_report.show(outcomes, output, subject="device")

    console.run(verb)


@app.command(
    epilog=console.teach("dpu status node-02-00-00-00-0a-01-device-02-00-00-00-0b-01", no="one is not ready")
)
def status(
    dpus: Annotated[list[str] | None, typer.Argument(help="Names of DPUs; else all.")] = None,
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show DPUs: phase, readiness, services, what they were made with, and what is wrong with them."""

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            listed = await dpf.resource(DPU).list()
            names = dpus or [*(dpu.name for dpu in listed.items), *(obj.name for obj in listed.undecodable)]
            outcomes = await each(names, lambda name: _look(dpf, name))
        shown = [outcome.result for outcome in outcomes if outcome.result is not None]
        if not output.is_json and shown:
            console.out.print(_table(shown))
        elif not output.is_json and not names:
            console.show(f"no DPUs in namespace {namespace}")
        show_outcomes(
            outcomes if output.is_json else [one for one in outcomes if one.error is not None],
            output,
            subject="dpu",
            words=str,
            document=_Looked.document,
        )
        if not all(looked.dpu.ready for looked in shown):
            raise typer.Exit(console.FAILED)

    console.run(verb)


@dataclass(frozen=True, slots=True)
class _Looked:
    """A DPU, and what is wrong with it."""

    dpu: DPUView
    health: DPUHealth

    def document(self) -> dict[str, Any]:  # Any: JSON
        return {**dpu_document(self.dpu), "problems": [str(problem) for problem in self.health.problems]}


async def _look(dpf: DPFClient, name: str) -> _Looked:
    return _Looked(await dpf.dpu(name).view(), await dpf.dpu(name).health())


def _table(found: list[_Looked]) -> Any:
    table = console.table("DPU", "device", "phase", "ready", "services", "BFB", "flavor", "problem")
    for looked in found:
        dpu = looked.dpu
        problems = looked.health.problems
        table.add_row(
            dpu.name,
            dpu.device,
            str(dpu.phase),
            console.yes(dpu.ready),
            console.yes(dpu.services_ready),
            dpu.bfb,
            dpu.flavor,
            str(problems[0]).removeprefix(f"DPU {dpu.name} ") if problems else "",
        )
    return table


async def _hosts(
    dpf: DPFClient, names: list[str], uid: str | None, timeout: float | None
) -> dict[str, dict[str, str]]:
    """The DPUs that are meant, name and uid, by their DPUNode."""
    hosts: dict[str, dict[str, str]] = {}
    for name in names:
        view = await dpf.dpu(name).find() if uid is not None else await dpf.dpu(name).view()
        if view is None:
            # It was deleted before an interruption, and only its successor knows the host.
            view = await dpf.reprovision_dpu(name, uid=uid, timeout=timeout, progress=console.say_progress)
        hosts.setdefault(view.node, {})[name] = uid or view.uid
        console.say(f"DPU {name} has uid {uid or view.uid}: give --uid to go on after an interruption")
    return hosts
