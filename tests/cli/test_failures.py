"""What is wrong with a cluster or the way to it: one sentence each, with what to do, and never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest

from dpf_async import crds
from dpf_async.sim import Simulator
from dpf_async.sim.apiserver import EmbeddedServer
from tests.cli.conftest import Ended, RunCLI

VERBS = ("status", "watch")
HERE = Path(__file__).parents[2] / "examples"


def sentence(ended: Ended) -> str:
    """The one sentence that was said; it is the only thing that was."""
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert "Traceback" not in ended.err
    assert len(ended.err.splitlines()) == 1, ended.err
    return ended.err


@pytest.mark.parametrize("verb", VERBS)
async def test_a_kubeconfig_that_is_not_there_is_named(run_cli: RunCLI, verb: str) -> None:
    ended = await run_cli(verb, "--kubeconfig", "nowhere.yaml")

    assert "kubeconfig nowhere.yaml does not exist" in sentence(ended)
    assert "$KUBECONFIG" in ended.err
    assert ended.status == 2


async def test_without_any_kubeconfig_the_default_place_is_named(run_cli: RunCLI) -> None:
    ended = await run_cli("status")

    assert "~/.kube/config does not exist (the default; no other was given)" in sentence(ended)
    assert ended.status == 2


@pytest.mark.parametrize(
    ("content", "said"),
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
async def test_a_kubeconfig_that_cannot_be_used_is_named_with_what_is_wrong(
    run_cli: RunCLI, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "kubeconfig").write_text(content)

    ended = await run_cli("status", "--kubeconfig", "kubeconfig")

    assert "kubeconfig kubeconfig cannot be used" in sentence(ended)
    assert said in ended.err
    assert ended.status == 2


async def test_a_context_that_is_not_there_is_named(run_cli: RunCLI, tmp_path: Path) -> None:
    async with EmbeddedServer(crds=[]) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("status", "--kubeconfig", "kubeconfig", "--context", "production")

    assert "(context production) cannot be used" in sentence(ended)
    assert ended.status == 2


@pytest.mark.parametrize("verb", VERBS)
async def test_a_server_that_cannot_be_reached_is_named_with_the_place_its_address_came_from(
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
async def test_an_expired_token_is_said_with_the_place_to_renew_it(
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
async def test_a_cluster_without_dpf_is_told_as_one(run_cli: RunCLI, tmp_path: Path, verb: str) -> None:
    async with EmbeddedServer(crds=[]) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli(verb, "--kubeconfig", "kubeconfig")

    assert "dpunodes" in sentence(ended)
    assert "install the CRDs of DPF" in ended.err
    assert ended.status == 1


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("resource", ["dpunodes", "dpunodemaintenances"])
async def test_a_missing_permission_is_told_with_the_kind_and_what_to_grant(
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


async def test_one_kind_that_is_not_served_is_the_one_that_is_named(run_cli: RunCLI, tmp_path: Path) -> None:
    served = [one for one in crds.manifests() if one["spec"]["names"]["kind"] != "DPUNodeMaintenance"]
    async with EmbeddedServer(crds=served) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("watch", "--kubeconfig", "kubeconfig")

    assert "dpunodemaintenances" in sentence(ended)
    assert "install the CRDs of DPF" in ended.err


async def test_a_namespace_without_anything_is_an_answer_and_no_error(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator(operator=False) as sim:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("status", "--kubeconfig", "kubeconfig", "--namespace", "elsewhere")

    assert ended == Ended(0, "no DPUNodes in namespace elsewhere\n", "")


async def test_several_mistakes_in_descriptions_are_told_together_and_nothing_is_begun(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    site = (HERE / "site.yaml").read_text()
    (tmp_path / "site.yaml").write_text(site.replace("groups:", "gruops: {}\ngroups:", 1))
    (tmp_path / "hosts.yaml").write_text("hosts: 7\n")

    checked = await run_cli("check", tmp_path / "site.yaml")
    demo = await run_cli("demo", HERE / "site.yaml", tmp_path / "hosts.yaml")

    assert "gruops" in checked.err
    assert "Traceback" not in checked.err + demo.err
    assert (checked.status, demo.status) == (2, 2)
    assert "simulated site" not in demo.out


async def test_files_that_are_not_there_and_words_that_are_none_are_usage_errors(run_cli: RunCLI) -> None:
    missing = await run_cli("check", "nowhere.yaml")
    trouble = await run_cli("demo", HERE / "site.yaml", HERE / "hosts.yaml", "--trouble", "bad_luck")
    output = await run_cli("status", "--output", "yaml")
    operator = await run_cli("sim", "operator", "--kubeconfig", "nowhere.yaml", "--nonsense")

    assert [ended.status for ended in (missing, trouble, output, operator)] == [2, 2, 2, 2]
    assert "nowhere.yaml" in missing.err
    assert "install_timeout" in trouble.err, "the known ones are listed"
    assert "'table', 'json'" in output.err
    assert "usage: dpf-async sim operator" in operator.err
    for ended in (missing, trouble, output, operator):
        assert "Traceback" not in ended.err
