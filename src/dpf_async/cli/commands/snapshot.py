"""`dpf-async snapshot`: the state of one host and of all objects that refer to it, for a bug report."""

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
        str, typer.Argument(help="Name of a DPUNode; it may be deleted, if another object refers to it.")
    ],
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the state of one host and of all objects that refer to it, and what each object waits for.

    The JSON document also has conditions, labels and uids. It can be passed on: it contains no field that may hold a
    password.
    """

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            report = await dpf.snapshot(node)
        if output.is_json:
            console.show_json(report.to_dict())
        else:
            _show(report)

    console.run(verb)


def _show(report: HostReport) -> None:
    console.show(f"host {report.node} in namespace {report.namespace}, {report.taken}")
    table = console.table("kind", "name", "phase", "waiting for")
    nodes = () if report.dpu_node is None else (report.dpu_node,)
    for one in (*nodes, *report.devices, *report.dpus, *report.maintenances):
        table.add_row(one.kind, one.name, one.phase, one.waiting_for)
    for name in report.missing_devices:
        table.add_row("DPUDevice", name, "", "does not exist")
    for obj in report.unreadable:
        table.add_row(obj.kind, obj.name, "", f"cannot be read: {obj.error}")
    console.out.print(table)
    for problem in report.watch_problems:
        console.show(f"may be outdated: {problem}")
