"""dpf-async demo on an API server with DPF's CRDs."""

from __future__ import annotations

import os
from pathlib import Path

from dpf_async import load_hosts, load_site
from dpf_async.levels import ready
from tests.cli.in_process import run
from tests.cli.processes import HOSTS, SITE
from tests.integration.backends import Backend


async def test_the_demo_provisions_every_host_of_the_examples(backend: Backend, tmp_path: Path) -> None:
    expected = [host.name for host in load_hosts(HOSTS, load_site(SITE))]
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        where = ["--kubeconfig", str(tmp_path / "kubeconfig"), "--namespace", sim.namespace]

        done = await run(
            ["demo", str(SITE), str(HOSTS), *where], cwd=tmp_path, environment=os.environ | {"COLUMNS": "200"}
        )
        views = {name: await dpf.node(name).view() for name in expected}

    assert done.status == 0, done.err + done.out
    assert all(ready.holds(view) for view in views.values())
    assert all(name in done.out for name in expected)
    assert "was provisioned, and then reprovisioned" in done.out
