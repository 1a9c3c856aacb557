"""Objects with unknown fields and values, and undecodable objects (G of the catalogue). Over sockets."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from dpf_async import DPUView, Undecodable
from dpf_async.errors import DecodeError, WaitError, WaitTimeout
from dpf_async.levels import external_reboot_required, ready
from dpf_async.models import DPU
from dpf_async.transitions import DPUAppeared, PhaseChanged, Transition
from dpf_async.watch import Added, Updated
from tests.support.event_lines import initial_lines, next_lines, open_stream
from tests.support.objects import Obj, condition, dpu, event, maintenance, node
from tests.support.scripted import Scripted, answering, status
from tests.support.virtual_time import virtual_time

EXPIRED = event("ERROR", status(410, "Expired"))


@pytest.mark.parametrize("phase", ["Untangle The Cables", "DMS Deployment", "", "ß" * 200])
@virtual_time
async def test_g1_g5_a_phase_of_another_release_is_reported_like_any_other_value(phase: str) -> None:
    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        await (await server.watch()).send(server.modified(dpu("a", 101, phase)))
        changed = await anext(stream)
        view = await dpf.dpu("a").view()

    assert isinstance(changed, Updated)
    assert changed.after.phase == changed.after.object.status.phase == view.phase == phase
    assert view.phase.known == (phase == "DMS Deployment")  # of v24.10, removed since
    assert not view.ready


@virtual_time
async def test_g2_unknown_fields_are_kept_when_an_object_is_read_and_written() -> None:
    strange: Obj = dpu("a", 101, "Ready", managedFields=[{"manager": "m"}])
    strange["spec"]["fromTheFuture"] = {"deep": [1, {"x": None}]}
    strange["status"]["conditions"][0]["severity"] = "Info"
    strange["extra"] = True

    async with open_stream(dpu("a", 10)) as (server, _, stream):
        await (await server.watch()).send(server.modified(strange))
        changed = await anext(stream)

    assert isinstance(changed, Updated)
    assert changed.after.object.to_wire() == strange


@virtual_time
async def test_g3_one_undecodable_object_does_not_affect_the_other_objects_of_a_list() -> None:
    objects = [dpu(f"dpu-{n}", n + 1) for n in range(100)]
    objects[42]["status"]["phase"] = {"not": "text"}

    async with Scripted(*objects) as server, server.client() as dpf, dpf.resource(DPU).watch() as stream:
        events = [await anext(stream) for _ in range(101)]
        watch = await server.watch()
        await watch.send(server.modified(dpu("dpu-1", 101)))
        after = await next_lines(stream, 1)
        (health,) = dpf.health.values()

    (bad,) = [one for one in events if isinstance(one, Undecodable)]
    assert (bad.kind, bad.name, bad.uid, bad.resource_version) == (DPU, "dpu-42", "uid-of-dpu-42", "43")
    assert "status.phase" in bad.error
    assert b'"not"' in bad.raw
    assert sum(isinstance(one, Added) for one in events) == 99
    assert after == ["dpu-1@101 updated (watch)"]
    assert (health.objects, health.unreadable) == (99, 1)


@virtual_time
async def test_g3_an_object_is_reported_when_it_becomes_undecodable_and_decodable_again() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        await watch.send(event("MODIFIED", dpu("a", 101) | {"spec": 7}))
        received = await next_lines(stream, 1)
        await watch.send(server.modified(dpu("a", 102)))
        received += await next_lines(stream, 1)
        await watch.end()
        again = await server.watch()

    assert received == ["a unreadable", "a@102 added (watch)"]
    assert again.query["resourceVersion"] == "102"


@virtual_time
async def test_g3_an_invalid_field_of_the_full_model_raises_when_the_model_is_decoded() -> None:
    odd = dpu("a", 101, "Ready")
    odd["status"]["addresses"] = "not a list"

    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        await (await server.watch()).send(server.modified(odd))
        changed = await anext(stream)
        view = await dpf.dpu("a").view()

    assert isinstance(changed, Updated)
    assert view.ready
    with pytest.raises(DecodeError, match=r"DPU a: status\.addresses: ") as failed:
        _ = changed.after.object
    assert (failed.value.kind, failed.value.name, failed.value.path) == ("DPU", "a", "status.addresses")


def without(*keys: str) -> Obj:
    obj = dpu("a", 101)
    for key in keys:
        del obj[key]
    return obj


def nulls() -> Obj:
    obj = dpu("a", 101, labels=None, annotations=None, finalizers=None)
    obj["status"] |= {"conditions": None, "phase": None, "observedGeneration": None}
    return obj


@pytest.mark.parametrize(
    "bare", [without("status"), without("spec", "status"), nulls(), dpu("a", 101) | {"status": None}]
)
@virtual_time
async def test_g4_absent_and_null_fields_are_empty(bare: Obj) -> None:
    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        await (await server.watch()).send(server.modified(bare))
        changed = await anext(stream)
        view = await dpf.dpu("a").view()

    assert isinstance(changed, Updated)
    after = changed.after
    assert (after.phase, after.conditions, after.labels, after.annotations) == ("", (), {}, {})
    assert after.current
    assert not view.ready
    assert not view.failed


@virtual_time
async def test_g7_the_last_of_two_equal_conditions_is_used_and_an_unknown_status_is_not_true() -> None:
    twice = [condition("Ready", "True"), condition("Ready", "False")]
    strange = [condition("Ready", "Perhaps")]

    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 101, "Ready", conditions=twice)))
        await next_lines(stream, 1)
        first = await dpf.dpu("a").view()
        await watch.send(server.modified(dpu("a", 102, "Ready", conditions=strange)))
        await next_lines(stream, 1)
        second = await dpf.dpu("a").view()

    assert not first.ready
    assert not second.ready
    assert first.state.condition("Ready") == first.state.conditions[1]


@pytest.mark.parametrize(
    "time",
    ["2026-06-01T10:00:00.123456Z", "2026-06-01T10:00:00+00:00", "9999-12-31T23:59:59Z", "tomorrow", ""],
)
@virtual_time
async def test_g8_a_time_in_any_format_does_not_make_an_object_undecodable(time: str) -> None:
    ready: dict[str, Any] = condition("Ready", "True") | {"lastTransitionTime": time}

    async with open_stream() as (server, _, stream):
        strange = dpu("a", 101, "Ready", conditions=[ready], creationTimestamp=time)
        await (await server.watch()).send(server.added(strange))
        received = await anext(stream)

    assert isinstance(received, Added)
    assert received.obj.conditions[0].last_transition_time == time
    assert received.obj.object.metadata.creation_timestamp == time


@virtual_time
async def test_g10_an_object_with_200_kb_of_managed_fields_is_reported() -> None:
    fields = [{"manager": f"m{n}", "fieldsV1": {"f:x": {}}} for n in range(5_000)]

    async with open_stream() as (server, _, stream):
        await (await server.watch()).send(server.added(dpu("a", 101, managedFields=fields)))
        received = await next_lines(stream, 1)

    assert received == ["a@101 added (watch)"]


@virtual_time
async def test_g3_an_object_that_cannot_be_decoded_is_neither_deleted_nor_replaced() -> None:
    gone: list[str] = []
    ended: list[object] = []

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:

        async def wait_until_gone() -> None:
            await dpf.dpu("a").until_gone()
            gone.append("a")

        async def wait_until_ready() -> None:
            try:
                ended.append(await dpf.dpu("a").until(ready))
            except WaitError as error:
                ended.append(error)

        tasks.start_soon(wait_until_gone)
        tasks.start_soon(wait_until_ready)
        watch = await server.watch()
        await anyio.sleep(1)
        await watch.send(server.modified(dpu("a", 101) | {"status": {"phase": 7}}))
        await anyio.sleep(1)
        gone_while_unreadable, ended_while_unreadable = list(gone), list(ended)
        await watch.send(server.modified(dpu("a", 102, "Ready")))
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()

    assert gone_while_unreadable == []
    assert ended_while_unreadable == []
    assert [type(outcome) for outcome in ended] == [DPUView]


@virtual_time
async def test_g3_a_node_is_not_ready_by_the_last_decodable_state_of_a_dpu() -> None:
    host = node("node-1", 12, devices=["device-of-a"])

    async with Scripted(dpu("a", 10, "Ready"), host) as server, server.client() as dpf:
        before = await dpf.node("node-1").view()
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            await (await server.watch()).send(server.modified(dpu("a", 101) | {"status": {"phase": 7}}))
            received = await next_lines(stream, 1)
            after = await dpf.node("node-1").view()

    assert before.ready
    assert received == ["a unreadable"]
    assert not after.ready


def undecodable(obj: Obj) -> Obj:
    """The same object with a status of a wrong type."""
    return obj | {"status": {"phase": 7}}


@virtual_time
async def test_g3_the_deletion_of_an_object_that_cannot_be_decoded_ends_the_wait_for_it() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:
        await dpf.dpu("a").view()
        watch = await server.watch()
        await watch.send(server.modified(undecodable(dpu("a", 101))))
        await anyio.sleep(1)
        with pytest.raises(DecodeError, match="DPU a cannot be decoded"):
            await dpf.dpu("a").view()
        with pytest.raises(WaitTimeout, match="it exists but cannot be decoded"):
            await dpf.dpu("a").until_gone(timeout=0)
        tasks.start_soon(watch.send, event("DELETED", undecodable(dpu("a", 102))))
        await dpf.dpu("a").until_gone()
        state = await dpf.dpu("a").find()

    assert state is None


@virtual_time
async def test_g3_an_object_yields_no_transition_while_it_cannot_be_decoded() -> None:
    host = node("node-1", 12, devices=["device-of-a"])

    async with (
        Scripted(dpu("a", 10), host) as server,
        server.client() as dpf,
        dpf.dpu("a").transitions() as of_dpu,
        dpf.node("node-1").transitions() as of_node,
    ):
        received: list[Transition] = []
        while not any(isinstance(one, DPUAppeared) for one in received):
            received.append(await anext(of_node))
        received.append(await anext(of_dpu))
        with anyio.move_on_after(1):
            received += [one async for one in of_node]
        watch = await server.watch("dpus")
        await watch.send(server.modified(undecodable(dpu("a", 101))))
        with anyio.move_on_after(5):
            pytest.fail(f"{await anext(of_node)} was yielded")
        with anyio.move_on_after(5):
            pytest.fail(f"{await anext(of_dpu)} was yielded")
        await watch.send(server.modified(dpu("a", 102, "Ready")))
        received = [await anext(of_dpu), await anext(of_node)]

    for one in received:
        assert isinstance(one, PhaseChanged)
        assert (one.before, one.after, one.contiguous) == ("Pending", "Ready", False)


@virtual_time
async def test_g3_a_node_that_cannot_be_decoded_exists() -> None:
    ended: list[object] = []
    host = node("node-1", 12)

    async with Scripted(host) as server, server.client() as dpf, anyio.create_task_group() as tasks:

        async def reboot() -> None:
            async with dpf.node("node-1").external_reboot() as request:
                ended.append(request.node)

        await dpf.node("node-1").view()
        server.on_other = answering(200, node("node-1", 103))
        watch = await server.watch("dpunodes")
        tasks.start_soon(reboot)
        await anyio.sleep(1)
        await watch.send(server.modified(undecodable(node("node-1", 101)) | {"spec": 7}))
        await anyio.sleep(1)
        ended_while_unreadable = list(ended)
        view = await dpf.node("node-1").view()
        with pytest.raises(WaitTimeout, match="DPUNode node-1 cannot be decoded"):
            await dpf.node("node-1").until(external_reboot_required, timeout=0)
        await watch.send(server.modified(node("node-1", 102, reboot=True)))

    assert view.exists
    assert view.uid == "uid-of-node-1"
    assert ended_while_unreadable == []
    assert ended == ["node-1"]


@virtual_time
async def test_g3_a_hold_that_cannot_be_decoded_for_a_moment_is_released() -> None:
    objects = [node("node-1", 12), maintenance("hold", 13)]

    async with Scripted(*objects) as server, server.client() as dpf:
        server.on_other = answering(200, maintenance("hold", 103))
        async with dpf.node("node-1").node_effect_hold():
            watch = await server.watch("dpunodemaintenances")
            await watch.send(server.modified(maintenance("hold", 101) | {"spec": 7}))
            await anyio.sleep(1)
            unreadable = (await dpf.node("node-1").view()).unreadable
        written = [request for request in server.requests if request.method == "PATCH"]

    assert [obj.name for obj in unreadable] == ["hold"]
    assert len(written) == 1
