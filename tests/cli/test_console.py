"""Errors of the verbs: one sentence with what to do, the documented exit status, and no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpf_async import crds
from dpf_async.sim import Simulator
from dpf_async.sim.apiserver import EmbeddedServer
from tests.cli.conftest import RunCLI
from tests.cli.in_process import Completed
from tests.cli.processes import EXAMPLES

VERBS = ("status", "watch")


def sentence(ended: Completed) -> str:
    """The error, which is one line and the only output."""
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) == 1, ended.err
    return ended.err


@pytest.mark.parametrize("verb", VERBS)
async def test_a_missing_kubeconfig_is_named(run_cli: RunCLI, verb: str) -> None:
    ended = await run_cli(verb, "--kubeconfig", "nowhere.yaml")

    assert "kubeconfig nowhere.yaml does not exist" in sentence(ended)
    assert "$KUBECONFIG" in ended.err
    assert ended.status == 2


async def test_without_a_kubeconfig_the_default_path_is_named(run_cli: RunCLI) -> None:
    ended = await run_cli("status")

    assert "~/.kube/config does not exist (the default; no other was given)" in sentence(ended)
    assert ended.status == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: [", "it is not YAML, line 1"),
        ("{}", "Invalid kube-config file"),
        (
            "apiVersion: v1\nkind: Config\ncurrent-context: gone\ncontexts: []\nclusters: []\nusers: []",
            "gone",
        ),
    ],
    ids=["not YAML", "not a kubeconfig", "current context missing"],
)
async def test_an_invalid_kubeconfig_is_named_with_the_problem(
    run_cli: RunCLI, tmp_path: Path, content: str, problem: str
) -> None:
    (tmp_path / "kubeconfig").write_text(content)

    ended = await run_cli("status", "--kubeconfig", "kubeconfig")

    assert "kubeconfig kubeconfig cannot be used" in sentence(ended)
    assert problem in ended.err
    assert ended.status == 2


async def test_a_missing_context_is_named(run_cli: RunCLI, tmp_path: Path) -> None:
    async with EmbeddedServer(crds=[]) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("status", "--kubeconfig", "kubeconfig", "--context", "production")

    assert "(context production) cannot be used" in sentence(ended)
    assert ended.status == 2


@pytest.mark.parametrize("verb", VERBS)
async def test_an_unreachable_server_is_named_with_the_source_of_its_address(
    run_cli: RunCLI, tmp_path: Path, verb: str
) -> None:
    async with EmbeddedServer(crds=[]) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        url = server.url

    ended = await run_cli(verb, "--kubeconfig", "kubeconfig")

    assert f"the API server {url} cannot be reached" in sentence(ended)
    assert "its address comes from kubeconfig kubeconfig" in ended.err
    assert ended.status == 1


@pytest.mark.parametrize("verb", VERBS)
async def test_an_expired_token_is_reported_with_the_source_of_the_credentials(
    run_cli: RunCLI, tmp_path: Path, verb: str
) -> None:
    async with Simulator(tokens={"good": "carbide"}, operator=False) as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig", token="good")
        text = (tmp_path / "kubeconfig").read_text()
        (tmp_path / "kubeconfig").write_text(text.replace("good", "expired"))
        ended = await run_cli(verb, "--kubeconfig", "kubeconfig")

    assert "renew the token or the client certificate" in sentence(ended)
    assert "they came from kubeconfig kubeconfig" in ended.err
    assert ended.status == 1


@pytest.mark.parametrize("verb", VERBS)
async def test_a_cluster_without_the_crds_of_dpf_is_reported_with_what_to_install(
    run_cli: RunCLI, tmp_path: Path, verb: str
) -> None:
    async with EmbeddedServer(crds=[]) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli(verb, "--kubeconfig", "kubeconfig")

    assert "dpunodes" in sentence(ended)
    assert "install the CRDs of DPF" in ended.err
    assert ended.status == 1


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("resource", ["dpunodes", "dpunodemaintenances"])
async def test_a_missing_permission_is_reported_with_the_resource_and_what_to_grant(
    run_cli: RunCLI, tmp_path: Path, verb: str, resource: str
) -> None:
    async with Simulator(operator=False) as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        async with sim.client() as dpf:
            await dpf.create_dpu_node("node-1", [])
        sim.server.faults.deny(resource=resource)
        ended = await run_cli(verb, "--kubeconfig", "kubeconfig")

    assert resource in sentence(ended)
    assert "Role" in ended.err
    assert ended.status == 1


async def test_one_missing_crd_is_named(run_cli: RunCLI, tmp_path: Path) -> None:
    served = [one for one in crds.manifests() if one["spec"]["names"]["kind"] != "DPUNodeMaintenance"]
    async with EmbeddedServer(crds=served) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("watch", "--kubeconfig", "kubeconfig")

    assert "dpunodemaintenances" in sentence(ended)
    assert "install the CRDs of DPF" in ended.err


async def test_an_empty_namespace_is_not_an_error(run_cli: RunCLI, tmp_path: Path) -> None:
    async with Simulator(operator=False) as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("status", "--kubeconfig", "kubeconfig", "--namespace", "empty")

    assert ended == Completed(0, "no DPUNodes in namespace empty\n", "")


async def test_a_demo_with_an_invalid_host_file_does_not_start_a_site(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    site = (EXAMPLES / "site.yaml").read_text()
    (tmp_path / "site.yaml").write_text(site.replace("groups:", "gruops: {}\ngroups:", 1))
    (tmp_path / "hosts.yaml").write_text("hosts: 7\n")

    checked = await run_cli("check", tmp_path / "site.yaml")
    demo = await run_cli("demo", EXAMPLES / "site.yaml", tmp_path / "hosts.yaml")

    assert "gruops" in checked.err
    assert "Traceback" not in checked.err + demo.err
    assert (checked.status, demo.status) == (2, 2)
    assert "simulated site" not in demo.out


async def test_missing_files_and_unknown_values_are_usage_errors(run_cli: RunCLI) -> None:
    missing = await run_cli("check", "nowhere.yaml")
    trouble = await run_cli(
        "demo", EXAMPLES / "site.yaml", EXAMPLES / "hosts.yaml", "--trouble", "no_such_trouble"
    )
    output = await run_cli("status", "--output", "yaml")
    operator = await run_cli("sim", "operator", "--kubeconfig", "nowhere.yaml", "--nonsense")

    assert [ended.status for ended in (missing, trouble, output, operator)] == [2, 2, 2, 2]
    assert "nowhere.yaml" in missing.err
    assert "install_timeout" in trouble.err, "the known troubles are listed"
    assert "'table', 'json'" in output.err
    assert "usage: dpf-async sim operator" in operator.err
    for ended in (missing, trouble, output, operator):
        assert "Traceback" not in ended.err
