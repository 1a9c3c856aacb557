"""Sites for kubectl, started once per module: `dpf-async sim up`, and the simulated operator on a real server.

Before the first test, both have the site and the hosts of examples/, a hold for every host, and an object of every
kind.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from dpf_async import DPFClient, load_hosts, load_site
from dpf_async.levels import node_effect_held
from dpf_async.models import KINDS, DPUServiceIPAM, known
from tests.apiserver.build import find
from tests.apiserver.cluster import RealCluster
from tests.apiserver.plugin import Clusters
from tests.cli.in_process import Completed
from tests.cli.processes import DPF_ASYNC
from tests.support.timeouts import outlast

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
_TIMEOUT: Final = 150.0
"""Seconds for steps that take two or three; a safeguard on a busy machine."""


@dataclass(frozen=True)
class Site:
    """A site with an API server for kubectl."""

    name: str
    kubeconfig: Path
    namespace: str

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of kubectl, with a separate home: kubectl caches there what servers publish."""
        home = {"HOME": str(self.kubeconfig.parent), "KUBECONFIG": str(self.kubeconfig)}
        kept = {name: value for name, value in os.environ.items() if name not in ("KUBE_EDITOR", "EDITOR")}
        return kept | home | more

    async def kubectl(
        self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None
    ) -> Completed:
        """Run kubectl and return its output."""
        with anyio.fail_after(_TIMEOUT):
            done = await anyio.run_process(
                [str(find().kubectl), *arguments],
                check=False,
                input=stdin.encode(),
                cwd=self.kubeconfig.parent,
                env=self.environment(**(env or {})),
            )
        return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())


Kubectl = Callable[..., Awaitable[str]]


class Sites:
    """The sites by name: "embedded" and "real"."""

    def __init__(
        self, folder: Callable[[str], Path], clusters: Callable[[], Clusters], stack: ExitStack
    ) -> None:
        self._folder = folder
        self._clusters = clusters
        self._stack = stack
        self._portal = stack.enter_context(start_blocking_portal())
        self._started: dict[str, Site] = {}

    def __getitem__(self, name: str) -> Site:
        if name not in self._started:
            site = self._start_embedded() if name == "embedded" else self._start_on_real_server()
            self._portal.call(_complete, site)
            self._started[name] = site
        return self._started[name]

    def _start_embedded(self) -> Site:
        site = Site("embedded", self._folder("embedded") / "kubeconfig", known.DPF_NAMESPACE)
        files = ["--site", str(EXAMPLES / "site.yaml"), "--hosts", str(EXAMPLES / "hosts.yaml")]
        command = ["sim", "up", "--profile", "instant", "--kubeconfig", str(site.kubeconfig), *files]
        self._stack.enter_context(running(command, until="dpf-async watch"))
        return site

    def _start_on_real_server(self) -> Site:
        clusters = self._clusters()
        # The CRDs of `dpf-async sim up`, because test_agreement compares the output for kinds.
        cluster = clusters["generated"]
        if not isinstance(cluster, RealCluster):
            pytest.skip("not with the cluster of $DPF_TEST_KUBECONFIG")
        site = Site("real", self._folder("real") / "kubeconfig", f"dpf-kubectl-{secrets.token_hex(4)}")
        clusters.portal.call(cluster.create_namespace, site.namespace)
        content = cluster.kubeconfig()
        content["contexts"][0]["context"]["namespace"] = site.namespace
        cluster.write_kubeconfig(site.kubeconfig, content)
        options = [
            "--kubeconfig",
            str(site.kubeconfig),
            "--namespace",
            site.namespace,
            "--profile",
            "instant",
        ]
        self._stack.enter_context(running(["sim", "operator", *options], until="simulating DPF"))
        self._portal.call(_define, site)
        return site


@contextmanager
def running(arguments: list[str], *, until: str) -> Iterator[subprocess.Popen[str]]:
    """Run dpf-async as a process: enter when stdout has the text, terminate it when the block is left."""
    with subprocess.Popen(
        [str(DPF_ASYNC), *arguments], stdout=subprocess.PIPE, text=True, env=os.environ | {"COLUMNS": "200"}
    ) as process:
        assert process.stdout is not None
        try:
            assert any(until in line for line in process.stdout), f"dpf-async {' '.join(arguments)} exited"
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


async def _define(site: Site) -> None:
    """Apply the site and register the hosts, as `dpf-async sim up --site --hosts` does."""
    spec = load_site(EXAMPLES / "site.yaml")
    async with DPFClient(kubeconfig=site.kubeconfig, namespace=site.namespace) as dpf:
        await dpf.create_initialization_objects(spec, bmc_password="simulated")
        await dpf.site_accepted(spec, timeout=_TIMEOUT)
        for host in load_hosts(EXAMPLES / "hosts.yaml", spec):
            await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)


async def _complete(site: Site) -> None:
    """Create an object of every kind, and wait until every host is held and no object changes any more."""
    subnet = {"subnet": "10.9.0.0/24", "gateway": "10.9.0.1", "perNodeIPCount": 8}
    pool = {"metadata": {"name": "pool"}, "spec": {"ipv4Subnet": subnet}}
    spec = load_site(EXAMPLES / "site.yaml")
    async with DPFClient(kubeconfig=site.kubeconfig, namespace=site.namespace) as dpf:
        for host in load_hosts(EXAMPLES / "hosts.yaml", spec):
            await dpf.node(host.name).until(node_effect_held, timeout=_TIMEOUT)
        await dpf.resource(DPUServiceIPAM).create(DPUServiceIPAM.model_validate(pool))
        before = None
        while before != (now := await _versions(dpf)):
            before = now
            await outlast(1)


async def _versions(dpf: DPFClient) -> set[str]:
    """The uid and resourceVersion of all objects."""
    return {
        f"{one.uid} {one.metadata.resource_version}"
        for kind in KINDS
        for one in (await dpf.resource(kind).list()).items
    }


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Sites]:
    """Both sites, each started on first use.

    Each module has its own: one provisions a host on one site at a time, another compares the two.
    """
    with ExitStack() as stack:
        yield Sites(tmp_path_factory.mktemp, lambda: request.getfixturevalue("clusters"), stack)


@pytest.fixture(params=["embedded", "real"])
def site(request: pytest.FixtureRequest, sites: Sites) -> Site:
    """Each of the two sites."""
    return sites[request.param]


@pytest.fixture
def kubectl(site: Site) -> Kubectl:
    """Runs kubectl on the site and requires success; returns its stdout."""

    async def run(*arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> str:
        ended = await site.kubectl(*arguments, stdin=stdin, env=env)
        assert ended.status == 0, f"kubectl {' '.join(arguments)}: {ended.err}"
        return ended.out

    return run
