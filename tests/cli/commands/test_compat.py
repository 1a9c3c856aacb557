"""dpf-async compat: the kinds of the cluster compared with the models of this version."""

from __future__ import annotations

import json
from pathlib import Path

from dpf_async import crds
from dpf_async.sim.apiserver import EmbeddedServer
from tests.cli.conftest import RunCLI

AT = ("--kubeconfig", "kubeconfig")


async def test_a_cluster_with_the_crds_of_this_version_is_compatible(run_cli: RunCLI, tmp_path: Path) -> None:
    async with EmbeddedServer(crds=crds.manifests()) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("compat", *AT)

    assert ended.out.startswith("compatible: ")
    assert (ended.status, ended.err) == (0, "")


async def test_a_missing_kind_is_reported_with_the_operations_that_need_it(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    served = [one for one in crds.manifests() if one["spec"]["names"]["kind"] != "DPUNode"]
    async with EmbeddedServer(crds=served) as server:
        server.write_kubeconfig(tmp_path / "kubeconfig")
        ended = await run_cli("compat", *AT, "-o", "json")

    document = json.loads(ended.out)
    assert document["compatible"] is False
    assert (document["findings"][0]["kind"], document["findings"][0]["effect"]) == ("DPUNode", "breaks")
    assert "provision" in document["findings"][0]["operations"]
    assert ended.status == 1
