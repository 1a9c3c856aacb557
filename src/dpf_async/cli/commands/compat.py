"""`dpf-async compat`: whether this version supports the kinds that the cluster serves."""

from __future__ import annotations

from dataclasses import asdict

import typer

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


def compat(
    *,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare the kinds of the cluster with the models of this version, and show which operations would fail.

    The verb reads the schemas that the API server publishes and reports kinds that are missing, fields that were
    removed or became required, and values that are not accepted. It changes nothing and reads no object.
    """

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            report = await dpf.check_compatibility()
        if output.is_json:
            console.show_json({"compatible": report.compatible, **asdict(report)})
        else:
            console.show(report)
        if not report.compatible:
            raise typer.Exit(console.FAILED)

    console.run(verb)
