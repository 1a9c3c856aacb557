"""Status codes and ERROR events (C of the catalogue), over sockets."""

from __future__ import annotations

import anyio
import pytest

from dpf_async import DPUView
from dpf_async.errors import APIError, BadRequest, Forbidden, Invalid, KindNotServed
from dpf_async.levels import Level, ready
from dpf_async.models import DPU
from tests.support.event_text import dpu_watch, initial_events, next_events
from tests.support.objects import dpu, event
from tests.support.scripted import Exchange, Script, Scripted, answering, page, refusing, status
from tests.support.virtual_time import virtual_time

NOT_SERVED = answering(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})


def erring(code: int, reason: str = "", **more: object) -> Script:
    """A watch that is accepted and then ended by an ERROR event."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.end(event("ERROR", status(code, reason, **more)))

    return answer


@pytest.mark.parametrize(
    "expired",
    [
        erring(410, "Expired"),
        erring(410, "Gone"),
        erring(410),
        erring(0, "Expired"),
        refusing(410, "Expired"),
        refusing(410, "Gone"),
        page(410),
    ],
)
@virtual_time
async def test_c1_c2_an_expired_version_leads_to_a_list_that_tells_what_was_missed(expired: Script) -> None:
    async with Scripted(dpu("kept", 10), dpu("gone", 11)) as server, server.client() as dpf:
        server.next_watches.append(expired)
        async with dpf.resource(DPU).watch() as stream:
            await initial_events(stream)
            server.deleted(dpu("gone", 120))
            server.modified(dpu("kept", 121, "Ready"))
            server.added(dpu("new", 122))
            heard = await next_events(stream, 5)
        watch = await server.watch()

    assert heard == [
        "gap",
        "kept@121 updated (relist), not contiguous",
        "new@122 added (relist)",
        "gone@11 deleted (relist), final state unknown",
        "resumed",
    ]
    assert watch.query["resourceVersion"] == "122"


@pytest.mark.parametrize(
    "trouble",
    [
        erring(500, "InternalError", message="etcdserver: leader changed"),
        erring(504, "Timeout"),
        erring(429, "TooManyRequests"),
        refusing(500, "InternalError"),
        refusing(500),
        refusing(503, "ServiceUnavailable"),
        page(502),
        page(503),
    ],
)
@virtual_time
async def test_c4_c5_c10_a_server_in_trouble_is_asked_again_from_the_same_version_without_a_list(
    trouble: Script,
) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.extend([trouble, trouble])
        async with dpf.resource(DPU).watch() as stream:
            await initial_events(stream)
            watch = await server.watch()
            await watch.send(server.modified(dpu("a", 101)))
            heard = await next_events(stream, 1)

    assert heard == ["a@101 updated (watch)"]
    assert [request.query["resourceVersion"] for request in server.asked(watches=True)] == ["100"] * 3
    assert len(server.asked(watches=False)) == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        "boom",
        None,
        [],
        {"kind": "Status"},
        {"kind": "Status", "metadata": {}},
        {"code": "500"},
        {"kind": "Status", "metadata": {}, "code": 500, "message": "no status field"},
        dpu("a", 101),
    ],
)
@virtual_time
async def test_c6_an_error_event_without_a_proper_status_ends_the_watch_and_nothing_else(
    nonsense: object,
) -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        await (await server.watch()).end(event("ERROR", nonsense))
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 102)))
        heard = await next_events(stream, 1)

    assert heard == ["a@102 updated (watch)"]
    assert watch.query["resourceVersion"] == "100"
    assert len(server.asked(watches=False)) == 1


@pytest.mark.parametrize(
    ("slow_down", "seconds"),
    [
        (refusing(429, "TooManyRequests", {"Retry-After": "20"}), 20),
        (refusing(429, "TooManyRequests", details={"retryAfterSeconds": 25}), 25),
        (erring(429, "TooManyRequests", details={"retryAfterSeconds": 30}), 30),
        (erring(504, "Timeout", details={"retryAfterSeconds": 35}), 35),
        (refusing(503, "", {"Retry-After": "40"}), 40),
        (page(429), 0),
    ],
)
@virtual_time
async def test_c5_c7_the_time_that_the_server_asks_for_is_given_to_it(
    slow_down: Script, seconds: float
) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.append(slow_down)
        async with dpf.resource(DPU).watch():
            await server.until(lambda: len(server.asked(watches=True)) == 1)
            refused_at = anyio.current_time()
            await server.watch()
            waited = anyio.current_time() - refused_at

    assert seconds <= waited <= seconds + 0.8 + 0.01  # and the first step of the backoff on top
    assert len(server.asked(watches=False)) == 1


@pytest.mark.parametrize("asked", [10**9, -5, 1e308])
@virtual_time
async def test_c8_an_error_event_that_asks_for_nonsense_is_answered_within_five_minutes(asked: float) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.append(erring(429, "TooManyRequests", details={"retryAfterSeconds": asked}))
        async with dpf.resource(DPU).watch():
            began = anyio.current_time()
            await server.watch()
            waited = anyio.current_time() - began

    assert 0 <= waited <= 300 + 0.8 + 0.01


@virtual_time
async def test_c9_a_proxy_that_answers_503_is_asked_a_handful_of_times_in_a_minute() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.on_watch = page(503)
        async with dpf.resource(DPU).watch():
            await server.until(lambda: len(server.asked(watches=True)) == 1)
            await anyio.sleep(60)
            in_the_first_minute = len(server.requests)
            await anyio.sleep(600)
            in_ten_more = len(server.requests) - in_the_first_minute

    assert in_the_first_minute <= 25  # about 10; each wait is a matter of chance
    assert in_ten_more <= 10 * 10


@virtual_time
async def test_c11_a_kind_that_is_not_served_any_more_is_waited_for_and_nothing_is_called_deleted() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, dpf, stream):
        first = await server.watch()
        server.next_watches.extend([NOT_SERVED] * 5)
        await first.end()
        watch = await server.watch()
        (health,) = dpf.health.values()
        await watch.send(server.modified(dpu("a", 101)))
        heard = await next_events(stream, 1)

    assert heard == ["a@101 updated (watch)"]
    assert health.state == "degraded"
    assert "does not serve this kind" in health.reason


@pytest.mark.parametrize(
    ("missing", "error"), [(NOT_SERVED, KindNotServed), (refusing(403, "Forbidden"), Forbidden)]
)
@virtual_time
async def test_c11_l4_who_wants_a_kind_that_cannot_be_listed_is_told_soon(
    missing: Script, error: type[APIError]
) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        usual, server.on_list = server.on_list, missing
        began = anyio.current_time()
        with pytest.raises(error) as refused:
            async with dpf.resource(DPU).watch():
                pass
        took = anyio.current_time() - began
        with pytest.raises(error):
            await dpf.dpu("a").view()
        server.on_list = usual  # somebody has repaired it meanwhile
        await server.watch()
        view = await dpf.dpu("a").view()

    assert "dpus in namespace dpf-operator-system" in str(refused.value)
    assert took <= 1 + 30  # Forbidden is believed after a second, at the first answer after that
    assert view.name == "a"


@pytest.mark.parametrize("asked", ["list", "watch"])
@virtual_time
async def test_a_server_that_has_just_begun_and_forbids_everything_for_a_moment_is_asked_again(
    asked: str,
) -> None:
    begun = [refusing(403, "Forbidden"), refusing(503, "ServiceUnavailable", {"Retry-After": "5"})]

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        (server.next_lists if asked == "list" else server.next_watches).extend(begun)
        async with dpf.resource(DPU).watch() as stream:
            heard = await initial_events(stream)
            await (await server.watch()).send(server.modified(dpu("a", 101)))
            heard += await next_events(stream, 1)

    assert heard == ["a@10 added (initial)", "a@101 updated (watch)"]


@virtual_time
async def test_c11_l4_who_may_list_a_kind_and_not_watch_it_is_told_and_does_not_wait() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.on_watch = refusing(403, "Forbidden")

        with anyio.fail_after(60), pytest.raises(Forbidden, match="watch of dpus in namespace"):
            await dpf.dpu("b").until(Level[DPUView]("there", lambda _: True))


@virtual_time
async def test_c16_a_server_that_ends_every_watch_at_once_is_asked_at_most_ten_times_a_minute() -> None:
    async def ends_at_once(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.end()

    async with dpu_watch(dpu("a", 10)) as (server, _, _):
        await (await server.watch()).end()
        server.on_watch = ends_at_once
        await anyio.sleep(60)
        warm = len(server.requests)
        await anyio.sleep(1800)
        asked = len(server.requests) - warm

    assert asked <= 30 * 10


@pytest.mark.parametrize(
    ("code", "reason", "error"), [(400, "BadRequest", BadRequest), (422, "Invalid", Invalid)]
)
@virtual_time
async def test_c18_what_the_server_will_never_accept_is_raised_and_not_tried_again(
    code: int, reason: str, error: type[APIError]
) -> None:
    async with Scripted() as server:
        server.on_list = refusing(code, reason, message="unable to parse requirement")
        with pytest.raises(error, match="unable to parse requirement"):
            async with server.client() as dpf, dpf.resource(DPU).watch(label_selector="a in ("):
                pass

    assert len(server.requests) == 1


@virtual_time
async def test_c18_a_selector_that_is_none_is_the_business_of_whoever_gave_it() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:
        usual, refused = server.on_list, refusing(400, "BadRequest", message="unable to parse requirement")

        async def choosing(exchange: Exchange) -> None:
            await (refused if "labelSelector" in exchange.query else usual)(exchange)

        server.on_list = choosing
        ended: list[DPUView] = []

        async def other() -> None:
            ended.append(await dpf.dpu("a").until(ready))

        tasks.start_soon(other)
        watch = await server.watch()
        for _ in range(2):
            with pytest.raises(BadRequest, match="unable to parse requirement"):
                async with dpf.resource(DPU).watch(label_selector="a in ("):
                    pass
        assert ended == []
        await watch.send(server.modified(dpu("a", 101, "Ready")))

    assert [view.name for view in ended] == ["a"]


@pytest.mark.parametrize("code", [302, 307, 400, 405, 408, 413, 421, 451])
@virtual_time
async def test_what_a_proxy_refuses_is_no_verdict_of_the_server(code: int) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(page(code))
        server.next_watches.append(page(code))
        async with dpf.resource(DPU).watch() as stream:
            heard = await initial_events(stream)
            await (await server.watch()).send(server.modified(dpu("a", 101)))
            heard += await next_events(stream, 1)

    assert heard == ["a@10 added (initial)", "a@101 updated (watch)"]


async def _says_no_and_no_more(exchange: Exchange) -> None:
    """The head of a refusal; its body never comes, as from a server that is half gone."""
    await exchange.raw(b"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n")
    await exchange.over.wait()


@virtual_time
async def test_a_refusal_whose_body_stalls_is_a_refusal() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        server.next_watches.append(_says_no_and_no_more)
        await watch.end()
        await (await server.watch()).send(server.modified(dpu("a", 101, "Ready")))

        assert await next_events(stream, 1) == ["a@101 updated (watch)"]


@virtual_time
async def test_a_first_watch_that_is_refused_with_a_body_that_stalls_is_tried_again() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.append(_says_no_and_no_more)
        async with dpf.resource(DPU).watch() as stream:
            await initial_events(stream)


@virtual_time
async def test_c1_odd_details_do_not_hide_that_a_watch_has_expired() -> None:
    async with dpu_watch(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        server.modified(dpu("a", 120, "Ready"))
        await watch.end(event("ERROR", status(410, "Expired", details=[])))

        assert await next_events(stream, 3) == ["gap", "a@120 updated (relist), not contiguous", "resumed"]


@virtual_time
async def test_a_page_with_404_is_not_the_servers_word_that_the_kind_is_missing() -> None:
    html = answering(404, b"<html>default backend - 404</html>", {"Content-Type": "text/html"})
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        usual, server.on_list = server.on_list, html

        async def mend() -> None:
            await server.until(lambda: len(server.asked(watches=False)) == 3)
            server.on_list = usual

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mend)
            view = await dpf.dpu("a").view()

    assert view.name == "a"
