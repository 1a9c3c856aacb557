"""Invalid input and unexpected states: every method raises one error that names the object and the next step."""

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
from tests.integration.test_plain_calls import FINALIZER, dpu_in
from tests.integration.test_setup import site_of
from tests.support.cluster import NODE, Cluster, Server
from tests.support.timeouts import times_out

DEVICE = DeviceSpec(name="device-1", serial_number="MT1", bmc_ip="10.1.0.1")
HOST = HostSpec(name=NODE, devices=(DEVICE,))

Call = Callable[[DPFClient, str], Awaitable[Any]]  # Any: the result is not used


async def reboot(_: str) -> None:
    """Simulated hosts need no reboot."""


async def _upgrade(dpf: DPFClient, name: str) -> None:
    async def approve(_: HostUpgrade) -> bool:
        raise AssertionError("no host is to be upgraded")

    await upgrade(dpf, name, flavor="flavor", approve=approve, reboot=reboot)


async def _external_reboot(dpf: DPFClient, name: str) -> None:
    async with dpf.node(name).external_reboot(timeout=0.05):
        raise AssertionError("no reboot was requested")


async def _accepted(dpf: DPFClient, name: str) -> None:
    await dpf.deployment(name).until(accepted, timeout=0.05)


@dataclass(frozen=True)
class NamedCall:
    """A call with the name of an object.

    Attributes:
        kind: the kind of the object.
        call: calls a method with the name.
        waits: the method waits for an object that does not exist yet.
        next_step: a part of the advice in the error if no object has the name.
    """

    kind: type[Resource]
    call: Call
    waits: bool = False
    next_step: str = ""


METHODS = {
    "is_dpu_ready": NamedCall(DPU, lambda dpf, name: dpf.is_dpu_ready(name), next_step="dpu_of"),
    "reprovision_dpu": NamedCall(DPU, lambda dpf, name: dpf.reprovision_dpu(name), next_step="dpu_of"),
    "dpu.until": NamedCall(DPU, lambda dpf, name: dpf.dpu(name).until(ready, timeout=0.05), waits=True),
    "is_dpu_node_waiting_for_reboot": NamedCall(
        DPUNode, lambda dpf, name: dpf.is_dpu_node_waiting_for_reboot(name), next_step="create_dpu_node"
    ),
    "mark_dpu_node_rebooted": NamedCall(
        DPUNode, lambda dpf, name: dpf.mark_dpu_node_rebooted(name), next_step="create_dpu_node"
    ),
    "mark_dpu_node_ready_for_maintenance": NamedCall(
        DPUNode, lambda dpf, name: dpf.mark_dpu_node_ready_for_maintenance(name), next_step="create_dpu_node"
    ),
    "snapshot": NamedCall(DPUNode, lambda dpf, name: dpf.snapshot(name), next_step="list()"),
    "update_dpu_deployment_bfb": NamedCall(
        DPUDeployment, lambda dpf, name: dpf.update_dpu_deployment_bfb(name, "bfb"), next_step="list()"
    ),
    "update_dpu_deployment_bfb, the BFB": NamedCall(
        BFB, lambda dpf, name: dpf.update_dpu_deployment_bfb("compute", name), next_step="list()"
    ),
    "update_dpu_deployment_configuration": NamedCall(
        DPUDeployment,
        lambda dpf, name: dpf.update_dpu_deployment_configuration(name, "flavor"),
        next_step="list()",
    ),
    "update_dpu_deployment_configuration, the DPUFlavor": NamedCall(
        DPUFlavor,
        lambda dpf, name: dpf.update_dpu_deployment_configuration("compute", name),
        next_step="list()",
    ),
    "upgrade": NamedCall(DPUDeployment, _upgrade, next_step="list()"),
    "rollback": NamedCall(
        DPUDeployment, lambda dpf, name: rollback(dpf, name, flavor="flavor"), next_step="list()"
    ),
    "host_discovered": NamedCall(
        DPUNode, lambda dpf, name: dpf.host_discovered(name, timeout=0.05), waits=True
    ),
    "reprovision": NamedCall(
        DPUNode, lambda dpf, name: reprovision(dpf, name, reboot=reboot), next_step="provision()"
    ),
    "node.until": NamedCall(DPUNode, lambda dpf, name: dpf.node(name).until(ready, timeout=0.05), waits=True),
    "node.external_reboot": NamedCall(DPUNode, _external_reboot, waits=True),
    "deployment.until": NamedCall(DPUDeployment, _accepted, waits=True),
}
"""Methods of DPFClient and its handles, and flows, that take the name of an existing object; deletions have their own
tests."""


def text_of(error: BaseException) -> str:
    """The message and the notes of an error."""
    return "\n".join([str(error), *getattr(error, "__notes__", ())])


def named_by(error: DPFError, about: NamedCall) -> str:
    """The object that an error names."""
    if about.waits:
        assert isinstance(error, WaitTimeout)
        return str(error).partition(":")[0]
    assert isinstance(error, NotFound)
    return error.object


each_method = pytest.mark.parametrize("about", METHODS.values(), ids=METHODS)


@each_method
async def test_an_error_for_an_unknown_name_says_how_to_find_the_right_one(
    backend: Backend, about: NamedCall
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        with pytest.raises((WaitTimeout, NotFound), match="no-such-thing") as refused:
            await about.call(site.dpf, "no-such-thing")

    assert named_by(refused.value, about) == f"{about.kind.KIND} no-such-thing"
    assert about.next_step in text_of(refused.value)


INVALID_NAMES = ("", "..", "Node-1", "a/b", "node_1", "-a", "a.", "ä", "a\n", "x" * 254)


@each_method
async def test_an_invalid_name_is_rejected_without_a_request(backend: Backend, about: NamedCall) -> None:
    async with backend.cluster() as site:
        site.server.faults.answer(500, times=1000)
        for name in INVALID_NAMES:
            # A safeguard: a method that sends a request would retry it.
            with (
                anyio.fail_after(60),
                pytest.raises(UsageError, match=f"cannot be the name of a {about.kind.KIND}") as refused,
            ):
                await about.call(site.dpf, name)

            assert len(str(refused.value)) < 300
            assert str(refused.value).isprintable()


@each_method
async def test_the_name_of_an_object_of_another_kind_is_not_found(backend: Backend, about: NamedCall) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(NODE, [DEVICE])
        await dpu_in(site, "Ready")
        await site.dpf.create_initialization_objects(site_of())
        await site.dpf.resource(BFB).patch_status("bfb", {"status": {"phase": "Ready"}})
        names = {DPU: "dpu-1", DPUDevice: "device-1", DPUNode: NODE}
        names.pop(about.kind, None)
        before = await _resource_versions(site)

        for name in names.values():
            with pytest.raises((WaitTimeout, NotFound)) as refused:
                await about.call(site.dpf, name)
            assert named_by(refused.value, about) == f"{about.kind.KIND} {name}"

        assert await _resource_versions(site) == before


async def _resource_versions(site: Cluster[Server]) -> list[str]:
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
"""The methods that write, with the verb and resource of the write that fails, and the object that the error names."""

each_write = pytest.mark.parametrize(("call", "verb", "resource", "about"), WRITES.values(), ids=WRITES)


async def with_requests(site: Cluster[Server]) -> None:
    """A host with a Ready DPU, for which a hold and an external reboot are pending."""
    await site.create_node()
    await dpu_in(site, "Ready")
    await site.request_reboot()
    await site.hold()


@each_write
async def test_a_missing_permission_is_named_with_the_role_that_grants_it(
    backend: Backend, call: Callable[[DPFClient], Awaitable[Any]], verb: str, resource: str, about: str
) -> None:
    async with backend.cluster() as site:
        await with_requests(site)
        site.server.faults.deny(verb=verb, resource=resource)

        with pytest.raises(Forbidden, match=resource) as refused:
            await call(site.dpf)

    assert (refused.value.verb, refused.value.resource) == (verb, resource)
    assert "deploy/rbac.yaml" in str(refused.value)
    assert about in text_of(refused.value)


@each_write
async def test_a_server_error_during_a_write_names_the_object(
    backend: Backend, call: Callable[[DPFClient], Awaitable[Any]], verb: str, resource: str, about: str
) -> None:
    async with backend.cluster() as site:
        await with_requests(site)
        site.server.faults.answer(500, times=100, verb=verb, resource=resource)

        with pytest.raises(APIError, match=about) as refused:
            await call(site.dpf)

    assert refused.value.status == 500


@each_write
async def test_a_persistent_conflict_is_raised_with_the_object(
    backend: Backend, call: Callable[[DPFClient], Awaitable[Any]], verb: str, resource: str, about: str
) -> None:
    async with backend.cluster() as site:
        await with_requests(site)
        site.server.faults.answer(409, times=1000, verb=verb, resource=resource)

        with pytest.raises((Conflict, NotFound, AlreadyExists), match=about.split(maxsplit=1)[0]) as refused:
            await call(site.dpf)

    assert isinstance(refused.value, DPFError)
    assert about in text_of(refused.value)


# Objects that are being deleted.


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda dpf: dpf.create_dpu_node(NODE, [DEVICE]), id="create_dpu_node"),
        pytest.param(lambda dpf: discover(dpf, HOST, timeout=60), id="discover"),
        pytest.param(lambda dpf: provision(dpf, HOST, reboot=reboot, timeout=60), id="provision"),
    ],
)
@pytest.mark.parametrize(("kind", "name"), [(DPUDevice, "device-1"), (DPUNode, NODE)])
async def test_registration_rejects_an_object_that_is_being_deleted(
    backend: Backend, call: Callable[[DPFClient], Awaitable[Any]], kind: type[Resource], name: str
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_dpu_node(NODE, [DEVICE])
        await _terminating(site, kind, name)

        with pytest.raises(AlreadyExists, match=f"{kind.KIND} {name} is being deleted: wait") as refused:
            await call(site.dpf)

    assert refused.value.terminating


@pytest.mark.parametrize(("kind", "name"), [(BFB, "bfb"), (DPUFlavor, "flavor"), (DPUDeployment, "compute")])
async def test_applying_a_site_rejects_an_object_that_is_being_deleted(
    backend: Backend, kind: type[Resource], name: str
) -> None:
    async with backend.cluster() as site:
        await site.dpf.create_initialization_objects(site_of())
        await _terminating(site, kind, name)

        with pytest.raises(AlreadyExists, match=f"{kind.KIND} {name}"):
            await site.dpf.create_initialization_objects(site_of())


async def test_a_dpu_that_is_being_deleted_is_not_ready_and_not_deleted_twice(backend: Backend) -> None:
    async with backend.cluster() as site:
        await with_requests(site)
        await _terminating(site, DPU, "dpu-1")

        assert not await site.dpf.is_dpu_ready("dpu-1")
        await times_out(lambda seconds: site.dpf.reprovision_dpu("dpu-1", timeout=seconds), "dpu-1")


async def _terminating(site: Cluster[Server], kind: type[Resource], name: str) -> None:
    await site.dpf.resource(kind).patch(name, FINALIZER)
    await site.dpf.resource(kind).delete(name)
