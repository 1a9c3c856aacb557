"""`dpf-async node`: answer a request of DPF manually, for a host that was rebooted or drained elsewhere."""

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
    help="Answer a request of DPF for a host; `dpf-async status` shows the requests.", no_args_is_help=True
)

NodeArgument = Annotated[str, typer.Argument(help="Name of a DPUNode.")]


@app.command(
    epilog=console.epilog(
        "node rebooted node-02-00-00-00-0a-01 --timeout 2m", failed="the host does not exist"
    )
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
    """Confirm the reboot of a host. Run it only after the host was power-cycled: DPF does not verify it.

    DPF then waits until the DPUs of the host have started, and may request another reboot. If no request is pending,
    the verb does nothing and succeeds. With --timeout it waits until DPF has observed the confirmation.
    """

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            answered = await dpf.mark_dpu_node_rebooted(node, timeout=timeout)
        text = "reboot confirmed" if answered else "no reboot request is pending; nothing was done"
        _show(node, answered=answered, text=text, output=output)

    console.run(verb)


@app.command(
    epilog=console.epilog(
        "node release node-02-00-00-00-0a-01", failed="the host is not held, or does not exist"
    )
)
def release(
    node: NodeArgument,
    *,
    in_advance: Annotated[
        bool,
        typer.Option(
            "--in-advance",
            help="Release the hold before DPF requests it, while it waits for other DPUs of the host.",
        ),
    ] = False,
    timeout: TimeoutOption = None,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Release the hold on a host. Run it only after the host was drained: DPF may then disrupt it.

    DPF then installs all DPUs that share the hold. If the hold is already released, the verb succeeds. With --timeout
    it waits until DPF has observed the release.
    """

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            released = await dpf.mark_dpu_node_ready_for_maintenance(
                node, in_advance=in_advance, timeout=timeout
            )
        text = "hold released" if released else "the hold is already released; nothing was done"
        _show(node, answered=released, text=text, output=output)

    console.run(verb)


def _show(node: str, *, answered: bool, text: str, output: Output) -> None:
    if output.is_json:
        console.show_json({"node": node, "answered": answered})
    else:
        console.show(f"{node}: {text}")
