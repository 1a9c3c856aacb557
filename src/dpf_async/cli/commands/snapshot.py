"""Everything DPF knows of one host, for a support ticket."""

from __future__ import annotations

from typing import Annotated

import typer

from dpf_async import HostReport
from dpf_async.cli import console
from dpf_async.cli.options import (
    DEFAULT_NAMESPACE,
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    Output,
    OutputOption,
    client,
)


def snapshot(
    node: Annotated[
        str, typer.Argument(help="Name of a DPUNode; it may be gone, if something refers to it.")
    ],
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show everything DPF knows of one host at one moment, and what each object waits for.

    The JSON document has it all, with conditions, labels and identities, and is made to be given away: nothing in it
    may hold a password.
    """

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            taken = await dpf.snapshot(node)
        if output.is_json:
            console.show_json(taken.to_dict())
        else:
            _show(taken)

    console.run(verb)


def _show(taken: HostReport) -> None:
    console.show(f"host {taken.node} in namespace {taken.namespace}, {taken.taken}")
    table = console.table("kind", "name", "phase", "waiting for")
    nodes = () if taken.dpu_node is None else (taken.dpu_node,)
    for one in (*nodes, *taken.devices, *taken.dpus, *taken.maintenances):
        table.add_row(one.kind, one.name, one.phase, one.waiting_for)
    for name in taken.missing_devices:
        table.add_row("DPUDevice", name, "", "does not exist")
    for obj in taken.unreadable:
        table.add_row(obj.kind, obj.name, "", f"cannot be read: {obj.error}")
    console.out.print(table)
    for trouble in taken.watch_problems:
        console.show(f"may be behind: {trouble}")
