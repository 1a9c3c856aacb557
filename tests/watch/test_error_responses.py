"""Error responses and ERROR events (C of the catalogue). Over sockets."""

from __future__ import annotations

import anyio
import pytest

from dpf_async import DPUView
from dpf_async.errors import APIError, BadRequest, Forbidden, Invalid, KindNotServed
from dpf_async.levels import Level, ready
from dpf_async.models import DPU
from tests.support.event_lines import initial_lines, next_lines, open_stream
from tests.support.objects import dpu, event
from tests.support.scripted import Exchange, Script, Scripted, answering, page, refusing, status
from tests.support.virtual_time import virtual_time

NOT_SERVED = answering(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})


def erring(code: int, reason: str = "", **more: object) -> Script:
    """A script: a watch that is accepted and then ended by an ERROR event."""

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
async def test_c1_c2_an_expired_version_causes_a_relist_that_reports_missed_changes(expired: Script) -> None:
    async with Scripted(dpu("kept", 10), dpu("gone", 11)) as server, server.client() as dpf:
        server.next_watches.append(expired)
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            server.deleted(dpu("gone", 120))
            server.modified(dpu("kept", 121, "Ready"))
            server.added(dpu("new", 122))
            received = await next_lines(stream, 5)
        watch = await server.watch()

    assert received == [
        "gap",
        "kept@121 updated (relist), not contiguous",
        "new@122 added (relist)",
        "gone@11 deleted (relist), final state unknown",
        "resumed",
    ]
    assert watch.query["resourceVersion"] == "122"


@pytest.mark.parametrize(
    "failure",
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
async def test_c4_c5_c10_a_watch_on_an_unavailable_server_resumes_at_the_same_version(
    failure: Script,
) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.extend([failure, failure])
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)
            watch = await server.watch()
            await watch.send(server.modified(dpu("a", 101)))
            received = await next_lines(stream, 1)

    assert received == ["a@101 updated (watch)"]
    assert [request.query["resourceVersion"] for request in server.asked(watches=True)] == ["100"] * 3
    assert len(server.asked(watches=False)) == 1


@pytest.mark.parametrize(
    "invalid",
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
async def test_c6_an_error_event_without_a_valid_status_ends_only_the_watch(
    invalid: object,
) -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        await (await server.watch()).end(event("ERROR", invalid))
        watch = await server.watch()
        await watch.send(server.modified(dpu("a", 102)))
        received = await next_lines(stream, 1)

    assert received == ["a@102 updated (watch)"]
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
async def test_c5_c7_the_client_waits_for_the_time_that_the_server_requests(
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
async def test_c8_an_invalid_retry_delay_is_limited_to_five_minutes(asked: float) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.append(erring(429, "TooManyRequests", details={"retryAfterSeconds": asked}))
        async with dpf.resource(DPU).watch():
            began = anyio.current_time()
            await server.watch()
            waited = anyio.current_time() - began

    assert 0 <= waited <= 300 + 0.8 + 0.01


@virtual_time
async def test_c9_a_proxy_that_returns_503_receives_few_requests_a_minute() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.on_watch = page(503)
        async with dpf.resource(DPU).watch():
            await server.until(lambda: len(server.asked(watches=True)) == 1)
            await anyio.sleep(60)
            in_the_first_minute = len(server.requests)
            await anyio.sleep(600)
            in_ten_more = len(server.requests) - in_the_first_minute

    assert in_the_first_minute <= 25  # about 10; each delay is random
    assert in_ten_more <= 10 * 10


@virtual_time
async def test_c11_objects_of_a_kind_that_is_not_served_any_more_are_not_reported_as_deleted() -> None:
    async with open_stream(dpu("a", 10)) as (server, dpf, stream):
        first = await server.watch()
        server.next_watches.extend([NOT_SERVED] * 5)
        await first.end()
        watch = await server.watch()
        (health,) = dpf.health.values()
        await watch.send(server.modified(dpu("a", 101)))
        received = await next_lines(stream, 1)

    assert received == ["a@101 updated (watch)"]
    assert health.state == "degraded"
    assert "does not serve this kind" in health.reason


@pytest.mark.parametrize(
    ("missing", "error"), [(NOT_SERVED, KindNotServed), (refusing(403, "Forbidden"), Forbidden)]
)
@virtual_time
async def test_c11_l4_a_kind_that_cannot_be_listed_raises_an_error_soon(
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
        server.on_list = usual  # an administrator has repaired it
        await server.watch()
        view = await dpf.dpu("a").view()

    assert "dpus in namespace dpf-operator-system" in str(refused.value)
    assert took <= 1 + 30  # Forbidden is raised at the first response after a second
    assert view.name == "a"


@pytest.mark.parametrize("asked", ["list", "watch"])
@virtual_time
async def test_requests_that_a_starting_server_forbids_for_a_moment_are_retried(
    asked: str,
) -> None:
    while_starting = [refusing(403, "Forbidden"), refusing(503, "ServiceUnavailable", {"Retry-After": "5"})]

    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        (server.next_lists if asked == "list" else server.next_watches).extend(while_starting)
        async with dpf.resource(DPU).watch() as stream:
            received = await initial_lines(stream)
            await (await server.watch()).send(server.modified(dpu("a", 101)))
            received += await next_lines(stream, 1)

    assert received == ["a@10 added (initial)", "a@101 updated (watch)"]


@virtual_time
async def test_c11_l4_a_kind_that_can_be_listed_and_not_watched_raises_an_error() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.on_watch = refusing(403, "Forbidden")

        with anyio.fail_after(60), pytest.raises(Forbidden, match="watch of dpus in namespace"):
            await dpf.dpu("b").until(Level[DPUView]("there", lambda _: True))


@virtual_time
async def test_c16_a_server_that_ends_every_watch_at_once_receives_at_most_ten_requests_a_minute() -> None:
    async def ends_at_once(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.end()

    async with open_stream(dpu("a", 10)) as (server, _, _):
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
async def test_c18_a_request_that_is_rejected_as_invalid_raises_and_is_not_retried(
    code: int, reason: str, error: type[APIError]
) -> None:
    async with Scripted() as server:
        server.on_list = refusing(code, reason, message="unable to parse requirement")
        with pytest.raises(error, match="unable to parse requirement"):
            async with server.client() as dpf, dpf.resource(DPU).watch(label_selector="a in ("):
                pass

    assert len(server.requests) == 1


@virtual_time
async def test_c18_an_invalid_selector_raises_only_for_the_caller_that_used_it() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf, anyio.create_task_group() as tasks:
        usual, refused = server.on_list, refusing(400, "BadRequest", message="unable to parse requirement")

        async def reject_selector(exchange: Exchange) -> None:
            await (refused if "labelSelector" in exchange.query else usual)(exchange)

        server.on_list = reject_selector
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
async def test_an_error_page_of_a_proxy_is_retried(code: int) -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(page(code))
        server.next_watches.append(page(code))
        async with dpf.resource(DPU).watch() as stream:
            received = await initial_lines(stream)
            await (await server.watch()).send(server.modified(dpu("a", 101)))
            received += await next_lines(stream, 1)

    assert received == ["a@10 added (initial)", "a@101 updated (watch)"]


async def _error_without_body(exchange: Exchange) -> None:
    """The head of an error response whose body is never sent, as by a server that crashed."""
    await exchange.raw(b"HTTP/1.1 503 Busy\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n")
    await exchange.over.wait()


@virtual_time
async def test_an_error_response_whose_body_stalls_is_an_error() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        server.next_watches.append(_error_without_body)
        await watch.end()
        await (await server.watch()).send(server.modified(dpu("a", 101, "Ready")))

        assert await next_lines(stream, 1) == ["a@101 updated (watch)"]


@virtual_time
async def test_a_first_watch_whose_error_response_stalls_is_retried() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_watches.append(_error_without_body)
        async with dpf.resource(DPU).watch() as stream:
            await initial_lines(stream)


@virtual_time
async def test_c1_an_expired_status_with_invalid_details_causes_a_relist() -> None:
    async with open_stream(dpu("a", 10)) as (server, _, stream):
        watch = await server.watch()
        server.modified(dpu("a", 120, "Ready"))
        await watch.end(event("ERROR", status(410, "Expired", details=[])))

        assert await next_lines(stream, 3) == ["gap", "a@120 updated (relist), not contiguous", "resumed"]


@virtual_time
async def test_a_404_page_of_a_proxy_does_not_mean_that_the_kind_is_not_served() -> None:
    html = answering(404, b"<html>default backend - 404</html>", {"Content-Type": "text/html"})
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        usual, server.on_list = server.on_list, html

        async def repair() -> None:
            await server.until(lambda: len(server.asked(watches=False)) == 3)
            server.on_list = usual

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(repair)
            view = await dpf.dpu("a").view()

    assert view.name == "a"
