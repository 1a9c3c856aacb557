"""Whether this version and the cluster's DPF understand each other."""

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
    """Show what of this version will fail for what the cluster's kinds have become, before it is met.

    The schemas that the API server publishes are compared with the models: kinds that are missing, fields that are gone
    or required now, values that are refused. Nothing is changed, and no object is read.
    """

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            found = await dpf.check_compatibility()
        if output.is_json:
            console.show_json({"compatible": found.compatible, **asdict(found)})
        else:
            console.show(found)
        if not found.compatible:
            raise typer.Exit(console.FAILED)

    console.run(verb)
