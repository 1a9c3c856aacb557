"""dpf-async site: plan and apply a site file, and show whether DPF has accepted it."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path

from dpf_async import load_site
from dpf_async.models import Secret, known
from dpf_async.sim import Simulator
from tests.cli.conftest import RunCLI
from tests.cli.processes import SITE, running

AT = ("--kubeconfig", "kubeconfig")


async def test_a_site_is_planned_and_applied_and_then_the_plan_is_empty(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        before = await run_cli("site", "plan", SITE, *AT)
        applied = await run_cli("site", "apply", SITE, *AT, "--bmc-password-file", "-", stdin=b"a secret\n")
        after = await run_cli("site", "plan", SITE, *AT)
        status = await run_cli("site", "status", SITE, *AT)
        secret = await dpf.resource(Secret).get(known.BMC_PASSWORD_SECRET)

    assert "create     DPUDeployment compute" in before.out
    assert (before.status, after.status) == (1, 0)
    assert applied.status == 0, applied.err
    assert applied.out.endswith("created; every DPUDeployment is accepted\n")
    assert "s  DPUDeployment compute: accepted" in applied.err, "progress is reported while it waits"
    assert "a secret" not in applied.out + applied.err
    assert secret.data["password"] == "YSBzZWNyZXQ="
    assert status.status == 0
    assert [line.split() for line in status.out.splitlines()][-1][:3] == ["DPUDeployment", "storage", "yes"]


async def test_a_difference_is_changed_only_with_update(run_cli: RunCLI, tmp_path: Path) -> None:
    changed = tmp_path / "site.yaml"
    changed.write_text(SITE.read_text().replace("version: 1.22.1", "version: 1.23.0"))
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        await dpf.create_initialization_objects(load_site(SITE))
        plan = await run_cli("site", "plan", changed, *AT, "-o", "json")
        refused = await run_cli("site", "apply", changed, *AT)
        status = await run_cli("site", "status", changed, *AT)
        updated = await run_cli("site", "apply", changed, *AT, "--update", "--no-wait", "-o", "json")

    planned = [one for one in json.loads(plan.out)["objects"] if one["action"] == "change"]
    assert [(one["kind"], one["name"]) for one in planned] == [("DPUServiceTemplate", "dts")]
    assert plan.status == 1
    assert "DPUServiceTemplate dts" in refused.err
    assert (refused.status, refused.out) == (1, "")
    assert "service        compute/dts" in status.out
    assert status.out.rstrip().endswith("version 1.23.0: its chart has version 1.22.1")
    document = json.loads(updated.out)
    assert [one["name"] for one in document["objects"] if one["action"] == "changed"] == ["dts"]
    assert (updated.status, document["accepted"]) == (0, False)


async def test_objects_that_are_not_accepted_are_shown_with_what_they_wait_for(
    run_cli: RunCLI, tmp_path: Path
) -> None:
    async with Simulator(operator=False) as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        nothing = await run_cli("site", "status", *AT)
        missing = await run_cli("site", "status", SITE, *AT, "-o", "json")
        await dpf.create_initialization_objects(load_site(SITE))
        present = await run_cli("site", "status", *AT)
        late = await run_cli("site", "apply", SITE, *AT, "--timeout", "1s")

    assert (nothing.status, nothing.out) == (
        0,
        "no BFBs and no DPUDeployments in namespace dpf-operator-system\n",
    )
    assert {row["waiting_for"] for row in json.loads(missing.out)} == {"the object to be created"}
    assert "the operator to reconcile the current spec" in present.out
    assert "DPUDeployment compute" in late.err
    assert [ended.status for ended in (missing, present, late)] == [1, 1, 1]


async def test_the_user_at_the_terminal_sees_the_difference_and_is_prompted(tmp_path: Path) -> None:
    changed = tmp_path / "site.yaml"
    changed.write_text(SITE.read_text().replace("version: 1.22.1", "version: 1.23.0"))
    master, terminal = pty.openpty()
    async with Simulator() as sim, sim.client() as dpf:
        sim.write_kubeconfig(tmp_path / "kubeconfig")
        await dpf.create_initialization_objects(load_site(SITE))
        at = ("--kubeconfig", tmp_path / "kubeconfig")
        async with running("site", "apply", changed, *at, "--no-wait", stdin=terminal) as verb:
            await verb.until_err_has("Change the objects that differ? [y/N]")
            os.write(master, b"yes\n")
    os.close(master)
    os.close(terminal)

    assert "change     DPUServiceTemplate dts" in verb.err
    assert "1 changed" in verb.out
    assert verb.process.returncode == 0
