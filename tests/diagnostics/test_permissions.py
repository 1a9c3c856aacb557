"""Access checks, and the agreement of NEEDS with the Roles of deploy/rbac.yaml and the documentation."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
import yaml

import dpf_async
from dpf_async import Access, DPFClient, NodeHandle, Permission
from dpf_async._diagnostics.permissions import NEEDS, ROLES, Role, permissions_of_role
from dpf_async.errors import ConnectionFailed, DecodeError, Forbidden, Unauthorized, UsageError
from dpf_async.models import DPU, Secret, known
from tests.project.test_public import METHODS
from tests.support.cluster import cluster
from tests.support.scripted import Exchange, Scripted, answering, page, refusing

ROOT = Path(__file__).parents[2]
DELETE_DPU = Permission(DPU.GROUP, DPU.PLURAL, "delete")
MANIFESTS: dict[str, Any] = {  # Any: it is YAML
    manifest["metadata"]["name"]: manifest
    for manifest in yaml.safe_load_all((ROOT / "deploy" / "rbac.yaml").read_text())
}


def ruling(*, allowed: bool, **more: str) -> dict[str, Any]:
    """The response of the server to an access review."""
    return {"kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": allowed, **more}}


# Access reviews.


@pytest.mark.parametrize("role", get_args(Role))
async def test_no_permission_is_missing_for_an_administrator_and_a_check_writes_nothing(role: Role) -> None:
    async with cluster() as site:
        before = site.server.resource_version

        access = await site.dpf.check_access(role)

        assert (access.missing, access.denied) == ((), ())
        assert set(access.operations) == set(ROLES[role])
        assert "no permission is missing" in str(access)
        assert site.server.resource_version == before


async def test_a_missing_permission_is_reported_with_exactly_the_operations_that_require_it() -> None:
    async with cluster() as site:
        site.server.faults.deny(verb="delete", resource="dpus")

        access = await site.dpf.check_access()

        assert access.missing == (DELETE_DPU,)
        assert set(access.denied) == {
            "reprovision_dpu",
            "reprovision",
            "upgrade",
            "delete_dpu",
            "force_delete_dpu",
            "delete_dpu_node",
            "force_delete_dpu_node",
        }
        assert access.operations["reprovision_dpu"] == (DELETE_DPU,)
        assert access.operations["is_dpu_ready"] == ()


async def test_the_text_names_namespace_permission_operation_and_remedy() -> None:
    async with cluster() as site:
        site.server.faults.deny(verb="delete", resource="dpus")

        text = str(await site.dpf.check_access(operations=["is_dpu_ready", "reprovision_dpu"]))

    assert text == (
        "namespace dpf-operator-system: missing permissions: delete dpus.provisioning.dpu.nvidia.com; required by"
        " reprovision_dpu; grant them with a Role and a RoleBinding, see deploy/rbac.yaml"
    )


async def test_permissions_of_the_operator_are_not_reported_as_missing_for_an_observer() -> None:
    async with cluster() as site:
        site.server.faults.deny(verb="delete")
        site.server.faults.deny(verb="get")

        assert (await site.dpf.check_access("observer")).missing == ()
        assert (await site.dpf.check_access("operator")).missing != ()


async def test_only_the_permissions_of_the_given_operations_are_reviewed() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = answering(201, ruling(allowed=False))

        access = await dpf.check_access(operations=["is_dpu_ready"])
        nothing = await dpf.check_access(operations=[])

    (request,) = server.requests
    assert (request.method, request.path) == (
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    )
    assert json.loads(request.body)["spec"] == {
        "resourceAttributes": {
            "namespace": known.DPF_NAMESPACE,
            "verb": "get",
            "group": DPU.GROUP,
            "resource": "dpus",
            "name": "",
        }
    }
    assert access.denied == ("is_dpu_ready",)
    assert nothing == Access(known.DPF_NAMESPACE, {}, ())


async def test_the_review_for_the_secret_names_the_secret() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = answering(201, ruling(allowed=True))
        await dpf.check_access(operations=["create_initialization_objects"])

    reviewed = [json.loads(request.body)["spec"]["resourceAttributes"] for request in server.requests]
    assert {(one["verb"], one["name"]) for one in reviewed if one["resource"] == Secret.PLURAL} == {
        ("create", known.BMC_PASSWORD_SECRET),
        ("patch", known.BMC_PASSWORD_SECRET),
    }


@pytest.mark.parametrize("field", ["reason", "evaluationError"])
async def test_the_reason_of_a_denial_is_reported_once_without_control_characters(
    field: str,
) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = answering(
            201, ruling(allowed=False, **{field: 'RBAC: role "gone" not found\x1b[2J'})
        )

        access = await dpf.check_access("observer")

    assert access.reason == 'RBAC: role "gone" not found\\x1b[2J'
    assert access.reason in str(access)


async def test_at_most_eight_reviews_are_in_flight() -> None:
    in_flight: list[int] = [0]
    eight = anyio.Event()

    async def answer_after_eight_requests(exchange: Exchange) -> None:
        in_flight.append(in_flight[-1] + 1)
        if in_flight[-1] == 8:
            eight.set()
        await eight.wait()
        in_flight.append(in_flight[-1] - 1)
        await exchange.answer(201, ruling(allowed=True))

    async with Scripted() as server, server.client() as dpf:
        server.on_other = answer_after_eight_requests
        with anyio.fail_after(60):
            await dpf.check_access()

    assert max(in_flight) == 8
    assert len(server.requests) == len(permissions_of_role("operator"))


# Failures of a check.


async def test_an_unknown_role_or_operation_raises_a_usage_error_that_lists_the_known_ones() -> None:
    async with Scripted() as server, server.client() as dpf:
        with pytest.raises(UsageError, match="role 'admin' does not exist; use observer or operator"):
            await dpf.check_access("admin")  # type: ignore[arg-type]
        with pytest.raises(
            UsageError, match=r"operation 'reprovision_node' does not exist; known are .*reprovision_dpu"
        ):
            await dpf.check_access(operations=["reprovision_node"])

    assert server.requests == []


async def test_a_client_that_is_not_entered_raises_a_usage_error() -> None:
    with pytest.raises(UsageError, match="not entered"):
        await DPFClient(kubeconfig={}).check_access()


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (refusing(403, "Forbidden"), Forbidden, "selfsubjectaccessreview|SelfSubjectAccessReview"),
        (refusing(401, "Unauthorized"), Unauthorized, "renew the token"),
        (page(200), ConnectionFailed, "not JSON"),
        (answering(201, {"kind": "SelfSubjectAccessReview"}), DecodeError, "SelfSubjectAccessReview of"),
    ],
    ids=["forbidden", "unauthorized", "a proxy's page", "no status"],
)
async def test_a_failed_review_raises_one_error(answer: Any, error: type[Exception], message: str) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = answer

        with pytest.raises(error, match=message):
            await dpf.check_access()


async def test_a_review_is_retried_when_the_server_is_busy() -> None:
    async with Scripted() as server, server.client() as dpf:
        busy = refusing(429, "TooManyRequests", {"Retry-After": "0.01"})

        async def first_busy(exchange: Exchange) -> None:
            is_retry = sum(request.body == exchange.request.body for request in server.requests) > 1
            await (answering(201, ruling(allowed=True)) if is_retry else busy)(exchange)

        server.on_other = first_busy

        with anyio.fail_after(60):
            access = await dpf.check_access(operations=["is_dpu_ready"])

    assert access.missing == ()
    assert len(server.requests) == 2


# NEEDS.


def test_every_operation_is_a_public_name() -> None:
    for operation in NEEDS:
        places = (dpf_async.DPFClient, NodeHandle, dpf_async)
        assert any(inspect.getdoc(getattr(place, operation, None)) for place in places), operation


def test_the_methods_of_the_requirement_and_the_flows_are_operations() -> None:
    methods = set(METHODS) - {"resource"}

    assert methods | {"provision", "reprovision", "external_reboot", "node_effect_hold"} <= set(NEEDS)


def test_an_observer_only_lists_and_watches_and_an_operator_includes_that() -> None:
    assert {permission.verb for permission in permissions_of_role("observer")} == {"list", "watch"}
    assert permissions_of_role("observer") < permissions_of_role("operator")


@pytest.mark.parametrize("role", get_args(Role))
def test_the_role_grants_exactly_the_required_permissions(role: Role) -> None:
    manifest = MANIFESTS[f"dpf-async-{role}"]
    granted = [
        Permission(group, resource, verb, name)
        for rule in manifest["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]

    assert sorted(granted) == sorted(permissions_of_role(role)), "each permission is granted once"
    assert {key for rule in manifest["rules"] for key in rule} <= {
        "apiGroups",
        "resources",
        "resourceNames",
        "verbs",
    }


def test_the_manifests_are_roles_in_one_namespace() -> None:
    assert set(MANIFESTS) == {f"dpf-async-{role}" for role in ROLES}
    for manifest in MANIFESTS.values():
        assert manifest["kind"] == "Role"
        assert manifest["metadata"]["namespace"] == known.DPF_NAMESPACE


def test_no_secret_is_read_and_only_one_is_written() -> None:
    of_secrets = {
        permission for permission in permissions_of_role("operator") if permission.resource == Secret.PLURAL
    }

    assert {(permission.verb, permission.name) for permission in of_secrets} == {
        ("create", known.BMC_PASSWORD_SECRET),
        ("patch", known.BMC_PASSWORD_SECRET),
    }


# Documentation.

PERMISSIONS = (ROOT / "docs" / "reference" / "permissions.md").read_text()
README = (ROOT / "deploy" / "README.md").read_text()


def table_of_needs() -> str:
    """NEEDS as a table."""
    lines = ["| operation | observer | needs |", "| --- | --- | --- |"]
    for operation, needs in NEEDS.items():
        verbs: dict[str, list[str]] = {}
        for permission in sorted(needs):
            named = f"`{permission.resource}`" + (f" `{permission.name}`" if permission.name else "")
            verbs.setdefault(named, []).append(permission.verb)
        cell = "; ".join(f"{resource}: {', '.join(each)}" for resource, each in sorted(verbs.items()))
        lines.append(f"| `{operation}` | {'yes' if operation in ROLES['observer'] else ''} | {cell} |")
    return "\n".join(lines)


def table_of_groups() -> str:
    """The resources of each API group as a table."""
    resources: dict[str, set[str]] = {}
    for permission in permissions_of_role("operator"):
        resources.setdefault(permission.group, set()).add(permission.resource)
    lines = ["| API group | resources |", "| --- | --- |"]
    for group, names in sorted(resources.items()):
        cell = ", ".join(f"`{name}`" for name in sorted(names))
        lines.append(f"| {f'`{group}`' if group else 'Kubernetes, core'} | {cell} |")
    return "\n".join(lines)


@pytest.mark.parametrize("table", [table_of_needs(), table_of_groups()], ids=["needs", "groups"])
def test_the_permissions_page_has_the_tables(table: str) -> None:
    assert table in PERMISSIONS, f"docs/reference/permissions.md must contain:\n{table}"


def test_the_example_binding_refers_to_an_existing_role() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    binding = yaml.safe_load(block)

    role = MANIFESTS[binding["roleRef"]["name"]]

    assert binding["roleRef"] == {
        "apiGroup": role["apiVersion"].split("/")[0],
        "kind": role["kind"],
        "name": role["metadata"]["name"],
    }
    assert binding["metadata"]["namespace"] == role["metadata"]["namespace"]
    assert {name for name in MANIFESTS if f"`{name}`" in README} == set(MANIFESTS)


async def test_the_example_check_uses_existing_operations() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    program = "async def main(dpf):\n" + textwrap.indent(block, "    ")
    names: dict[str, Any] = {}
    exec(compile(program, "deploy/README.md", "exec"), names)
    async with cluster() as site:
        await names["main"](site.dpf)
        site.server.faults.deny(verb="delete", resource="dpus")

        with pytest.raises(
            SystemExit, match=r"missing permissions: delete dpus\..*required by reprovision_dpu"
        ):
            await names["main"](site.dpf)
