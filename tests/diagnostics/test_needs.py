"""NEEDS lists exactly the permissions that operations use: their requests are recorded and compared with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import anyio
import pytest
from anyio.abc import TaskStatus

from dpf_async import DPFClient, HostSpec, Permission, discover, provision, reprovision, rollback, upgrade
from dpf_async._api.resource import APPLY_PATCH
from dpf_async._base.tasks import background_tasks
from dpf_async._diagnostics.permissions import NEEDS
from dpf_async._handshakes.claims import lease_name
from dpf_async.errors import DPUFailed, NotFound
from dpf_async.models import BFB, DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Lease, known
from dpf_async.sim.simulator import Simulator
from tests.apiserver.operations import (
    CALLS,
    CLAIMS,
    GROUP,
    HOST,
    HOSTS,
    OTHER_BFB,
    OTHER_FLAVOR,
    SITE,
    answer_reboot,
    approve,
    claimed,
    defined,
    installed,
    nothing,
    reboot,
    registered,
)
from tests.apiserver.test_permissions import run_every_operation
from tests.support.cluster import cluster
from tests.support.recording import Recorder, permissions_of

GUARD: Final = 60.0
"""Seconds after which a wait of these tests fails."""

UNRECORDED: Final[Mapping[str, frozenset[tuple[str, str]]]] = {
    # Another replica created the object after the plan; test_replicas_that_start_together_create_each_object_once.
    "create_initialization_objects": frozenset({("get", "bfbs"), ("get", "dpuflavors")}),
    # The hold was released before the DPU requested it, and is withdrawn; tests/integration/test_releases.py.
    "provision": frozenset({("get", "dpunodemaintenances")}),
    "upgrade": frozenset({("get", "dpunodemaintenances")}),
}
"""Permissions that only races and failures need, which these tests do not reproduce."""


def labelled(host: HostSpec, value: str) -> HostSpec:
    """The host with another label on its DPUNode and on its DPUDevices."""
    devices = [device.model_copy(update={"labels": {"slot": value}}) for device in host.devices]
    return host.model_copy(update={"labels": {**host.labels, "rack": value}, "devices": devices})


# Cases that the journey of a simulated site does not have.


async def failed_host(sim: Simulator) -> HostSpec:
    """A host whose DPU failed after the hold was released; its services still request the maintenance."""
    host = sim.host()
    sim.trouble("install_failed")
    async with sim.client() as dpf:
        with pytest.raises(DPUFailed):
            await provision(dpf, host, reboot=reboot, timeout=GUARD)
    sim.repair()
    await sim.settled()
    return host


async def without_label(sim: Simulator) -> None:
    """Remove the label by which a DPU names its DPUDeployment, so that it is found through its DPUSet."""
    async with sim.client() as dpf:
        for dpu in (await dpf.resource(DPU).list()).items:
            labels = {known.OWNED_BY_DPUDEPLOYMENT_LABEL: None}
            await dpf.resource(DPU).patch(dpu.name, {"metadata": {"labels": labels}})


async def repetitions(sim: Simulator, client: Callable[[str], DPFClient]) -> None:
    """Operations on hosts that are already registered, or that failed."""
    async with sim.client() as admin:
        await admin.create_initialization_objects(SITE, bmc_password="secret")
        await admin.site_accepted(SITE, timeout=GUARD)
    host = sim.host()
    await discover(client("discover"), host, timeout=GUARD)
    await discover(client("discover"), labelled(host, "2"), timeout=GUARD)
    await provision(client("provision"), labelled(host, "3"), reboot=reboot, timeout=GUARD)
    await without_label(sim)
    bfb, flavor = OTHER_BFB, OTHER_FLAVOR
    await upgrade(
        client("upgrade"), GROUP, bfb=bfb, flavor=flavor, approve=approve, reboot=reboot, timeout=GUARD
    )
    await without_label(sim)
    await rollback(client("rollback"), GROUP, timeout=GUARD)

    failed = await failed_host(sim)
    await reprovision(client("reprovision"), failed.name, reboot=reboot, timeout=GUARD)
    failed = await failed_host(sim)
    async with sim.client() as dpf:
        (dpu,) = (await dpf.node(failed.name).view()).dpus
    await client("reprovision_dpu").reprovision_dpu(dpu.name, timeout=GUARD)
    failed = await failed_host(sim)
    await client("delete_dpu").delete_dpu(failed.devices[0].name, timeout=GUARD)
    await answer_reboot(client("claims"), (await sim.node_waiting_for_external_reboot()).name)


REPEATED: Final = (
    *("discover", "provision", "upgrade", "rollback", "reprovision", "reprovision_dpu", "delete_dpu"),
    "claims",
)
"""The operations of `repetitions`."""


Case = Callable[[DPFClient, DPFClient, Recorder], Awaitable[object]]
"""Runs an operation with the first client; the second one makes changes that an administrator or the operator would."""


def called(operation: str) -> Case:
    return lambda dpf, _admin, _recorder: CALLS[operation](dpf, HOSTS)


async def mark_without_hold(dpf: DPFClient, _admin: DPFClient, _recorder: Recorder) -> None:
    with pytest.raises(NotFound):
        await dpf.mark_dpu_node_ready_for_maintenance(HOST.name)


async def wait_for_a_claim(dpf: DPFClient, admin: DPFClient, recorder: Recorder) -> None:
    async def claim() -> None:
        await CALLS["claims"](dpf, HOSTS)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(claim)
        await recorder.until_sent("claims", "watch", "leases")
        await admin.resource(Lease).delete(lease_name(HOST.name))


async def with_finalizers(admin: DPFClient) -> None:
    """The host of `registered`, with the finalizers and requestors of a running operator."""
    await registered(admin)
    for kind, name, finalizer in (
        (DPUNode, HOST.name, known.DPUNODE_FINALIZER),
        (DPUDevice, HOST.devices[0].name, known.DPUDEVICE_FINALIZER),
        (DPUNodeMaintenance, "hold", known.DPUNODEMAINTENANCE_FINALIZER),
    ):
        await admin.resource(kind).patch(name, {"metadata": {"finalizers": [finalizer]}})
    await admin.resource(DPUNodeMaintenance).patch("hold", {"spec": {"requestor": [HOSTS.dpu, "service"]}})


async def with_a_site(admin: DPFClient) -> None:
    """The host of `registered` in a site; its DPU does not name its DPUDeployment."""
    await defined(admin)
    await registered(admin)
    await admin.resource(BFB).patch_status(OTHER_BFB, {"status": {"phase": "Ready"}})


async def orphaned(admin: DPFClient) -> None:
    """The objects of `registered` after the DPUNode was deleted, when only the DPUNodeMaintenance has requestors."""
    await registered(admin)
    await admin.resource(DPU).patch(HOSTS.dpu, {"metadata": {"finalizers": None}})
    await admin.resource(DPUNode).delete(HOST.name)


CASES: Final[tuple[tuple[str, Callable[[DPFClient], Awaitable[None]], Case], ...]] = (
    ("create_initialization_objects", installed, called("create_initialization_objects")),
    ("create_dpu_node", registered, called("create_dpu_node")),
    ("verify_labels", registered, lambda dpf, _a, _r: dpf.verify_labels(labelled(HOST, "9"), repair=True)),
    ("mark_dpu_node_ready_for_maintenance", nothing, mark_without_hold),
    ("outdated_dpus", with_a_site, called("outdated_dpus")),
    ("update_dpu_deployment_bfb", with_a_site, called("update_dpu_deployment_bfb")),
    ("update_dpu_deployment_configuration", with_a_site, called("update_dpu_deployment_configuration")),
    ("claims", claimed, wait_for_a_claim),
    ("force_delete_dpu", with_finalizers, called("force_delete_dpu")),
    ("force_delete_dpu_node", with_finalizers, called("force_delete_dpu_node")),
    ("delete_dpu", orphaned, called("delete_dpu")),
    ("force_delete_dpu", orphaned, called("force_delete_dpu")),
)
"""Operations in situations of a cluster without an operator."""


def is_granted(permission: Permission, operation: str) -> bool:
    """Whether NEEDS lists the permission for the operation, for any object or for this one."""
    anything = Permission(permission.group, permission.resource, permission.verb)
    return not {permission, anything}.isdisjoint(NEEDS[operation])


def is_used(permission: Permission, sent: set[Permission]) -> bool:
    """Whether a request required the permission. A reflector may end between its list and its watch."""
    verbs = {permission.verb, "list"} if permission.verb == "watch" else {permission.verb}
    return any(
        (one.group, one.resource) == (permission.group, permission.resource)
        and one.verb in verbs
        and permission.name in ("", one.name)
        for one in sent
    )


@asynccontextmanager
async def recorded_site(
    recorder: Recorder, operations: Iterable[str]
) -> AsyncIterator[tuple[Simulator, Callable[[str], DPFClient]]]:
    """A simulated site, and a function that returns a recorded client for each operation."""
    clients: dict[str, DPFClient] = {}
    ended = {operation: anyio.Event() for operation in operations}

    async def run_client(operation: str, *, task_status: TaskStatus[None]) -> None:
        async with sim.client(claims=CLAIMS if operation == "claims" else None) as dpf:
            clients[operation] = recorder.observe(operation, dpf)
            task_status.started()
            await ended[operation].wait()

    def client(operation: str) -> DPFClient:
        # The clients of earlier operations are closed, since their watches cost time; "node" is used throughout.
        for other in clients.keys() - {operation, "node"}:
            if other in used:
                ended[other].set()
        used.add(operation)
        return clients[operation]

    used: set[str] = set()
    async with Simulator() as sim, background_tasks() as tasks:
        for operation in ended:
            await tasks.start(run_client, operation)
        yield sim, client


async def test_needs_lists_exactly_the_permissions_that_operations_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = Recorder(monkeypatch)
    async with recorded_site(recorder, NEEDS) as (sim, client):
        await run_every_operation(sim, client)
    async with recorded_site(recorder, REPEATED) as (sim, client):
        await repetitions(sim, client)
    for operation, given, case in CASES:
        async with (
            cluster() as admin,
            admin.another_client(claims=CLAIMS if operation == "claims" else None) as dpf,
        ):
            await given(admin.dpf)
            with anyio.fail_after(GUARD):
                await case(recorder.observe(operation, dpf), admin.dpf, recorder)

    missing = [
        f"{operation}: {permission}"
        for operation, sent in recorder.sent.items()
        for permission in sorted(sent)
        if not is_granted(permission, operation)
    ]
    unused = [
        f"{operation}: {permission}"
        for operation, needs in NEEDS.items()
        for permission in sorted(needs)
        if (permission.verb, permission.resource) not in UNRECORDED.get(operation, ())
        and not is_used(permission, recorder.sent[operation])
    ]
    assert not missing, f"sent, and not in NEEDS: {'; '.join(missing)}"
    assert not unused, f"in NEEDS, and never sent: {'; '.join(unused)}"


def test_only_listed_permissions_are_exempt_from_recording() -> None:
    for operation, exempt in UNRECORDED.items():
        assert exempt <= {(permission.verb, permission.resource) for permission in NEEDS[operation]}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (("GET", "/apis/a.b/v1/namespaces/n/dpus"), {Permission("a.b", "dpus", "list")}),
        (("GET", "/apis/a.b/v1/namespaces/n/dpus/x"), {Permission("a.b", "dpus", "get", "x")}),
        (("POST", "/api/v1/namespaces/n/secrets"), {Permission("", "secrets", "create")}),
        (("DELETE", "/api/v1/namespaces/n/secrets"), {Permission("", "secrets", "deletecollection")}),
        (
            ("PATCH", "/apis/a.b/v1/namespaces/n/dpus/x/status"),
            {Permission("a.b", "dpus/status", "patch", "x")},
        ),
        (
            ("PATCH", "/api/v1/namespaces/n/secrets/x", APPLY_PATCH),
            {Permission("", "secrets", "patch", "x"), Permission("", "secrets", "create", "x")},
        ),
        (("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"), set()),
    ],
)
def test_a_request_is_recorded_with_the_permissions_that_it_requires(
    request_: tuple[str, ...], expected: set[Permission]
) -> None:
    assert permissions_of(*request_) == expected
