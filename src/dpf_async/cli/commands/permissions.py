"""What we may do in a cluster: every operation, and the permissions it lacks."""

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
    """Show which operations we are allowed to do, and which permissions are missing for the others.

    Nothing is changed and no object is read.
    """
    if role not in ROLES:
        raise typer.BadParameter(" or ".join(ROLES), param_hint="--role")
    chosen = cast("Role", role)

    async def verb() -> None:
        async with client(kubeconfig, context, namespace) as dpf:
            found = await dpf.check_access(chosen)
        if output.is_json:
            console.show_json(_document(found, chosen))
        else:
            console.out.print(_table(found))
            console.out.print()
            console.show(_verdict(found, chosen))
        if found.missing:
            raise typer.Exit(console.FAILED)

    console.run(verb)


def _table(found: Access) -> Table:
    table = console.table("operation", "allowed", "missing")
    for operation, missing in found.operations.items():
        table.add_row(operation, "no" if missing else "yes", "; ".join(_by_resource(missing)))
    return table


def _by_resource(missing: Iterable[Permission]) -> list[str]:
    """The verbs that are missing, for each resource: "dpus: delete, get"."""
    verbs: dict[str, list[str]] = {}
    for permission in missing:
        resource = f"{permission.resource} {permission.name}".rstrip()
        verbs.setdefault(resource, []).append(permission.verb)
    return [f"{resource}: {', '.join(each)}" for resource, each in verbs.items()]


def _verdict(found: Access, role: Role) -> str:
    if not found.missing:
        return f"nothing is missing for role {role} in namespace {found.namespace}"
    because = f" ({found.reason})" if found.reason else ""
    return (
        f"{len(found.missing)} permissions are missing for role {role} in namespace {found.namespace}{because}:"
        f" bind Role dpf-async-{role} of deploy/rbac.yaml, or grant what is listed"
    )


def _document(found: Access, role: Role) -> dict[str, Any]:  # Any: JSON
    return {
        "namespace": found.namespace,
        "role": role,
        "allowed": not found.missing,
        "reason": found.reason,
        "missing": [_permission(permission) for permission in found.missing],
        "operations": [
            {
                "operation": operation,
                "allowed": not missing,
                "missing": [_permission(permission) for permission in missing],
            }
            for operation, missing in found.operations.items()
        ],
    }


def _permission(permission: Permission) -> dict[str, str]:
    return {
        "verb": permission.verb,
        "group": permission.group,
        "resource": permission.resource,
        "name": permission.name,
    }
