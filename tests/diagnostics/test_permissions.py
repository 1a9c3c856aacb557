"""What may be done, asked before it is tried; and that the Roles to apply say what the operations need."""

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
from dpf_async._diagnostics.permissions import NEEDS, ROLES, Role, needs_of
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
    """A review as the server answers it."""
    return {"kind": "SelfSubjectAccessReview", "spec": {}, "status": {"allowed": allowed, **more}}


# The question.


@pytest.mark.parametrize("role", get_args(Role))
async def test_nothing_is_missing_where_everything_is_allowed_and_asking_changes_nothing(role: Role) -> None:
    async with cluster() as site:
        before = site.server.resource_version

        access = await site.dpf.check_access(role)

        assert (access.missing, access.denied) == ((), ())
        assert set(access.operations) == set(ROLES[role])
        assert "nothing is missing" in str(access)
        assert site.server.resource_version == before


async def test_a_missing_permission_is_told_with_every_operation_that_needs_it_and_no_other() -> None:
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


async def test_the_text_names_namespace_permission_operation_and_what_to_do() -> None:
    async with cluster() as site:
        site.server.faults.deny(verb="delete", resource="dpus")

        said = str(await site.dpf.check_access(operations=["is_dpu_ready", "reprovision_dpu"]))

    assert said == (
        "namespace dpf-operator-system: missing are delete dpus.provisioning.dpu.nvidia.com; needed for"
        " reprovision_dpu; grant them with a Role and a RoleBinding, see deploy/rbac.yaml"
    )


async def test_an_observer_is_not_asked_for_what_only_an_operator_needs() -> None:
    async with cluster() as site:
        site.server.faults.deny(verb="delete")
        site.server.faults.deny(verb="get")

        assert (await site.dpf.check_access("observer")).missing == ()
        assert (await site.dpf.check_access("operator")).missing != ()


async def test_only_the_operations_asked_about_are_looked_at() -> None:
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


async def test_the_question_about_a_secret_is_about_that_one_secret() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = answering(201, ruling(allowed=True))
        await dpf.check_access(operations=["create_initialization_objects"])

    asked = [json.loads(request.body)["spec"]["resourceAttributes"] for request in server.requests]
    assert {(one["verb"], one["name"]) for one in asked if one["resource"] == Secret.PLURAL} == {
        ("create", known.BMC_PASSWORD_SECRET),
        ("patch", known.BMC_PASSWORD_SECRET),
    }


@pytest.mark.parametrize("field", ["reason", "evaluationError"])
async def test_why_something_is_missing_is_said_once_with_nothing_in_it_that_moves_a_cursor(
    field: str,
) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = answering(
            201, ruling(allowed=False, **{field: 'RBAC: role "gone" not found\x1b[2J'})
        )

        access = await dpf.check_access("observer")

    assert access.reason == 'RBAC: role "gone" not found\\x1b[2J'
    assert access.reason in str(access)


async def test_several_questions_are_on_their_way_at_a_time_but_never_more_than_eight() -> None:
    under_way: list[int] = [0]
    eight = anyio.Event()

    async def answer_when_eight_have_come(exchange: Exchange) -> None:
        under_way.append(under_way[-1] + 1)
        if under_way[-1] == 8:
            eight.set()
        await eight.wait()
        under_way.append(under_way[-1] - 1)
        await exchange.answer(201, ruling(allowed=True))

    async with Scripted() as server, server.client() as dpf:
        server.on_other = answer_when_eight_have_come
        with anyio.fail_after(10):
            await dpf.check_access()

    assert max(under_way) == 8
    assert len(server.requests) == len(needs_of("operator"))


# When it cannot be asked.


async def test_a_role_or_an_operation_that_there_is_not_is_a_usage_error_that_lists_those_there_are() -> None:
    async with Scripted() as server, server.client() as dpf:
        with pytest.raises(UsageError, match="no role 'admin'; there are observer and operator"):
            await dpf.check_access("admin")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"no operation 'reprovision_node'; there are .*reprovision_dpu"):
            await dpf.check_access(operations=["reprovision_node"])

    assert server.requests == []


async def test_a_client_that_is_not_entered_says_so() -> None:
    with pytest.raises(UsageError, match="not entered"):
        await DPFClient(kubeconfig={}).check_access()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (refusing(403, "Forbidden"), Forbidden, "selfsubjectaccessreview|SelfSubjectAccessReview"),
        (refusing(401, "Unauthorized"), Unauthorized, "renew the token"),
        (page(200), ConnectionFailed, "not JSON"),
        (answering(201, {"kind": "SelfSubjectAccessReview"}), DecodeError, "SelfSubjectAccessReview of"),
    ],
    ids=["forbidden", "unauthorized", "a proxy's page", "no answer in it"],
)
async def test_one_error_says_why_it_cannot_be_asked(answer: Any, error: type[Exception], said: str) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = answer

        with pytest.raises(error, match=said):
            await dpf.check_access()


async def test_a_server_that_is_busy_is_asked_again() -> None:
    async with Scripted() as server, server.client() as dpf:
        busy = refusing(429, "TooManyRequests", {"Retry-After": "0.01"})

        async def once_busy(exchange: Exchange) -> None:
            again = sum(request.body == exchange.request.body for request in server.requests) > 1
            await (answering(201, ruling(allowed=True)) if again else busy)(exchange)

        server.on_other = once_busy

        with anyio.fail_after(30):
            access = await dpf.check_access(operations=["is_dpu_ready"])

    assert access.missing == ()
    assert len(server.requests) == 2


# The data.


def test_every_operation_has_the_name_of_something_public() -> None:
    for operation in NEEDS:
        places = (dpf_async.DPFClient, NodeHandle, dpf_async)
        assert any(inspect.getdoc(getattr(place, operation, None)) for place in places), operation


def test_the_methods_of_the_requirement_and_the_flows_are_operations() -> None:
    methods = set(METHODS) - {"resource"}

    assert methods | {"provision", "reprovision", "external_reboot", "node_effect_hold"} <= set(NEEDS)


def test_an_observer_looks_on_and_an_operator_may_do_that_too() -> None:
    assert {permission.verb for permission in needs_of("observer")} == {"list", "watch"}
    assert needs_of("observer") < needs_of("operator")


@pytest.mark.parametrize("role", get_args(Role))
def test_the_role_to_apply_grants_what_is_needed_and_nothing_else(role: Role) -> None:
    manifest = MANIFESTS[f"dpf-async-{role}"]
    granted = [
        Permission(group, resource, verb, name)
        for rule in manifest["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]

    assert sorted(granted) == sorted(needs_of(role)), "each is granted, and once"
    assert {key for rule in manifest["rules"] for key in rule} <= {
        "apiGroups",
        "resources",
        "resourceNames",
        "verbs",
    }


def test_the_manifests_are_roles_of_one_namespace() -> None:
    assert set(MANIFESTS) == {f"dpf-async-{role}" for role in ROLES}
    for manifest in MANIFESTS.values():
        assert manifest["kind"] == "Role"
        assert manifest["metadata"]["namespace"] == known.DPF_NAMESPACE


def test_no_secret_is_ever_read_and_one_is_written() -> None:
    of_secrets = {permission for permission in needs_of("operator") if permission.resource == Secret.PLURAL}

    assert {(permission.verb, permission.name) for permission in of_secrets} == {
        ("create", known.BMC_PASSWORD_SECRET),
        ("patch", known.BMC_PASSWORD_SECRET),
    }


# The pages.

PERMISSIONS = (ROOT / "docs" / "reference" / "permissions.md").read_text()
README = (ROOT / "deploy" / "README.md").read_text()


def table_of_needs() -> str:
    """NEEDS as the page has it."""
    lines = ["| operation | observer | needs |", "| --- | --- | --- |"]
    for operation, needs in NEEDS.items():
        verbs: dict[str, list[str]] = {}
        for permission in sorted(needs):
            named = f"`{permission.resource}`" + (f" `{permission.name}`" if permission.name else "")
            verbs.setdefault(named, []).append(permission.verb)
        said = "; ".join(f"{resource}: {', '.join(each)}" for resource, each in sorted(verbs.items()))
        lines.append(f"| `{operation}` | {'yes' if operation in ROLES['observer'] else ''} | {said} |")
    return "\n".join(lines)


def table_of_groups() -> str:
    """The resources of each API group."""
    resources: dict[str, set[str]] = {}
    for permission in needs_of("operator"):
        resources.setdefault(permission.group, set()).add(permission.resource)
    lines = ["| API group | resources |", "| --- | --- |"]
    for group, names in sorted(resources.items()):
        said = ", ".join(f"`{name}`" for name in sorted(names))
        lines.append(f"| {f'`{group}`' if group else 'Kubernetes, core'} | {said} |")
    return "\n".join(lines)


@pytest.mark.parametrize("table", [table_of_needs(), table_of_groups()], ids=["needs", "groups"])
def test_the_page_about_permissions_says_what_is_needed(table: str) -> None:
    assert table in PERMISSIONS, f"docs/reference/permissions.md should have:\n{table}"


def test_the_binding_to_copy_binds_a_role_that_there_is() -> None:
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


async def test_the_question_to_copy_asks_about_operations_that_there_are() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    program = "async def main(dpf):\n" + textwrap.indent(block, "    ")
    names: dict[str, Any] = {}
    exec(compile(program, "deploy/README.md", "exec"), names)
    async with cluster() as site:
        await names["main"](site.dpf)
        site.server.faults.deny(verb="delete", resource="dpus")

        with pytest.raises(SystemExit, match=r"missing are delete dpus\..*needed for reprovision_dpu"):
            await names["main"](site.dpf)
