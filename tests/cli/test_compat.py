"""dpf-async compat: whether this version and the cluster's DPF understand each other."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async import crds
from dpf_async.sim.apiserver import EmbeddedServer
from tests.cli.conftest import RunCLI

AT = ("--kubeconfig", "kubeconfig")


async def test_a_cluster_whose_kinds_this_version_knows_is_compatible(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with EmbeddedServer(crds=crds.manifests()) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("compat", *AT)

    assert ended.out.startswith("compatible: ")
    assert (ended.status, ended.err) == (0, "")


async def test_a_kind_that_is_gone_is_told_with_what_it_breaks(run_cli: RunCLI, tmp_path: Path) -> None:
    served = [one for one in crds.manifests() if one["spec"]["names"]["kind"] != "DPUNode"]
    async with EmbeddedServer(crds=served) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("compat", *AT, "-o", "json")

    told = json.loads(ended.out)
    assert told["compatible"] is False
    assert (told["findings"][0]["kind"], told["findings"][0]["effect"]) == ("DPUNode", "breaks")
    assert "provision" in told["findings"][0]["operations"]
    assert ended.status == 1
