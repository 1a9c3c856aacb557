"""`dpf-async status` and `dpf-async watch`: the state of hosts, and their transitions."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

import typer

from dpf_async import DPFClient
from dpf_async._transitions.views import describe
from dpf_async.cli import console
from dpf_async.cli.documents import node_document, transition_document
from dpf_async.cli.options import (
    DEFAULT_NAMESPACE,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    Output,
    OutputOption,
    client,
    duration,
)
from dpf_async.errors import UsageError
from dpf_async.models import DPUNode


def status(
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show every host and its DPUs: phase, readiness, services, and the request of DPF that is pending."""
    console.run(lambda: _status(client(kubeconfig, context, namespace), output))


def watch(
    node: Annotated[str | None, typer.Argument(help="Name of a DPUNode; default: all.")] = None,
    *,
    selector: Annotated[str, typer.Option("--selector", "-l", help="Label selector for DPUNodes.")] = "",
    health: Annotated[
        bool,
        typer.Option(
            "--health", help="Show problems of DPUs and whether hosts are usable, instead of each phase."
        ),
    ] = False,
    down_after: Annotated[
        float,
        typer.Option(
            "--down-after",
            parser=duration,
            metavar="DURATION",
            show_default="0s",
            help="With --health: report a problem only after it has lasted this long.",
        ),
    ] = 0.0,
    up_after: Annotated[
        float,
        typer.Option(
            "--up-after",
            parser=duration,
            metavar="DURATION",
            show_default="0s",
            help="With --health: report the end of a problem only after it has been absent this long.",
        ),
    ] = 0.0,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print the present state as transitions, then each transition when it occurs, until interrupted.

    If stdout is read too slowly, the verb prints the transitions to the newest state and marks them as not contiguous.
    With -o json, each transition is one line.
    """

    def stream(dpf: DPFClient) -> AbstractAsyncContextManager[Any]:  # Any: a stream of one kind or another
        if health:
            damping = {"down_after": down_after, "up_after": up_after}
            if node is not None:
                return dpf.node(node).health_transitions(**damping)
            return dpf.health_transitions(label_selector=selector, **damping)
        return dpf.node(node).transitions() if node else dpf.transitions(label_selector=selector)

    async def verb() -> None:
        if node is not None and selector:
            raise UsageError("a DPUNode and --selector exclude each other: give one of them")
        async with client(kubeconfig, context, namespace) as dpf:
            await dpf.server_version()
            async with stream(dpf) as transitions:
                async for transition in transitions:
                    if output.is_json:
                        console.show_line(transition_document(transition))
                    else:
                        console.show(line(transition))

    console.run(verb)


async def _status(dpf: DPFClient, output: Output) -> None:
    async with dpf:
        await dpf.server_version()
        nodes = await dpf.resource(DPUNode).list()
        views = [await dpf.node(node.name).view() for node in nodes.items]
    if output.is_json:
        console.show_json([node_document(view) for view in views])
        return
    if not views:
        console.show(f"no DPUNodes in namespace {dpf.namespace}")
        return
    table = console.table("host", "DPU", "phase", "ready", "services", "request")
    for view in views:
        request = "release" if view.hold else "reboot" if view.external_reboot_required else ""
        if not view.dpus:
            table.add_row(view.name, "", describe(view), "", "", request)
        for dpu in view.dpus:
            table.add_row(
                view.name,
                dpu.name.removeprefix(f"{view.name}-"),
                describe(dpu),
                console.yes_or_no(dpu.ready),
                console.yes_or_no(dpu.services_ready),
                request,
            )
        for obj in view.unreadable:
            table.add_row(view.name, f"{obj.kind.KIND} {obj.name}", "cannot be read", "no", "no", "")
    console.out.print(table)


def line(transition: Any) -> str:  # Any: of either union
    """A transition in one line: its name, then its fields."""
    parts = []
    for name in transition.__dataclass_fields__:
        value = getattr(transition, name)
        if name == "contiguous":
            if not value:
                parts.append("after a gap")
        elif name in {"before", "after"} and hasattr(value, "status"):
            parts.append(f"{name}={value.status}/{value.reason}")
        elif value not in (None, (), "", 0):
            shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
            parts.append(f"{name}={shown}")
    return f"{type(transition).__name__:24} {'  '.join(parts)}"
