"""`dpf-async access`: which operations the caller may perform, and which permissions are missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, cast

import typer
from rich.table import Table

from dpf_async import Access, Permission
from dpf_async._diagnostics.permissions import ROLES, Role
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


def access(
    *,
    role: Annotated[str, typer.Option("--role", help="observer or operator.")] = "operator",
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
    namespace: NamespaceOption = DEFAULT_NAMESPACE,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show which operations the caller may perform, and which permissions are missing for the others.

    It changes nothing and reads no object.
    """
    if role not in ROLES:
        raise typer.BadParameter(" or ".join(ROLES), param_hint="--role")
    chosen = cast("Role", role)

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            report = await dpf.check_access(chosen)
        if output.is_json:
            console.show_json(_document(report, chosen))
        else:
            console.out.print(_table(report))
            console.out.print()
            console.show(_verdict(report, chosen))
        if report.missing:
            raise typer.Exit(console.FAILED)

    console.run(verb)


def _table(report: Access) -> Table:
    table = console.table("operation", "allowed", "missing")
    for operation, missing in report.operations.items():
        table.add_row(operation, "no" if missing else "yes", "; ".join(_by_resource(missing)))
    return table


def _by_resource(missing: Iterable[Permission]) -> list[str]:
    """The missing verbs of each resource: "dpus: delete, get"."""
    verbs: dict[str, list[str]] = {}
    for permission in missing:
        resource = f"{permission.resource} {permission.name}".rstrip()
        verbs.setdefault(resource, []).append(permission.verb)
    return [f"{resource}: {', '.join(each)}" for resource, each in verbs.items()]


def _verdict(report: Access, role: Role) -> str:
    if not report.missing:
        return f"no permission is missing for role {role} in namespace {report.namespace}"
    because = f" ({report.reason})" if report.reason else ""
    return (
        f"{len(report.missing)} permissions are missing for role {role} in namespace {report.namespace}{because}:"
        f" bind Role dpf-async-{role} of deploy/rbac.yaml, or grant what is listed"
    )


def _document(report: Access, role: Role) -> dict[str, Any]:  # Any: JSON
    return {
        "namespace": report.namespace,
        "role": role,
        "allowed": not report.missing,
        "reason": report.reason,
        "missing": [_permission(permission) for permission in report.missing],
        "operations": [
            {
                "operation": operation,
                "allowed": not missing,
                "missing": [_permission(permission) for permission in missing],
            }
            for operation, missing in report.operations.items()
        ],
    }


def _permission(permission: Permission) -> dict[str, str]:
    return {
        "verb": permission.verb,
        "group": permission.group,
        "resource": permission.resource,
        "name": permission.name,
    }
