"""dpf-async host: hosts are registered, provisioned by commands and deleted, and commands that fail."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dpf_async import DPFClient, load_site
from dpf_async.models import DPUNode, Lease
from dpf_async.sim import Simulator
from tests.cli.conftest import RunCLI
from tests.cli.processes import running

SMALL = Path(__file__).parent / "small"
SITE, HOSTS = SMALL / "site.yaml", SMALL / "hosts.yaml"
AT = ("--kubeconfig", "kubeconfig")
TWO, ONE = "node-02-00-00-00-0a-01", "node-02-00-00-00-0a-02"
REBOOT, DRAIN = ("--reboot-command", "echo rebooting {node}"), ("--drain-command", "printenv DPF_NODE")


@asynccontextmanager
async def accepted_site(tmp_path: Path) -> AsyncIterator[tuple[Simulator, DPFClient]]:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        site = load_site(SITE)
        await dpf.create_initialization_objects(site, bmc_password="simulated")
        await dpf.site_accepted(site, timeout=60)
        yield sim, dpf


async def test_hosts_are_provisioned_by_the_commands_whose_output_is_on_stderr(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with accepted_site(tmp_path):
        ended = await run_cli(
            "host",
            "provision",
            HOSTS,
            TWO,
            ONE,
            "--site",
            SITE,
            *AT,
            *REBOOT,
            *DRAIN,
            "--services",
            "-o",
            "json",
        )

    assert ended.status == 0, ended.err
    documents = {host["node"]: host for host in json.loads(ended.out)}
    assert list(documents) == [TWO, ONE]
    assert all(
        host["ready"] and host["services_ready"] and host["error"] is None for host in documents.values()
    )
    assert [len(host["dpus"]) for host in documents.values()] == [2, 1]
    lines = ended.err.splitlines()
    for node in (ONE, TWO):
        assert f"rebooting {node}" in lines
        assert node in lines, "the drain command has the name of the host in its environment"
        assert any(f"s  DPUNode {node}: " in line and f"{node}-hold" in line for line in lines)


async def test_a_host_is_claimed_with_a_lease_only_if_requested(run_cli: RunCLI, tmp_path: Path) -> None:
    command = ("host", "provision", HOSTS, "--site", SITE, *AT, "--yes", *REBOOT)
    async with accepted_site(tmp_path) as (_, dpf):
        plain = await run_cli(*command, ONE)
        before = await dpf.resource(Lease).list()
        claiming = await run_cli(*command, TWO, "--claim")
        after = await dpf.resource(Lease).list()

    assert (plain.status, claiming.status) == (0, 0), claiming.err
    assert (len(before.items), len(after.items)) == (0, 1)


async def test_a_command_that_fails_ends_the_flow_and_the_request_stays_pending(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    command = ("host", "provision", HOSTS, ONE, "--site", SITE, *AT, "--yes")
    async with accepted_site(tmp_path) as (_, dpf):
        failed = await run_cli(*command, "--reboot-command", "sh -c 'echo no power; exit 3'")
        pending = await dpf.is_dpu_node_waiting_for_reboot(ONE)
        again = await run_cli(*command, *REBOOT)

    assert failed.status == 1
    assert "no power" in failed.err
    assert (
        "ended with exit status 3; the reboot request is still pending: run this again to resume"
        in failed.err
    )
    assert pending
    assert (again.status, again.out) == (0, f"{ONE}: ready; {ONE}-device-02-00-00-00-0b-03 Ready\n")


async def test_a_host_that_fails_does_not_end_the_flow_of_another(run_cli: RunCLI, tmp_path: Path) -> None:
    command = ("host", "provision", HOSTS, ONE, TWO, "--site", SITE, *AT, "--yes", "-o", "json")
    async with accepted_site(tmp_path):
        ended = await run_cli(*command, "--reboot-command", f"sh -c 'test {{node}} = {ONE}'")

    documents = {host["node"]: host for host in json.loads(ended.out)}
    assert documents[ONE]["ready"] is True
    assert "exit status 1" in documents[TWO]["error"]
    assert ended.status == 1


async def test_no_more_hosts_are_in_progress_than_max_parallel(run_cli: RunCLI, tmp_path: Path) -> None:
    command = ("host", "provision", HOSTS, TWO, ONE, "--site", SITE, *AT, "--yes", *REBOOT)
    async with accepted_site(tmp_path):
        ended = await run_cli(*command, "--max-parallel", "1")
        none = await run_cli(*command, "--max-parallel", "0")

    assert ended.status == 0, ended.err
    mentioned = [node for line in ended.err.splitlines() for node in (TWO, ONE) if node in line]
    assert mentioned == [TWO] * mentioned.count(TWO) + [ONE] * mentioned.count(ONE)
    assert {TWO, ONE} == set(mentioned)
    assert none.status == 2
    assert "--max-parallel" in none.err


@pytest.mark.parametrize("verb", [("register",), ("provision", "--yes", *REBOOT)], ids=lambda verb: verb[0])
async def test_a_faulty_device_ends_the_flow_of_its_host_after_the_grace_period(
    run_cli: RunCLI, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    name, *options = verb
    async with accepted_site(tmp_path) as (sim, _):
        sim.trouble("bmc_password_wrong")
        ended = await run_cli("host", name, HOSTS, ONE, "--site", SITE, *AT, *options, "--grace", "0s")

    assert ended.status == 1
    assert "DPUDevice device-02-00-00-00-0b-03: Initialized failed" in ended.err
    assert "the fault has lasted for 0 s" in ended.err


async def test_ctrl_c_during_a_reboot_leaves_the_request_pending(tmp_path: Path) -> None:
    at = ("--kubeconfig", tmp_path / "kubeconfig")
    command = ("--reboot-command", "sh -c 'echo cycling; exec cat /dev/zero >/dev/null'")
    async with accepted_site(tmp_path) as (_, dpf):
        async with running("host", "provision", HOSTS, ONE, "--site", SITE, *at, "--yes", *command) as verb:
            await verb.until_err_has("cycling")
            verb.interrupt()
        pending = await dpf.is_dpu_node_waiting_for_reboot(ONE)

    assert verb.process.returncode == 130
    assert verb.err.endswith("interrupted\n")
    assert "Traceback" not in verb.err
    assert pending


async def test_the_user_is_prompted_on_the_terminal_and_a_no_leaves_the_request_pending(
    tmp_path: Path,
) -> None:
    master, terminal = pty.openpty()
    at = ("--kubeconfig", tmp_path / "kubeconfig")
    async with accepted_site(tmp_path) as (_, dpf):
        async with running("host", "provision", HOSTS, ONE, "--site", SITE, *at, stdin=terminal) as verb:
            await verb.until_err_has(f"DPUNode {ONE}: may it be disrupted now? [y/N]")
            os.write(master, b"y\n")
            await verb.until_err_has(f"DPUNode {ONE}: reboot it now. Was it power-cycled? [y/N]")
            os.write(master, b"\n")
        pending = await dpf.is_dpu_node_waiting_for_reboot(ONE)
    os.close(master)
    os.close(terminal)

    assert verb.process.returncode == 1
    assert f"error: DPUNode {ONE} was not rebooted; the reboot request is still pending" in verb.err
    assert pending


async def test_ctrl_c_ends_a_prompt(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    async with running("host", "delete", ONE, stdin=terminal) as verb:
        await verb.until_err_has(f"Delete {ONE} with all DPUs? [y/N]")
        verb.interrupt()
    os.close(master)
    os.close(terminal)

    assert verb.process.returncode == 130


async def test_hosts_are_registered_and_discovered(run_cli: RunCLI, tmp_path: Path) -> None:
    async with accepted_site(tmp_path):
        ended = await run_cli("host", "register", HOSTS, "--site", SITE, *AT)

    assert ended.status == 0, ended.err
    assert ended.out.splitlines() == [f"{TWO}: discovered, 2 DPUs", f"{ONE}: discovered, 1 DPUs"]


async def test_hosts_are_deleted_completely_and_deleting_again_succeeds(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        node = await sim.node_waiting_for_hold()
        deleted = await run_cli("host", "delete", node.name, *AT, "--yes", "-o", "json")
        left = (await dpf.resource(DPUNode).list()).items
        forced = await run_cli("host", "delete", node.name, *AT, "--yes", "--force", "--grace-period", "20s")

    (document,) = json.loads(deleted.out)
    assert (document["node"], document["graceful"], document["error"]) == (node.name, True, None)
    assert f"s  DPUNode {node.name}: " in deleted.err, "progress is reported while it waits"
    assert list(left) == []
    assert forced.out == "deleted\n"
    assert (deleted.status, forced.status) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ("provision", HOSTS, "node-9", "--site", SITE, "--yes", *REBOOT),
            "has no host node-9; its hosts: node-02",
        ),
        (("provision", HOSTS, "--site", SITE, "--yes"), "no way to reboot hosts: give --reboot-command"),
        (("provision", HOSTS, "--site", SITE, *REBOOT), "no way to drain hosts: give --drain-command"),
        (("provision", HOSTS, "--site", SITE, "--yes", "--reboot-command", "bmctool x"), "no such command"),
        (("provision", HOSTS, "--site", SITE, "--yes", "--reboot-command", "sh 'x"), "cannot be parsed"),
        (("provision", HOSTS, "--site", "nowhere.yaml", "--yes", *REBOOT), "nowhere.yaml"),
        (("delete", ONE), "give --yes to confirm"),
        (("delete", ONE, "--timeout", "soon"), "'soon' is not a duration"),
    ],
)
async def test_mistakes_in_a_command_are_reported_before_anything_is_sent(
    run_cli: RunCLI, arguments: tuple[str | Path, ...], problem: str
) -> None:
    ended = await run_cli("host", *arguments, "--kubeconfig", "nowhere")

    assert problem in ended.err
    assert "Traceback" not in ended.err
    assert (ended.status, ended.out) == (2, "")
