"""What a caller gets wrong, or finds in the way: for every method one error that names the object and the next step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from dpf_async import (
    DeviceSpec,
    DPFClient,
    HostSpec,
    HostUpgrade,
    discover,
    provision,
    reprovision,
    rollback,
    upgrade,
)
from dpf_async.errors import (
    AlreadyExists,
    APIError,
    Conflict,
    DPFError,
    Forbidden,
    NotFound,
    UsageError,
    WaitTimeout,
)
from dpf_async.levels import accepted, ready
from dpf_async.models import BFB, DPU, DPUDeployment, DPUDevice, DPUFlavor, DPUNode, Resource
from tests.integration.backends import Backend
from tests.integration.test_questions import FINALIZER, dpu_in
from tests.integration.test_setup import site_of
from tests.support.cluster import NODE, Cluster, Server
from tests.support.timeouts import times_out

DEVICE = DeviceSpec(name="device-1", serial_number="MT1", bmc_ip="10.1.0.1")
HOST = HostSpec(name=NODE, devices=(DEVICE,))

Call = Callable[[DPFClient, str], Awaitable[Any]]  # Any: what it returns is not looked at


async def reboot(_: str) -> None:
    """Nothing that a test could see."""


async def _upgrade(dpf: DPFClient, name: str) -> None:
    async def approve(_: HostUpgrade) -> bool:
        raise AssertionError("no host is to be upgraded")

    await upgrade(dpf, name, flavor="flavor", approve=approve, reboot=reboot)


async def _ask(dpf: DPFClient, name: str) -> None:
    async with dpf.node(name).external_reboot(timeout=0.05):
        raise AssertionError("nobody asked")


async def _accepted(dpf: DPFClient, name: str) -> None:
    await dpf.deployment(name).until(accepted, timeout=0.05)


@dataclass(frozen=True)
class About:
    """A method that is given the name of an object.

    Attributes:
        kind: of the object.
        call: with the name.
        waits: one that is not there yet is waited for.
        next_step: a word of what is to be done where there is none of this name.
    """

    kind: type[Resource]
    call: Call
    waits: bool = False
    next_step: str = ""


METHODS = {
    "is_dpu_ready": About(DPU, lambda dpf, name: dpf.is_dpu_ready(name), next_step="dpu_of"),
    "reprovision_dpu": About(DPU, lambda dpf, name: dpf.reprovision_dpu(name), next_step="dpu_of"),
    "dpu.until": About(DPU, lambda dpf, name: dpf.dpu(name).until(ready, timeout=0.05), waits=True),
    "is_dpu_node_waiting_for_reboot": About(
        DPUNode, lambda dpf, name: dpf.is_dpu_node_waiting_for_reboot(name), next_step="create_dpu_node"
    ),
    "mark_dpu_node_rebooted": About(
        DPUNode, lambda dpf, name: dpf.mark_dpu_node_rebooted(name), next_step="create_dpu_node"
    ),
    "mark_dpu_node_ready_for_maintenance": About(
        DPUNode, lambda dpf, name: dpf.mark_dpu_node_ready_for_maintenance(name), next_step="create_dpu_node"
    ),
    "snapshot": About(DPUNode, lambda dpf, name: dpf.snapshot(name), next_step="list()"),
    "update_dpu_deployment_bfb": About(
        DPUDeployment, lambda dpf, name: dpf.update_dpu_deployment_bfb(name, "bfb"), next_step="list()"
    ),
    "update_dpu_deployment_bfb, the BFB": About(
        BFB, lambda dpf, name: dpf.update_dpu_deployment_bfb("compute", name), next_step="list()"
    ),
    "update_dpu_deployment_configuration": About(
        DPUDeployment,
        lambda dpf, name: dpf.update_dpu_deployment_configuration(name, "flavor"),
        next_step="list()",
    ),
    "update_dpu_deployment_configuration, the DPUFlavor": About(
        DPUFlavor,
        lambda dpf, name: dpf.update_dpu_deployment_configuration("compute", name),
        next_step="list()",
    ),
    "upgrade": About(DPUDeployment, _upgrade, next_step="list()"),
    "rollback": About(
        DPUDeployment, lambda dpf, name: rollback(dpf, name, flavor="flavor"), next_step="list()"
    ),
    "host_discovered": About(DPUNode, lambda dpf, name: dpf.host_discovered(name, timeout=0.05), waits=True),
    "reprovision": About(
        DPUNode, lambda dpf, name: reprovision(dpf, name, reboot=reboot), next_step="provision()"
    ),
    "node.until": About(DPUNode, lambda dpf, name: dpf.node(name).until(ready, timeout=0.05), waits=True),
    "node.external_reboot": About(DPUNode, _ask, waits=True),
    "deployment.until": About(DPUDeployment, _accepted, waits=True),
}
"""Those of DPFClient, its handles and the flows that take the name of something that must be there; those that delete
have tests of their own."""


def told(error: BaseException) -> str:
    """The message and what was noted on it."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def named_by(error: DPFError, about: About) -> str:
    """The object that an error is about."""
    if about.waits:
        assert isinstance(error, WaitTimeout)
        return str(error).partition(":")[0]
    assert isinstance(error, NotFound)
    return error.object


each_method = pytest.mark.parametrize("about", METHODS.values(), ids=METHODS)


@each_method
async def test_a_name_that_is_not_there_is_named_with_where_to_look(backend: Backend, about: About) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        with pytest.raises((WaitTimeout, NotFound), match="no-such-thing") as refused:
            await about.call(site.dpf, "no-such-thing")

    assert named_by(refused.value, about) == f"{about.kind.KIND} no-such-thing"
    assert about.next_step in told(refused.value)


NO_NAMES = ("", "..", "Node-1", "a/b", "node_1", "-a", "a.", "ä", "a\n", "x" * 254)


@each_method
async def test_what_cannot_be_a_name_is_refused_before_anything_is_sent(
    backend: Backend, about: About
) -> None:
    async with backend.cluster() as site:
        site.server.faults.answer(500, times=1000)
        for name in NO_NAMES:
            # A guard: who sent something would ask for it again and again.
            with (
                anyio.fail_after(60),
                pytest.raises(UsageError, match=f"cannot be the name of a {about.kind.KIND}") as refused,
            ):
                await about.call(site.dpf, name)

            assert len(str(refused.value)) < 300
            assert str(refused.value).isprintable()


@each_method
async def test_the_name_of_another_kind_is_not_taken_for_this_one(backend: Backend, about: About) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(NODE, [DEVICE])
        await dpu_in(site, "Ready")
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        names = {DPU: "dpu-1", DPUDevice: "device-1", DPUNode: NODE}
        names.pop(about.kind, None)
        before = await _versions(site)

        for name in names.values():
            with pytest.raises((WaitTimeout, NotFound)) as refused:
                await about.call(site.dpf, name)
            assert named_by(refused.value, about) == f"{about.kind.KIND} {name}"

        assert await _versions(site) == before


async def _versions(site: Cluster[Server]) -> list[str]:
    kinds: tuple[type[Resource], ...] = (DPU, DPUDevice, DPUNode)
    return [
        obj.metadata.resource_version
        for kind in kinds
        for obj in (await site.dpf.resource(kind).list()).items
    ]


WRITES: dict[str, tuple[Callable[[DPFClient], Awaitable[Any]], str, str, str]] = {
    "create_dpu_node": (
        lambda dpf: dpf.create_dpu_node("node-2", []),
        "create",
        "dpunodes",
        "DPUNode node-2",
    ),
    "discover": (
        lambda dpf: discover(dpf, HostSpec(name="node-2", devices=(DEVICE,)), timeout=60),
        "create",
        "dpudevices",
        "DPUDevice device-1",
    ),
    "provision": (
        lambda dpf: provision(dpf, HostSpec(name="node-2", devices=(DEVICE,)), reboot=reboot, timeout=60),
        "create",
        "dpudevices",
        "DPUDevice device-1",
    ),
    "mark_dpu_node_rebooted": (
        lambda dpf: dpf.mark_dpu_node_rebooted(NODE),
        "patch",
        "dpunodes",
        f"DPUNode {NODE}",
    ),
    "mark_dpu_node_ready_for_maintenance": (
        lambda dpf: dpf.mark_dpu_node_ready_for_maintenance(NODE),
        "patch",
        "dpunodemaintenances",
        f"DPUNodeMaintenance {NODE}-hold",
    ),
    "reprovision_dpu": (lambda dpf: dpf.reprovision_dpu("dpu-1", timeout=60), "delete", "dpus", "DPU dpu-1"),
    "reprovision": (
        lambda dpf: reprovision(dpf, NODE, reboot=reboot, timeout=60),
        "delete",
        "dpus",
        "DPU dpu-1",
    ),
    "create_initialization_objects": (
        lambda dpf: dpf.create_initialization_objects(site_of()),
        "patch",
        "dpuservicetemplates",
        "DPUServiceTemplate dts",
    ),
}
"""The methods that write: with the verb and the resource that is in the way of each, and the object it is about."""

each_write = pytest.mark.parametrize(("call", "verb", "resource", "about"), WRITES.values(), ids=WRITES)


async def asking(site: Cluster[Server]) -> None:
    """A host with a DPU that is ready, which DPF wants to disturb and to reboot."""
    await site.create_node()
    await dpu_in(site, "Ready")
    await site.request_reboot()
    await site.hold()


@each_write
async def test_a_permission_that_is_missing_is_named_with_what_to_grant(
    backend: Backend, call: Callable[[DPFClient], Awaitable[Any]], verb: str, resource: str, about: str
) -> None:
    async with backend.cluster() as site:
        await asking(site)
        site.server.faults.deny(verb=verb, resource=resource)

        with pytest.raises(Forbidden, match=resource) as refused:
            await call(site.dpf)

    assert (refused.value.verb, refused.value.resource) == (verb, resource)
    assert "deploy/rbac.yaml" in str(refused.value)
    assert about in told(refused.value)


@each_write
async def test_a_server_that_fails_in_the_middle_is_told_with_the_object(
    backend: Backend, call: Callable[[DPFClient], Awaitable[Any]], verb: str, resource: str, about: str
) -> None:
    async with backend.cluster() as site:
        await asking(site)
        site.server.faults.answer(500, times=100, verb=verb, resource=resource)

        with pytest.raises(APIError, match=about) as refused:
            await call(site.dpf)

    assert refused.value.status == 500


@each_write
async def test_a_writer_that_was_first_is_told_or_made_good(
    backend: Backend, call: Callable[[DPFClient], Awaitable[Any]], verb: str, resource: str, about: str
) -> None:
    async with backend.cluster() as site:
        await asking(site)
        site.server.faults.answer(409, times=1000, verb=verb, resource=resource)

        with pytest.raises((Conflict, NotFound, AlreadyExists), match=about.split(maxsplit=1)[0]) as refused:
            await call(site.dpf)

    assert isinstance(refused.value, DPFError)
    assert about in told(refused.value)


# What is on its way out.


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda dpf: dpf.create_dpu_node(NODE, [DEVICE]), id="create_dpu_node"),
        pytest.param(lambda dpf: discover(dpf, HOST, timeout=60), id="discover"),
        pytest.param(lambda dpf: provision(dpf, HOST, reboot=reboot, timeout=60), id="provision"),
    ],
)
@pytest.mark.parametrize(("kind", "name"), [(DPUDevice, "device-1"), (DPUNode, NODE)])
async def test_what_is_being_deleted_is_not_registered_over(
    backend: Backend, call: Callable[[DPFClient], Awaitable[Any]], kind: type[Resource], name: str
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(NODE, [DEVICE])
        await _terminating(site, kind, name)

        with pytest.raises(AlreadyExists, match=f"{kind.KIND} {name} is being deleted: wait") as refused:
            await call(site.dpf)

    assert refused.value.terminating


@pytest.mark.parametrize(("kind", "name"), [(BFB, "bfb"), (DPUFlavor, "flavor"), (DPUDeployment, "compute")])
async def test_a_site_is_not_defined_over_what_is_being_deleted(
    backend: Backend, kind: type[Resource], name: str
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await _terminating(site, kind, name)

        with pytest.raises(AlreadyExists, match=f"{kind.KIND} {name}"):
            await site.dpf.create_initialization_objects(site_of())


async def test_a_dpu_that_is_being_deleted_is_neither_ready_nor_deleted_twice(backend: Backend) -> None:
    async with backend.cluster() as site:
        await asking(site)
        await _terminating(site, DPU, "dpu-1")

        assert not await site.dpf.is_dpu_ready("dpu-1")
        await times_out(lambda seconds: site.dpf.reprovision_dpu("dpu-1", timeout=seconds), "dpu-1")


async def _terminating(site: Cluster[Server], kind: type[Resource], name: str) -> None:
    await site.dpf.resource(kind).patch(name, FINALIZER)
    await site.dpf.resource(kind).delete(name)
