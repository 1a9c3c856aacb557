"""What we may do in a cluster: every operation, and the permissions it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import typer
from rich.table import Table

from dpf_async import Access, DPFClient, Permission
from dpf_async._sdk.access import Role
from dpf_async.cli.console import out


async def show_access(client: DPFClient, role: Role, *, as_json: bool) -> None:
    """Ask and show, once; exit status 1 if something is missing."""
    async with client as dpf:
        found = await dpf.check_access(role)
    if as_json:
        out.print_json(json.dumps(_document(found, role)))
    else:
        out.print(_table(found))
        out.print()
        out.print(_verdict(found, role), markup=False, soft_wrap=True)
    if found.missing:
        raise typer.Exit(1)


def _table(found: Access) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("operation", "allowed", "missing"):
        table.add_column(title, no_wrap=True)
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
