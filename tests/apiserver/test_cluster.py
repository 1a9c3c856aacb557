"""The test environment: a real API server starts, and the client, the CRDs and the simulated operator work on it."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from dpf_async import DPFClient, provision
from dpf_async.errors import Forbidden, Unauthorized
from dpf_async.models import DPU, KINDS, DPUNode, ObjectMeta
from dpf_async.sim.operator import Operator
from dpf_async.sim.operator.process.bootstrap import install
from dpf_async.sim.simulator import Simulator, minimal_site
from dpf_async.watch import Added, Deleted, Synced, Updated, WatchEvent
from tests.apiserver.admin import Admin
from tests.apiserver.build import NotBuilt, find, pinned
from tests.apiserver.cluster import NotReady, RealCluster

both_crd_sets = pytest.mark.parametrize("cluster", ["generated", "upstream"], indirect=True)


async def test_the_server_has_the_release_that_was_built(own_cluster: RealCluster) -> None:
    printed = await anyio.run_process([str(find().kube_apiserver), "--version"])

    version = await own_cluster.version()

    assert printed.stdout.decode().split() == ["Kubernetes", version]
    assert version == pinned("k8s.io/kubernetes") or "KUBEBUILDER_ASSETS" in os.environ


@both_crd_sets
async def test_every_kind_is_established(cluster: Admin) -> None:
    defined = {crd["metadata"]["name"]: crd["status"]["conditions"] for crd in await cluster.crds()}

    conditions = {kind: defined[f"{kind.PLURAL}.{kind.GROUP}"] for kind in KINDS}

    for kind, listed in conditions.items():
        status = {each["type"]: each["status"] for each in listed}
        assert status["Established"] == "True", kind.KIND
        assert status.get("NonStructuralSchema", "False") == "False", kind.KIND


@both_crd_sets
async def test_a_node_is_created_watched_patched_and_deleted(cluster: Admin, namespace: str) -> None:
    async with DPFClient(kubeconfig=cluster.kubeconfig(), namespace=namespace) as dpf:
        nodes = dpf.resource(DPUNode)
        with anyio.fail_after(120):
            async with nodes.watch() as events:
                received: list[WatchEvent[DPUNode]] = [await anext(events)]
                await nodes.create(DPUNode(metadata=ObjectMeta(name="node-1")))
                received.append(await anext(events))
                await nodes.patch("node-1", {"metadata": {"labels": {"rack": "a1"}}})
                received.append(await anext(events))
                await nodes.delete("node-1")
                received.append(await anext(events))

    assert [type(event) for event in received[1:]] == [Added, Updated, Deleted]


async def test_the_server_supports_streaming_lists(
    own_cluster: RealCluster, namespace: str, tmp_path: Path
) -> None:
    own_cluster.write_kubeconfig(tmp_path / "kubeconfig")
    watch = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    path = f"/api/v1/namespaces?{watch}&fieldSelector=metadata.name={namespace}&timeoutSeconds=1"

    printed = await anyio.run_process(
        [str(find().kubectl), "--kubeconfig", str(tmp_path / "kubeconfig"), "get", "--raw", path]
    )

    added, bookmark = map(json.loads, printed.stdout.splitlines())
    assert (added["type"], added["object"]["metadata"]["name"]) == ("ADDED", namespace)
    assert bookmark["type"] == "BOOKMARK"
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_leaving_a_client_closes_the_connection_of_a_running_watch(
    own_cluster: RealCluster, namespace: str
) -> None:
    async def watch_and_leave() -> None:
        async with DPFClient(kubeconfig=own_cluster.kubeconfig(), namespace=namespace) as dpf:
            nodes = dpf.resource(DPUNode)
            async with nodes.watch() as events:
                assert await anext(events) == Synced()
                await nodes.create(DPUNode(metadata=ObjectMeta(name="node-1")))
                # The event comes from the watch, which runs over TLS.
                assert isinstance(await anext(events), Added)

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        anyio.run(watch_and_leave)
        gc.collect()

    assert [str(each.message) for each in warned] == []


async def test_a_wrong_token_is_unauthorized(own_cluster: RealCluster, namespace: str) -> None:
    kubeconfig = own_cluster.kubeconfig(token="unknown-token")

    async with DPFClient(kubeconfig=kubeconfig, namespace=namespace) as dpf:
        with pytest.raises(Unauthorized):
            await dpf.resource(DPU).list()


@pytest.mark.parametrize("proof", ["token", "certificate", "service account"])
async def test_a_user_has_exactly_the_granted_permissions(
    proof: str, own_cluster: RealCluster, namespace: str
) -> None:
    match proof:
        case "token":
            user = "alice"
            kubeconfig = own_cluster.kubeconfig(token=own_cluster.token_of(user))
        case "certificate":
            user = f"carol@{namespace}"
            kubeconfig = own_cluster.kubeconfig(certificate=own_cluster.certificate_of(user))
        case _:
            user = f"system:serviceaccount:{namespace}:worker"
            token = await own_cluster.service_account_token("worker", namespace=namespace)
            kubeconfig = own_cluster.kubeconfig(token=token)
    rule = {"apiGroups": [DPU.GROUP], "resources": [DPU.PLURAL], "verbs": ["list"]}
    async with DPFClient(kubeconfig=kubeconfig, namespace=namespace) as dpf:
        with pytest.raises(Forbidden):
            await dpf.resource(DPU).list()

        await own_cluster.grant(user, [rule], namespace=namespace)

        assert not (await dpf.resource(DPU).list()).items
        with pytest.raises(Forbidden):
            await dpf.resource(DPUNode).list()


@both_crd_sets
async def test_a_host_is_provisioned(cluster: Admin, namespace: str) -> None:
    reboots: list[str] = []

    async def reboot(node: str) -> None:
        reboots.append(node)

    site, host = minimal_site(), Simulator(operator=False).host(devices=2)
    async with DPFClient(kubeconfig=cluster.kubeconfig(), namespace=namespace) as dpf:
        await install(dpf, now=datetime.now(UTC))
        async with Operator(kubeconfig=cluster.kubeconfig(), namespace=namespace, profile="instant"):
            await dpf.create_initialization_objects(site, bmc_password="secret")
            await dpf.site_accepted(site, timeout=60)

            view = await provision(dpf, host, reboot=reboot, timeout=60)

    assert view.ready
    assert reboots == [host.name]


async def test_the_error_of_a_server_that_does_not_start_has_its_log() -> None:
    with pytest.raises(
        NotReady, match=r"kube-apiserver exited with 1; its log:\n(.*\n)*.*unknown flag: --no-such"
    ):
        async with RealCluster(find(), flags=["--no-such-flag"]):
            raise AssertionError("the server started")


async def test_a_server_that_is_not_ready_in_time_is_stopped_and_the_error_has_its_log() -> None:
    cluster = RealCluster(find(), start_timeout=0.5)

    with pytest.raises(NotReady, match=r"not ready after 0.5 s; (.*\n)*its log:\n.*"):
        async with cluster:
            raise AssertionError("the server started")

    assert not _processes_naming(cluster.log.parent)


def test_binaries_that_are_missing_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    (tmp_path / "etcd").touch(mode=0o700)

    with pytest.raises(NotBuilt, match=r"^kube-apiserver, kubectl not found in .*KUBEBUILDER_ASSETS"):
        find()


async def test_leaving_the_block_ends_all_processes_and_removes_the_files(tmp_path: Path) -> None:
    async with RealCluster(find()) as cluster:
        folder = cluster.log.parent
        assert set(_processes_naming(folder).values()) == {"etcd", "kube-apiserver"}

    assert not _processes_naming(folder)
    assert not folder.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's PR_SET_PDEATHSIG")
async def test_a_server_does_not_survive_a_test_run_that_is_killed() -> None:
    async with await anyio.open_process([sys.executable, "-c", RUN], stderr=None) as run:
        assert run.stdout is not None
        folder = Path((await run.stdout.receive()).decode().strip())
        assert len(_processes_naming(folder)) == 2
        handles = [os.pidfd_open(process) for process in _processes_naming(folder)]

        run.kill()

        with anyio.fail_after(120):
            for handle in handles:
                await anyio.wait_readable(handle)
                os.close(handle)
    shutil.rmtree(folder)


RUN = """
import anyio
from tests.apiserver.build import find
from tests.apiserver.cluster import RealCluster

async def main():
    async with RealCluster(find()) as cluster:
        print(cluster.log.parent, flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


def _processes_naming(folder: Path) -> dict[int, str]:
    """The processes that have this folder in their command line, and their programs."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            program, *arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # the process has ended
            continue
        if any(str(folder).encode() in argument for argument in arguments):
            found[int(process.name)] = Path(program.decode()).name
    return found
