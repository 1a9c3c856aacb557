"""dpf-async demo, as whoever tries it has it: on a server with DPF's CRDs, to the table at its end."""

from __future__ import annotations

import os
from pathlib import Path

import anyio

from dpf_async import load_hosts, load_site
from dpf_async.levels import ready
from tests.cli.conftest import DPF_ASYNC
from tests.integration.backends import Backend

EXAMPLES = Path(__file__).parents[2] / "examples"


async def test_the_demo_brings_every_host_of_the_examples_to_ready(backend: Backend, tmp_path: Path) -> None:
    site, hosts = EXAMPLES / "site.yaml", EXAMPLES / "hosts.yaml"
    expected = [host.name for host in load_hosts(hosts, load_site(site))]
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        where = ["--kubeconfig", str(tmp_path / "kubeconfig"), "--namespace", sim.namespace]

        done = await anyio.run_process(
            [str(DPF_ASYNC), "demo", str(site), str(hosts), *where],
            check=False,
            env=os.environ | {"COLUMNS": "200"},
        )
        views = {name: await dpf.node(name).view() for name in expected}

    said = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode() + said
    assert all(ready.holds(view) for view in views.values())
    assert all(name in said for name in expected)
    assert "was provisioned, and then made anew" in said
