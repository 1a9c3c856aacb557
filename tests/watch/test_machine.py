"""The state machine of list and watch, in virtual time.

The ids in the names are those of the catalogue of test cases that the watch was designed against.
"""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from dpf_async._watch.machine import (
    ApplyList,
    Cancel,
    Checked,
    CheckEpoch,
    Collected,
    Ended,
    Failed,
    Fault,
    FaultKind,
    GiveUp,
    Input,
    Interrupted,
    Opened,
    OpenWatch,
    ReadList,
    Start,
    State,
    Ticked,
    applied,
)
from dpf_async._watch.policy import WatchPolicy
from tests.watch.virtual import BROKEN, EXPIRED, UNAVAILABLE, Requests, Virtual, healthy


def watching(**changes: object) -> Virtual:
    """A machine whose watch is open."""
    virtual = Virtual(healthy, **changes)  # type: ignore[arg-type]
    virtual.start()
    virtual.run(1)
    assert virtual.machine.state is State.WATCHING
    virtual.effects.clear()
    return virtual


def current_watch(virtual: Virtual) -> int:
    connection = virtual.machine._current
    assert connection is not None
    return connection


def test_the_list_is_read_first_and_the_watch_begins_at_its_version() -> None:
    virtual = Virtual(healthy)

    virtual.start()
    virtual.run(1)

    kinds = [type(effect) for _, effect in virtual.effects]
    assert kinds == [ReadList, ApplyList, OpenWatch]
    assert [effect.resource_version for _, effect in virtual.effects if isinstance(effect, OpenWatch)] == [
        "100"
    ]


def test_k1_an_hour_of_permanent_failure_follows_the_backoff() -> None:
    def down(request: Requests, now: float) -> Input:
        return Failed(request.connection, BROKEN)

    virtual = Virtual(down)

    virtual.start()
    virtual.run(3600)

    attempts = virtual.times(ReadList)
    waits = [after - before - 0.01 for before, after in pairwise(attempts)]
    assert 200 <= len(attempts) <= 290  # 15 s on average: full jitter below a cap of 30
    assert all(wait <= min(30.0, 0.8 * 2**n) + 1e-6 for n, wait in enumerate(waits))
    assert max(waits) > 25


class Longest(Random):
    def uniform(self, a: float, b: float) -> float:
        return b


def test_k6_errors_of_all_kinds_share_one_backoff_which_connecting_does_not_reset() -> None:
    virtual = Virtual(healthy, jitter=Longest())
    virtual.start()

    waits = []
    for fault in [EXPIRED, UNAVAILABLE, BROKEN, EXPIRED, UNAVAILABLE, BROKEN, EXPIRED, UNAVAILABLE]:
        while virtual.machine._opened_at is None:
            virtual.run(0.1)
        failed_at = virtual.now
        virtual.feed(Failed(current_watch(virtual), fault))
        assert virtual.machine.wake_at is not None
        waits.append(virtual.machine.wake_at - failed_at)

    assert waits == pytest.approx([min(30.0, 0.8 * 2**n) for n in range(8)])


def test_k2_two_minutes_of_watching_reset_the_backoff() -> None:
    virtual = watching(jitter=Longest())
    virtual.machine._backoff.attempt = 6

    virtual.run(121)
    virtual.feed(Failed(current_watch(virtual), BROKEN))

    assert virtual.machine.wake_at == pytest.approx(virtual.now + 0.8)


@pytest.mark.parametrize("fault", [UNAVAILABLE, Fault(FaultKind.THROTTLED, "slow down", 3.0)])
def test_c4_c7_a_watch_on_an_unavailable_server_resumes_at_the_same_version_without_a_list(
    fault: Fault,
) -> None:
    virtual = watching()
    applied(virtual.machine, "117")

    virtual.feed(Failed(current_watch(virtual), fault))
    paused_at = virtual.now
    virtual.run(10)

    assert virtual.effects_of(ReadList) == []
    assert virtual.effects_of(CheckEpoch) == []
    (reopened,) = virtual.effects_of(OpenWatch)
    assert isinstance(reopened, OpenWatch)
    assert reopened.resource_version == "117"
    (at,) = virtual.times(OpenWatch)
    assert fault.retry_after <= at - paused_at <= fault.retry_after + 0.8 + 1e-6


def test_c1_c2_an_expired_version_causes_a_relist() -> None:
    virtual = watching()

    virtual.feed(Failed(current_watch(virtual), EXPIRED))
    virtual.run(2)

    assert [type(effect) for _, effect in virtual.effects] == [Interrupted, ReadList, ApplyList, OpenWatch]


def test_c3_versions_that_expire_right_after_each_list_are_retried_with_backoff() -> None:
    def always_expired(request: Requests, now: float) -> Input | None:
        return (
            Failed(request.connection, EXPIRED) if isinstance(request, OpenWatch) else healthy(request, now)
        )

    virtual = Virtual(always_expired, jitter=Longest())

    virtual.start()
    virtual.run(600)

    lists = virtual.times(ReadList)
    waits = [after - before for before, after in pairwise(lists)]
    assert waits[:6] == pytest.approx([min(30.0, 0.8 * 2**n) for n in range(6)], abs=0.1)
    assert len(lists) <= 6 + 600 / 30 + 1


def test_c16_a_server_that_ends_every_watch_at_once_receives_at_most_ten_requests_a_minute() -> None:
    def ends_at_once(request: Requests, now: float) -> Input | None:
        return Ended(request.connection) if isinstance(request, OpenWatch) else healthy(request, now)

    virtual = Virtual(ends_at_once)
    virtual.start()
    virtual.run(60)
    virtual.effects.clear()

    virtual.run(3600)

    assert len(virtual.requests) <= 10 * 60
    assert virtual.effects_of(ReadList) == []


def test_c17_watches_that_end_after_one_event_make_progress_at_a_bounded_rate() -> None:
    version = 100

    def one_event_each(request: Requests, now: float) -> Input | None:
        nonlocal version
        if isinstance(request, OpenWatch):
            assert request.resource_version == str(version)
            version += 1
            applied(virtual.machine, str(version))
            return Ended(request.connection)
        return healthy(request, now)

    virtual = Virtual(one_event_each)
    virtual.start()
    virtual.run(3600)

    assert 100 < version < 100 + 10 * 60


def test_b10_a_stream_that_is_not_kubernetes_causes_a_relist_after_a_pause() -> None:
    virtual = watching(jitter=Longest())

    effects = virtual.feed(Failed(current_watch(virtual), Fault(FaultKind.MALFORMED, "not JSON")))

    assert [type(effect) for effect in effects] == [Interrupted]
    assert virtual.machine.state is State.PAUSED
    virtual.run(2)
    assert len(virtual.effects_of(ReadList)) == 1


def test_d1_a_broken_connection_is_replaced_within_the_first_backoff_after_an_epoch_check() -> None:
    virtual = watching()
    broke_at = virtual.now

    virtual.feed(Failed(current_watch(virtual), BROKEN))
    virtual.run(2)

    assert [type(effect) for _, effect in virtual.effects] == [CheckEpoch, OpenWatch]
    assert virtual.times(CheckEpoch)[0] - broke_at <= 0.8


def test_d4_a_silent_watch_is_cancelled_after_its_replacement_was_opened() -> None:
    virtual = watching(policy=WatchPolicy(silence=65.0, rotation=(1000.0, 1000.0)))
    silent_since = virtual.now

    virtual.run(70)

    kinds = [type(effect) for _, effect in virtual.effects]
    assert kinds == [OpenWatch, Cancel]
    assert virtual.times(OpenWatch)[0] - silent_since <= 65.0 + 1e-6
    assert virtual.machine.fault is None


def test_d4_a_silent_watch_is_kept_while_its_replacement_fails() -> None:
    answers: list[Input] = []

    def refuses_once(request: Requests, now: float) -> Input | None:
        if isinstance(request, OpenWatch) and answers:
            answers.pop()
            return Failed(request.connection, BROKEN)
        return healthy(request, now)

    virtual = Virtual(refuses_once, policy=WatchPolicy(rotation=(1000.0, 1000.0)))
    virtual.start()
    virtual.run(1)
    virtual.effects.clear()
    answers.append(Start())

    virtual.run(105)

    kinds = [type(effect) for _, effect in virtual.effects]
    # And an audit, since the server could not be reached.
    assert kinds[:5] == [OpenWatch, OpenWatch, Cancel, ReadList, ApplyList]
    assert virtual.times(ReadList)[0] - virtual.times(OpenWatch)[1] <= WatchPolicy().backoff_cap


def test_each_byte_restarts_the_silence_bound() -> None:
    virtual = watching(policy=WatchPolicy(silence=65.0, rotation=(1000.0, 1000.0)))

    for _ in range(10):
        virtual.run(60)
        virtual.last_byte_at = virtual.now

    assert virtual.effects == [] or [type(effect) for _, effect in virtual.effects] == [ReadList, ApplyList]


def test_d13_a_healthy_idle_watch_rotates_for_ten_minutes_without_a_list_or_an_interruption() -> None:
    virtual = watching(policy=WatchPolicy(silence=1e9, audit=1e9))

    virtual.run(600)

    kinds = [type(effect) for _, effect in virtual.effects]
    assert kinds == [OpenWatch, Cancel] * (len(kinds) // 2)
    assert 2 <= len(kinds) // 2 <= 3


def test_d14_the_replacement_begins_at_the_applied_version_and_then_the_old_watch_is_cancelled() -> None:
    virtual = watching(policy=WatchPolicy(silence=1e9, audit=1e9))
    old = current_watch(virtual)
    applied(virtual.machine, "140")

    virtual.run(231)

    opened, dropped = (effect for _, effect in virtual.effects)
    assert isinstance(opened, OpenWatch)
    assert opened.resource_version == "140"
    assert dropped == Cancel(old)
    assert virtual.machine.is_active(opened.connection)


def test_a_watch_that_fails_while_its_replacement_opens_causes_no_other_request() -> None:
    def slow(request: Requests, now: float) -> Input | None:
        return None if isinstance(request, OpenWatch) and now > 1010 else healthy(request, now)

    virtual = Virtual(slow, policy=WatchPolicy(audit=1e9))
    virtual.start()
    virtual.run(1)
    old = current_watch(virtual)
    virtual.effects.clear()
    virtual.run(66)
    ((_, opening),) = virtual.effects
    assert isinstance(opening, OpenWatch)

    effects = virtual.feed(Failed(old, BROKEN))
    virtual.feed(Opened(opening.connection))

    assert effects == []
    assert virtual.machine.fault is None
    assert virtual.machine._current == opening.connection


def test_a4_a_list_with_an_expired_page_is_read_again_without_pages() -> None:
    def first_list_expires(request: Requests, now: float) -> Input | None:
        if isinstance(request, ReadList) and request.paged:
            return Failed(request.connection, EXPIRED)
        return healthy(request, now)

    virtual = Virtual(first_list_expires)

    virtual.start()
    virtual.run(1)

    lists = virtual.effects_of(ReadList)
    assert [effect.paged for effect in lists if isinstance(effect, ReadList)] == [True, False]
    assert virtual.machine.state is State.WATCHING


def test_a5_a_list_that_expires_even_without_pages_is_retried_with_backoff() -> None:
    def lists_expire(request: Requests, now: float) -> Input | None:
        return Failed(request.connection, EXPIRED) if isinstance(request, ReadList) else healthy(request, now)

    virtual = Virtual(lists_expire)

    virtual.start()
    virtual.run(600)

    assert len(virtual.effects_of(ReadList)) <= 60


def test_a11_a_list_older_than_the_cache_is_not_applied_and_read_again() -> None:
    lists = iter(["90", "100"])

    def lagging_replica(request: Requests, now: float) -> Input | None:
        if isinstance(request, ReadList):
            version = next(lists)
            return Collected(request.connection, version, older=version == "90")
        return healthy(request, now)

    virtual = watching()
    virtual._server = lagging_replica

    virtual.feed(Failed(current_watch(virtual), EXPIRED))
    virtual.run(5)

    applied_lists = [effect for effect in virtual.effects_of(ApplyList) if isinstance(effect, ApplyList)]
    assert len(virtual.effects_of(ReadList)) == 2
    assert [one.rewound for one in applied_lists] == [False]
    assert virtual.machine.resume == "100"


def test_e1_an_older_list_is_applied_as_a_rewind_when_a_second_one_confirms_it() -> None:
    def restored(request: Requests, now: float) -> Input | None:
        match request:
            case ReadList(connection):
                return Collected(connection, "50", older=True)
            case CheckEpoch(connection):
                return Checked(connection, "50")
            case OpenWatch(connection):
                return Opened(connection)

    virtual = watching()
    applied(virtual.machine, "150")
    virtual._server = restored

    virtual.feed(Failed(current_watch(virtual), BROKEN))
    virtual.run(10)

    (applied_lists,) = virtual.effects_of(ApplyList)
    assert isinstance(applied_lists, ApplyList)
    assert applied_lists.rewound
    assert virtual.machine.resume == "50"
    assert virtual.machine.state is State.WATCHING


def test_e7_a_bookmark_alone_moves_the_version_that_is_resumed() -> None:
    virtual = watching()

    applied(virtual.machine, "200")
    virtual.feed(Ended(current_watch(virtual)))
    virtual.run(2)

    (reopened,) = virtual.effects_of(OpenWatch)
    assert isinstance(reopened, OpenWatch)
    assert reopened.resource_version == "200"


def test_e8_e13_an_older_version_does_not_move_the_version_that_is_resumed_back() -> None:
    virtual = watching()

    for version in ("105", "103", "104"):
        applied(virtual.machine, version)

    assert virtual.machine.resume == "105"


def test_an_audit_reads_a_list_about_every_ten_minutes_while_the_watch_is_open() -> None:
    virtual = watching(policy=WatchPolicy(silence=1e9, rotation=(1e8, 1e8), audit=600.0))

    virtual.run(3600)

    applied_lists = [effect for effect in virtual.effects_of(ApplyList) if isinstance(effect, ApplyList)]
    assert {one.origin for one in applied_lists} == {"audit"}
    assert 4 <= len(applied_lists) <= 8
    assert virtual.effects_of(OpenWatch) == []


def test_an_audit_that_fails_does_not_affect_the_watch() -> None:
    virtual = watching(policy=WatchPolicy(silence=1e9, rotation=(1e8, 1e8), audit=600.0))
    virtual._server = lambda request, now: Failed(request.connection, BROKEN)

    virtual.run(3600)

    assert virtual.machine.state is State.WATCHING
    assert virtual.machine.fault is None
    assert 4 <= len(virtual.effects_of(ReadList)) <= 8


def test_a_request_that_is_rejected_as_invalid_ends_the_machine() -> None:
    virtual = watching()

    effects = virtual.feed(Failed(current_watch(virtual), Fault(FaultKind.REFUSED, "bad selector")))

    assert [type(effect) for effect in effects] == [GiveUp]
    assert virtual.feed(Ticked(virtual.now)) == []


@pytest.mark.parametrize(
    "kind", [FaultKind.FORBIDDEN, FaultKind.UNAUTHORIZED, FaultKind.KIND_ABSENT], ids=lambda kind: kind.name
)
def test_c11_l4_a_fault_that_an_administrator_must_repair_is_retried_slowly_and_stays_visible(
    kind: FaultKind,
) -> None:
    virtual = watching()
    fault = Fault(kind, "not now")
    virtual._server = lambda request, now: Failed(request.connection, fault)

    virtual.feed(Failed(current_watch(virtual), fault))
    virtual.run(3600)
    tried = len(virtual.requests)
    shown = virtual.machine.fault
    virtual._server = healthy
    virtual.run(60)

    assert tried <= 10 * 60
    assert shown == fault
    assert virtual.machine.fault is None
    assert virtual.effects_of(Interrupted) == []


def test_inputs_of_a_cancelled_request_are_ignored() -> None:
    virtual = watching()
    old = current_watch(virtual)
    virtual.feed(Failed(old, BROKEN))

    late: list[Input] = [Ended(old), Failed(old, EXPIRED), Opened(old), Collected(old, "1", older=True)]
    for input_ in late:
        assert virtual.feed(input_) == []

    assert virtual.machine.state is State.PAUSED


def test_i9_at_most_two_requests_are_active_at_any_time() -> None:
    jitter = Random(3)

    def erratic(request: Requests, now: float) -> Input | None:
        roll = jitter.random()
        if roll < 0.3:
            return Failed(request.connection, jitter.choice([BROKEN, EXPIRED, UNAVAILABLE]))
        return healthy(request, now)

    virtual = Virtual(erratic, policy=WatchPolicy(silence=20, rotation=(30, 40), audit=15), latency=3.0)
    virtual.start()
    for _ in range(2000):
        virtual.run(1)
        machine = virtual.machine
        active = [c for c in (machine._current, machine._standby, machine._audit) if c is not None]
        assert len(active) <= 2
        if machine._current is not None and jitter.random() < 0.05 and machine._opened_at is not None:
            end: Input = (
                Ended(machine._current) if jitter.random() < 0.5 else Failed(machine._current, BROKEN)
            )
            virtual.feed(end)
