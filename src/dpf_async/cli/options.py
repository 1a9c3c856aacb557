"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dpf_async import DPFClient
from dpf_async.models import known

KubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig", help="Kubeconfig; else $KUBECONFIG, ~/.kube/config, or the pod's own files."
    ),
]
ContextOption = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of DPF and its objects.")]
TroubleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--trouble",
        help="A trouble by name, for everything or for one device or node: reboots=3, "
        "bmc_password_wrong@device-…; may be repeated. An unknown name lists the known ones.",
    ),
]

DEFAULT_NAMESPACE = known.DPF_NAMESPACE


def client(kubeconfig: Path | None, context: str | None, namespace: str) -> DPFClient:
    """The client for the cluster that the options name; not entered."""
    return DPFClient(namespace=namespace, kubeconfig=kubeconfig, context=context)
