"""Flow 6 on the simulated site: another BFB for a DPUDeployment, and the upgrade of its hosts one by one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from dpf_async import (
    DPFClient,
    HostUpgrade,
    NodeView,
    Progress,
    References,
    UpgradeReport,
    provision,
    rollback,
    upgrade,
)
from dpf_async.errors import DPUFailed, NotFound, UpgradeFailed, UsageError, WaitTimeout
from dpf_async.levels import Level
from dpf_async.models import (
    BFB,
    DPU,
    BFBSpec,
    DPUDeployment,
    DPUFlavor,
    DPUFlavorSpec,
    DPUNode,
    DPUServiceTemplate,
    ObjectMeta,
    known,
)
from dpf_async.sim import Simulator
from dpf_async.sim.simulator import minimal_site
from dpf_async.specs import GroupSpec
from tests.integration.backends import Backend


class Carbide:
    """Approves and reboots hosts. `when` is called before each approval or reboot."""

    def __init__(self, dpf: DPFClient) -> None:
        self.dpf = dpf
        self.asked: list[HostUpgrade] = []
        self.declines: set[str] = set()
        self.rebooted: list[str] = []
        self.when: Callable[[str, str], Awaitable[object]] | None = None

    @property
    def order(self) -> list[str]:
        return [host.node for host in self.asked]

    async def approve(self, host: HostUpgrade) -> bool:
        self.asked.append(host)
        if self.when is not None:
            await self.when("approve", host.node)
        return host.node not in self.declines

    async def reboot(self, node: str) -> None:
        if self.when is not None:
            await self.when("reboot", node)
        self.rebooted.append(node)

    async def upgrade(self, **options: Any) -> UpgradeReport:  # Any: those of upgrade()
        options = {"bfb": "new", "timeout": 60.0, **options}
        return await upgrade(self.dpf, "compute", approve=self.approve, reboot=self.reboot, **options)


async def new_bfb(sim: Simulator, dpf: DPFClient, name: str = "new") -> None:
    """Another BFB, downloaded."""
    spec = BFBSpec(url=f"https://bfb.example.com/{name}.bfb")
    await dpf.resource(BFB).create(BFB(metadata=ObjectMeta(name=name), spec=spec))
    await sim.settled()


async def mixed_site(sim: Simulator, dpf: DPFClient) -> tuple[list[NodeView], NodeView]:
    """Three hosts of the group "compute", the second with two DPUs, and one of the group "storage"; and a new BFB."""
    await sim.define_site()
    labels = {"group": "storage"}
    site = minimal_site()
    groups = {
        **site.groups,
        "storage": GroupSpec(bfb="bf-bundle", flavor="dpu-flavor", node_labels=labels, services=("dts",)),
    }
    site = site.model_copy(update={"groups": groups})
    await dpf.create_initialization_objects(site)
    await dpf.site_accepted(site, timeout=60)
    compute = [await sim.ready_node(devices) for devices in (1, 2, 1)]

    async def reboot(node: str) -> None:
        assert node

    other = sim.host().model_copy(update={"labels": labels})
    storage = await provision(dpf, other, reboot=reboot, timeout=60)
    await new_bfb(sim, dpf)
    return compute, storage


async def hosts(sim: Simulator, dpf: DPFClient, *devices: int) -> list[NodeView]:
    """Ready hosts of the minimal site with the given numbers of DPUs, and a new BFB."""
    views = [await sim.ready_node(count) for count in devices]
    await new_bfb(sim, dpf)
    return views


async def bfbs(dpf: DPFClient, view: NodeView) -> set[str]:
    now = (await dpf.node(view.name).view()).dpus
    assert len(now) == len(view.dpus)
    return {dpu.bfb for dpu in now}


async def annotated(dpf: DPFClient) -> list[str]:
    """Names of the DPUNodes with the annotation of an upgrade."""
    return [
        node.name
        for node in (await dpf.resource(DPUNode).list()).items
        if any(key.startswith("dpf-async/upgrade-") for key in node.metadata.annotations)
    ]


# Which DPUs are outdated.


async def test_an_update_returns_the_outdated_dpus_of_the_deployment_and_how_they_differ(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        compute, storage = await mixed_site(sim, dpf)
        await dpf.resource(DPUFlavor).create(
            DPUFlavor(metadata=ObjectMeta(name="other"), spec=DPUFlavorSpec(dpu_mode="zero-trust"))
        )

        by_bfb = await dpf.update_dpu_deployment_bfb("compute", "new", timeout=60)
        by_both = await dpf.update_dpu_deployment_configuration("compute", "other", timeout=60)
        again = await dpf.update_dpu_deployment_configuration("compute", "other", timeout=60)

        assert [(one.node, one.uid) for one in by_bfb.outdated] == [
            (view.name, dpu.uid) for view in compute for dpu in view.dpus
        ]
        assert (by_bfb.changed, by_both.changed, again.changed) == (True, True, False)
        assert by_both.previous == again.previous == References("new", "dpu-flavor")
        first = by_both.outdated[0]
        assert (first.bfb.present, first.bfb.wanted) == ("bf-bundle", "new")
        assert (first.flavor.present, first.flavor.wanted) == ("dpu-flavor", "other")
        assert not by_bfb.outdated[0].flavor.outdated
        assert storage.name not in {one.node for one in await dpf.outdated_dpus()}


async def test_outdated_dpus_are_found_in_all_or_in_selected_deployments(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        compute, storage = await mixed_site(sim, dpf)
        await dpf.update_dpu_deployment_bfb("compute", "new", timeout=60)
        await dpf.update_dpu_deployment_bfb("storage", "new", timeout=60)
        only_second = f"{known.DPUNODE_NAME_LABEL}={compute[1].name}"

        every = await dpf.outdated_dpus()
        of_storage = await dpf.outdated_dpus(["storage"])
        of_second = await dpf.outdated_dpus(label_selector=only_second)

        assert [one.deployment for one in every] == ["compute"] * 4 + ["storage"]
        assert [one.name for one in of_storage] == [dpu.name for dpu in storage.dpus]
        assert {one.name for one in of_second} == set(compute[1].uids)
        assert str(of_storage[0]) == (
            f"DPU {storage.dpus[0].name} of DPUNode {storage.name}: BFB bf-bundle, wanted new"
        )
        with pytest.raises(NotFound, match="no DPUDeployment no-such; there are compute, storage"):
            await dpf.outdated_dpus(["compute", "no-such"])


async def test_a_dpu_without_the_label_of_a_deployment_belongs_to_the_deployment_of_its_dpuset(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        (view,) = await hosts(sim, dpf, 1)
        without = {"metadata": {"labels": {known.OWNED_BY_DPUDEPLOYMENT_LABEL: None}}}
        await dpf.resource(DPU).patch(view.dpus[0].name, without)

        change = await dpf.update_dpu_deployment_bfb("compute", "new", timeout=60)

        assert [one.name for one in change.outdated] == [view.dpus[0].name]


async def test_service_versions_of_the_templates_are_compared_with_the_expected_ones(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        site = await sim.define_site()
        (template,) = (await dpf.resource(DPUServiceTemplate).list()).items

        (as_it_is,) = await dpf.service_versions()
        (as_described,) = await dpf.service_versions(site)
        missing, differing = await dpf.service_versions({"dts": "1.23.0", "hbn": "1.0.5"})

        assert (as_it_is.deployment, as_it_is.service) == ("compute", "dts")
        assert (as_it_is.template, as_it_is.found) == (template.name, "1.22.1")
        assert (as_it_is.matches, as_described.matches, differing.matches) == (None, True, False)
        assert (missing.service, missing.found, missing.matches) == ("hbn", None, False)
        assert str(differing) == "compute dts: 1.22.1 (DIFFERS: expected 1.23.0)"


# With OnDelete.


async def test_an_upgrade_reprovisions_every_dpu_of_the_deployment_once_and_no_other(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        compute, storage = await mixed_site(sim, dpf)
        carbide = Carbide(dpf)
        received: list[Progress] = []

        report = await carbide.upgrade(progress=received.append)

        assert [host.node for host in report.upgraded] == carbide.order == [view.name for view in compute]
        assert report.hosts == report.upgraded
        assert report.outdated == ()
        assert (report.changed, report.previous) == (True, References("bf-bundle", "dpu-flavor"))
        for view in compute:
            now = await dpf.node(view.name).view()
            assert now.ready
            assert {dpu.bfb for dpu in now.dpus} == {"new"}
            assert not set(now.uids.values()) & set(view.uids.values())
        assert (await dpf.node(storage.name).view()).uids == storage.uids
        assert carbide.rebooted == carbide.order, "one reboot per host, also for two DPUs"
        assert await annotated(dpf) == []
        assert any("OS Installing" in one.doing for one in received)


async def test_an_upgrade_that_is_complete_does_nothing_when_repeated(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await hosts(sim, dpf, 1)
        carbide = Carbide(dpf)
        first = await carbide.upgrade()

        again = await carbide.upgrade()

        assert (again.changed, again.hosts) == (False, ())
        assert again.previous == first.previous
        assert len(carbide.asked) == 1


async def test_hosts_are_upgraded_in_the_given_order(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        views = await hosts(sim, dpf, 1, 2, 1)
        names = [view.name for view in views]
        carbide = Carbide(dpf)
        carbide.declines = set(names)

        await carbide.upgrade(order=[names[2], "no-such"])
        await carbide.upgrade(order=lambda host: (-len(host.dpus), host.node))

        assert carbide.order == [names[2], names[0], names[1], names[1], names[0], names[2]]


async def test_a_declined_host_is_unchanged_and_upgraded_by_the_next_call(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first, second = await hosts(sim, dpf, 1, 1)
        carbide = Carbide(dpf)
        carbide.declines = {first.name}

        report = await carbide.upgrade()
        carbide.declines = set()
        later = await carbide.upgrade()

        assert [(host.node, host.reason) for host in report.skipped] == [(first.name, "declined")]
        assert [host.node for host in report.upgraded] == [second.name]
        assert [one.uid for one in report.outdated] == list(first.uids.values())
        assert [host.node for host in later.hosts] == [first.name]
        assert later.outdated == ()


async def test_no_more_hosts_than_max_parallel_are_in_progress(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        views = await hosts(sim, dpf, 1, 1, 1)
        carbide = Carbide(dpf)
        go = anyio.Event()
        rebooting: list[str] = []
        two = anyio.Event()

        async def wait_for_both(what: str, node: str) -> None:
            if what == "reboot":
                rebooting.append(node)
                if len(rebooting) == 2:
                    two.set()
                await go.wait()

        carbide.when = wait_for_both
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: carbide.upgrade(max_parallel=2))
            with anyio.fail_after(60):
                await two.wait()
            await sim.settled()
            third = await dpf.node(views[2].name).view()
            started, waiting = sorted(await annotated(dpf)), sorted(rebooting)
            go.set()

        assert third.uids == views[2].uids
        assert third.ready
        assert started == waiting == [view.name for view in views[:2]]
        assert [await bfbs(dpf, view) for view in views] == [{"new"}] * 3


async def test_a_failing_host_stops_the_upgrade_and_the_next_call_continues(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first, second, third = await hosts(sim, dpf, 1, 2, 1)
        failing = second.dpus[0]
        sim.trouble("install_failed", device=failing.device)
        carbide = Carbide(dpf)

        with pytest.raises(UpgradeFailed) as caught:
            await carbide.upgrade()
        after = await dpf.node(first.name).view()
        sim.repair()
        async with sim.client() as another:
            fresh = Carbide(another)
            report = await fresh.upgrade()

        assert caught.value.node == second.name
        assert f"DPU {failing.name} is in phase Error: BFBTransferred is False" in str(caught.value)
        assert isinstance(caught.value.__cause__, DPUFailed)
        outcomes = {host.node: host.outcome for host in caught.value.report.hosts}
        assert outcomes == {first.name: "upgraded", second.name: "failed", third.name: "not_started"}
        assert fresh.order == [second.name, third.name], "a host that failed has to be approved again"
        assert fresh.asked[0].failed == (failing.name,)
        assert fresh.asked[0].started
        assert report.outdated == ()
        assert (await dpf.node(first.name).view()).uids == after.uids


async def test_with_on_failure_continue_the_other_hosts_are_upgraded_before_the_failure_is_raised(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first, second = await hosts(sim, dpf, 1, 1)
        sim.trouble("install_failed", device=first.dpus[0].device)
        carbide = Carbide(dpf)

        with pytest.raises(UpgradeFailed) as caught:
            await carbide.upgrade(on_failure="continue")

        assert [host.node for host in caught.value.report.failed] == [first.name]
        assert [host.node for host in caught.value.report.upgraded] == [second.name]


async def test_hosts_in_progress_are_finished_when_another_one_fails(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first, second, third = await hosts(sim, dpf, 1, 1, 1)
        carbide = Carbide(dpf)
        both = anyio.Event()
        failed = anyio.Event()

        async def fail_one(what: str, node: str) -> None:
            if what == "reboot" and node == first.name:
                await both.wait()
                failed.set()
                raise OSError("the BMC does not answer")
            if what == "reboot":
                both.set()
                await failed.wait()

        carbide.when = fail_one
        with anyio.fail_after(60), pytest.raises(UpgradeFailed, match="OSError: the BMC does not") as caught:
            await carbide.upgrade(max_parallel=2)

        outcomes = {host.node: host.outcome for host in caught.value.report.hosts}
        assert outcomes == {first.name: "failed", second.name: "upgraded", third.name: "not_started"}
        assert isinstance(caught.value.__cause__, OSError)
        assert await dpf.is_dpu_node_waiting_for_reboot(first.name), "the request is pending"


@pytest.mark.parametrize("point", [3, 5, 8, 12, 20, 30, 45])
async def test_an_upgrade_that_was_cancelled_is_continued_and_reprovisions_no_dpu_twice(
    backend: Backend, point: int
) -> None:
    async with backend.simulator() as sim, sim.client() as watcher:
        views = await hosts(sim, watcher, 2, 1)
        seen_uids = SeenUids()

        async with anyio.create_task_group() as tasks:
            await tasks.start(seen_uids.follow, watcher)
            await _cancelled(sim, views, point)
            async with sim.client() as second:
                report = await Carbide(second).upgrade()
            await sim.settled()
            for view in views:
                now = await watcher.node(view.name).view()
                with anyio.fail_after(60):
                    await seen_uids.received(now)
            tasks.cancel_scope.cancel()

        assert report.outdated == ()
        assert await annotated(watcher) == []
        assert {name: len(uids) for name, uids in seen_uids.uids.items()} == {
            name: 2 for view in views for name in view.uids
        }


class SeenUids:
    """Every uid that a DPU of some name has had."""

    def __init__(self) -> None:
        self.uids: dict[str, set[str]] = {}
        self._more = anyio.Event()

    async def follow(
        self, dpf: DPFClient, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        async with dpf.resource(DPU).watch() as stream:
            task_status.started()
            async for _ in stream:
                for dpu in (await dpf.resource(DPU).list()).items:
                    self.uids.setdefault(dpu.name, set()).add(dpu.uid)
                self._more.set()
                self._more = anyio.Event()

    async def received(self, view: NodeView) -> None:
        while not all(uid in self.uids.get(name, ()) for name, uid in view.uids.items()):
            await self._more.wait()


async def _cancelled(sim: Simulator, views: list[NodeView], point: int) -> None:
    """Run an upgrade, and cancel it at the point-th state of the hosts; `observe` evaluates every state."""
    async with sim.client() as first, anyio.create_task_group() as tasks:
        seen = 0

        def cancel_at_point(_: NodeView) -> bool:
            nonlocal seen
            seen += 1
            if seen == point:
                tasks.cancel_scope.cancel()
            return False

        async with AsyncExitStack() as stack:
            for view in views:
                level = Level[NodeView]("cancelled", cancel_at_point, survives_failure=True)
                await stack.enter_async_context(first.node(view.name).observe(level))
            await Carbide(first).upgrade()


async def test_an_invalid_upgrade_changes_nothing(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        (view,) = await hosts(sim, dpf, 1)
        carbide = Carbide(dpf)

        with pytest.raises(NotFound, match="BFB no-such"):
            await carbide.upgrade(bfb="no-such")
        with pytest.raises(NotFound, match="DPUFlavor no-such"):
            await carbide.upgrade(flavor="no-such")
        with pytest.raises(UsageError, match="max_parallel=0"):
            await carbide.upgrade(max_parallel=0)
        with pytest.raises(UsageError, match="on_failure='ignore'"):
            await carbide.upgrade(on_failure="ignore")

        assert carbide.asked == []
        assert (await dpf.resource(DPUDeployment).get("compute")).spec.dpus.bfb == "bf-bundle"
        assert (await dpf.node(view.name).view()).uids == view.uids


async def test_a_bfb_that_could_not_be_downloaded_is_refused(backend: Backend) -> None:
    async with backend.simulator(troubles=["bfb_download_failed@new"]) as sim, sim.client() as dpf:
        await hosts(sim, dpf, 1)

        with pytest.raises(UsageError, match="BFB new is in phase Error"):
            await Carbide(dpf).upgrade()


async def test_an_exception_of_approve_is_a_failure_of_the_host_which_is_unchanged(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        (view,) = await hosts(sim, dpf, 1)
        carbide = Carbide(dpf)

        async def refuse(what: str, node: str) -> None:
            raise LookupError(f"no one is there to {what} {node}")

        carbide.when = refuse
        with pytest.raises(UpgradeFailed, match="LookupError: no one is there to approve"):
            await carbide.upgrade()

        assert (await dpf.node(view.name).view()).uids == view.uids
        assert await annotated(dpf) == []


async def test_a_host_that_exceeds_its_timeout_fails_with_its_state(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first, second = await hosts(sim, dpf, 1, 1)
        sim.trouble("stuck_finalizer", node=first.name)

        with pytest.raises(UpgradeFailed, match=rf"DPU {first.dpus[0].name}: not replaced") as caught:
            await Carbide(dpf).upgrade(host_timeout=0.5)

        assert isinstance(caught.value.__cause__, WaitTimeout)
        assert [host.node for host in caught.value.report.not_started] == [second.name]


async def test_a_host_that_was_deleted_before_its_turn_is_skipped(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first, second = await hosts(sim, dpf, 1, 1)
        carbide = Carbide(dpf)

        async def delete_the_second(what: str, node: str) -> None:
            if (what, node) == ("approve", first.name):
                await dpf.delete_dpu_node(second.name, timeout=60)

        carbide.when = delete_the_second
        report = await carbide.upgrade()

        assert [(host.node, host.outcome) for host in report.hosts] == [
            (first.name, "upgraded"),
            (second.name, "skipped"),
        ]


# Rollback.


async def test_a_rollback_by_another_client_restores_the_references_and_returns_the_outdated_dpus(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first, second = await hosts(sim, dpf, 1, 1)
        carbide = Carbide(dpf)
        carbide.declines = {second.name}
        await carbide.upgrade()

        async with sim.client() as another:
            back = await rollback(another, "compute", timeout=60)
            again = await rollback(another, "compute", timeout=60)
            fresh = Carbide(another)
            report = await fresh.upgrade(bfb=None)

        assert back.references == again.references == References("bf-bundle", "dpu-flavor")
        assert (back.changed, again.changed) == (True, False)
        assert [(one.node, one.bfb.present, one.bfb.wanted) for one in back.outdated] == [
            (first.name, "new", "bf-bundle")
        ]
        assert [host.node for host in report.upgraded] == [first.name]
        assert [await bfbs(dpf, view) for view in (first, second)] == [{"bf-bundle"}] * 2


async def test_a_rollback_uses_the_given_references_and_requires_them_if_none_are_known(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        (view,) = await hosts(sim, dpf, 1)

        with pytest.raises(UsageError, match=r"no valid annotation .*: give bfb="):
            await rollback(dpf, "compute", timeout=60)
        there = await rollback(dpf, "compute", bfb="new", timeout=60)

        assert there.references == References("new", "dpu-flavor")
        assert [one.uid for one in there.outdated] == list(view.uids.values())


@pytest.mark.parametrize("annotation", ["", "[]", "null", '{"bfb": "old"}', '{"bfb": 1, "flavor": "f"}'])
async def test_an_annotation_in_another_format_is_not_used_for_rollback(
    backend: Backend, annotation: str
) -> None:
    async with backend.simulator(operator=False) as sim, sim.client() as dpf:
        await dpf.create_initialization_objects(minimal_site())
        patch = {"metadata": {"annotations": {"dpf-async/previous-references": annotation}}}
        await dpf.resource(DPUDeployment).patch("compute", patch)

        with pytest.raises(UsageError, match="no valid annotation dpf-async/previous-references"):
            await rollback(dpf, "compute", timeout=60)


async def test_a_rollback_stops_an_upgrade_in_progress(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        first, second = await hosts(sim, dpf, 1, 1)
        carbide = Carbide(dpf)

        async def roll_back(what: str, node: str) -> None:
            if (what, node) == ("approve", second.name):
                await rollback(dpf, "compute", timeout=60)

        carbide.when = roll_back
        with pytest.raises(
            UpgradeFailed, match="another client changed the references from BFB new"
        ) as caught:
            await carbide.upgrade()

        assert caught.value.node == ""
        assert [host.node for host in caught.value.report.not_started] == [second.name]
        assert [one.node for one in caught.value.report.outdated] == [first.name]
        assert (await dpf.node(second.name).view()).uids == second.uids


# With RollingUpdate.


async def use_rolling_update(sim: Simulator, dpf: DPFClient) -> None:
    strategy = {"spec": {"dpus": {"dpuSetStrategy": {"type": "RollingUpdate"}}}}
    await dpf.resource(DPUDeployment).patch("compute", strategy)
    await sim.settled()


async def test_with_rolling_update_the_upgrade_answers_requests_until_nothing_is_outdated(
    backend: Backend,
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        views = await hosts(sim, dpf, 1, 2, 1)
        await use_rolling_update(sim, dpf)
        carbide = Carbide(dpf)

        report = await carbide.upgrade(max_parallel=2)

        assert sorted(host.node for host in report.upgraded) == [view.name for view in views]
        assert report.outdated == ()
        assert sorted(carbide.order) == [view.name for view in views], "each host is approved once"
        assert [await bfbs(dpf, view) for view in views] == [{"new"}] * 3
        assert await annotated(dpf) == []


async def test_with_rolling_update_a_declined_host_stays_held_and_ends_the_upgrade(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        views = await hosts(sim, dpf, 1, 1)
        await use_rolling_update(sim, dpf)
        carbide = Carbide(dpf)
        carbide.declines = {view.name for view in views}

        report = await carbide.upgrade()
        (declined,) = report.skipped
        held = await dpf.node(declined.node).view()
        carbide.declines = set()
        later = await carbide.upgrade()

        assert held.hold is not None
        assert len(report.not_started) == 1
        assert carbide.rebooted != []
        assert later.outdated == ()
        assert [await bfbs(dpf, view) for view in views] == [{"new"}] * 2


async def test_with_rolling_update_a_failing_host_stops_the_upgrade(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        views = await hosts(sim, dpf, 1, 1)
        await use_rolling_update(sim, dpf)
        sim.trouble("install_failed")

        with pytest.raises(UpgradeFailed, match="is in phase Error: BFBTransferred is False") as caught:
            await Carbide(dpf).upgrade()

        assert len(caught.value.report.failed) == 1
        assert len(caught.value.report.not_started) == len(views) - 1


@pytest.mark.parametrize("point", [3, 8, 15, 30])
async def test_with_rolling_update_an_upgrade_that_was_cancelled_is_continued(
    backend: Backend, point: int
) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        views = await hosts(sim, dpf, 2, 1)
        await use_rolling_update(sim, dpf)

        await _cancelled(sim, views, point)
        async with sim.client() as second:
            report = await Carbide(second).upgrade()

        assert report.outdated == ()
        assert [await bfbs(dpf, view) for view in views] == [{"new"}] * 2
        assert await annotated(dpf) == []


async def test_with_rolling_update_an_upgrade_without_progress_ends_at_its_timeout(backend: Backend) -> None:
    async with backend.simulator() as sim, sim.client() as dpf:
        await hosts(sim, dpf, 1)
        await use_rolling_update(sim, dpf)
        sim.trouble("stuck_finalizer")

        with pytest.raises(UpgradeFailed, match="the timeout has expired") as caught:
            await Carbide(dpf).upgrade(timeout=1.0)

        assert len(caught.value.report.not_started) == 1
