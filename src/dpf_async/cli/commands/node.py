"""The verbs that answer DPF for somebody else: this host was rebooted, this host may be disturbed."""

from __future__ import annotations

from typing import Annotated

import typer

from dpf_async.cli import console
from dpf_async.cli.options import (
    DEFAULT_NAMESPACE,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    Output,
    OutputOption,
    TimeoutOption,
    client,
)

app: typer.Typer = typer.Typer(
    help="Answer what DPF asks about a host; `dpf-async status` shows what it asks.", no_args_is_help=True
)

NodeArgument = Annotated[str, typer.Argument(help="Name of a DPUNode.")]


@app.command(
    epilog=console.teach("node rebooted node-02-00-00-00-0a-01 --timeout 2m", no="there is no such host")
)
def rebooted(
    node: NodeArgument,
    *,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Tell DPF that a host was rebooted. Say so only after it was power-cycled: nothing else tells DPF.

    DPF then waits for its DPUs to come up again, and may ask once more. Where no request stands, nothing is done, which
    is success. With --timeout it waits until DPF has taken the answer.
    """

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            answered = await dpf.mark_dpu_node_rebooted(node, timeout=timeout)
        told = "DPF is told that it was rebooted" if answered else "DPF asks for no reboot; nothing was done"
        _show(node, answered=answered, told=told, output=output)

    console.run(verb)


@app.command(
    epilog=console.teach("node release node-02-00-00-00-0a-01", no="the host is not held, or not there")
)
def release(
    node: NodeArgument,
    *,
    in_advance: Annotated[
        bool,
        typer.Option(
            "--in-advance", help="Release it before DPF asks, while it waits for other DPUs of the host."
        ),
    ] = False,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Release the hold on a host: it may be disturbed. Say so only after it is free.

    DPF then goes on to install its DPUs, all those that share the hold. One that was released already is success. With
    --timeout it waits until DPF has taken the answer.
    """

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            released = await dpf.mark_dpu_node_ready_for_maintenance(
                node, in_advance=in_advance, timeout=timeout
            )
        told = "may be disturbed now" if released else "was released already; nothing was done"
        _show(node, answered=released, told=told, output=output)

    console.run(verb)


def _show(node: str, *, answered: bool, told: str, output: Output) -> None:
    if output.is_json:
        console.show_json({"node": node, "answered": answered})
    else:
        console.show(f"{node}: {told}")
