"""dpf-async access: allowed operations, missing permissions, and an exit status for scripts."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async import crds
from dpf_async._diagnostics.permissions import NEEDS, ROLES
from dpf_async.models import DPU, known
from dpf_async.sim.apiserver import EmbeddedServer
from tests.cli.conftest import RunCLI
from tests.cli.in_process import Completed


def rows(ended: Completed) -> dict[str, list[str]]:
    """The rows of the table: the other cells of each operation."""
    table, _, _ = ended.out.partition("\n\n")
    lines = [line.rstrip().split(maxsplit=2) for line in table.splitlines()[1:]]
    return {line[0]: line[1:] for line in lines}


async def test_every_operation_is_allowed_without_restrictions(run_cli: RunCLI, tmp_path: Path) -> None:
    async with EmbeddedServer(crds=crds.manifests()) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("access", "--kubeconfig", "kubeconfig")

    assert (ended.status, ended.err) == (0, "")
    assert rows(ended) == {operation: ["yes"] for operation in NEEDS}
    assert ended.out.endswith("no permission is missing for role operator in namespace dpf-operator-system\n")


async def test_each_operation_is_shown_with_the_permissions_that_it_lacks(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with EmbeddedServer(crds=crds.manifests()) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        server.faults.deny(verb="delete", resource="dpus")
        server.faults.deny(verb="get", resource="dpus")
        server.faults.deny(resource="secrets")
        ended = await run_cli("access", "--kubeconfig", "kubeconfig")

    shown = rows(ended)
    assert shown["reprovision_dpu"] == ["no", "dpus: delete, get"]
    assert shown["is_dpu_ready"] == ["no", "dpus: get"]
    assert shown["create_initialization_objects"] == ["no", "secrets bmc-shared-password: create, patch"]
    assert shown["create_dpu_node"] == ["yes"]
    assert "4 permissions are missing for role operator" in ended.out
    assert "bind Role dpf-async-operator of deploy/rbac.yaml" in ended.out
    assert (ended.status, ended.err) == (1, "")


async def test_an_observer_needs_no_permission_to_change_anything(run_cli: RunCLI, tmp_path: Path) -> None:
    async with EmbeddedServer(crds=crds.manifests()) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        for verb in ("get", "create", "patch", "delete"):
            server.faults.deny(verb=verb, namespace=known.DPF_NAMESPACE)
        observer = await run_cli("access", "--kubeconfig", "kubeconfig", "--role", "observer")
        operator = await run_cli("access", "--kubeconfig", "kubeconfig", "--role", "operator")

    assert (observer.status, operator.status) == (0, 1)
    assert rows(observer) == {operation: ["yes"] for operation in ROLES["observer"]}


async def test_a_script_gets_the_same_as_json(run_cli: RunCLI, tmp_path: Path) -> None:
    async with EmbeddedServer(crds=crds.manifests()) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        server.faults.deny(verb="watch", resource="dpus", namespace="elsewhere")
        command = ("access", "--kubeconfig", "kubeconfig", "--role", "observer", "--output", "json")
        here = await run_cli(*command)
        elsewhere = await run_cli(*command, "--namespace", "elsewhere")

    missing = {"verb": "watch", "group": DPU.GROUP, "resource": "dpus", "name": ""}
    document = json.loads(elsewhere.out)
    assert (document["namespace"], document["role"], document["allowed"]) == ("elsewhere", "observer", False)
    assert document["missing"] == [missing]
    assert {"operation": "dpu", "allowed": False, "missing": [missing]} in document["operations"]
    assert {"operation": "deployment", "allowed": True, "missing": []} in document["operations"]
    assert elsewhere.status == 1
    assert json.loads(here.out)["allowed"] is True
    assert here.status == 0


async def test_a_caller_without_valid_credentials_gets_one_sentence(run_cli: RunCLI, tmp_path: Path) -> None:
    async with EmbeddedServer(crds=crds.manifests(), tokens={"good": "carbide"}) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig", token="good")
        text = (tmp_path / "kubeconfig").read_text()
        (tmp_path / "kubeconfig").write_text(text.replace("good", "expired"))
        ended = await run_cli("access", "--kubeconfig", "kubeconfig")

    assert ended.err.startswith("error: ")
    assert len(ended.err.splitlines()) == 1
    assert "renew the token" in ended.err
    assert (ended.status, ended.out) == (1, "")


async def test_an_unknown_role_is_a_usage_error(run_cli: RunCLI) -> None:
    role = await run_cli("access", "--role", "admin")
    output = await run_cli("access", "--output", "yaml")

    assert (role.status, output.status) == (2, 2)
    assert "observer or operator" in role.err
    assert "'table', 'json'" in output.err
