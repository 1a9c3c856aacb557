"""Typed create, read, update and delete: retries, expired lists, invalid names and answers that are not JSON."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from dpf_async import DPFClient
from dpf_async.errors import (
    ConnectionFailed,
    DecodeError,
    Gone,
    NotFound,
    TooManyRequests,
    UsageError,
)
from dpf_async.models import BFB, DPU, ConfigMap
from tests.support.objects import dpu
from tests.support.scripted import Exchange, Scripted, answering, listing, page, refusing
from tests.support.virtual_time import virtual_time


def bfb(name: str = "bundle", url: str = "http://example.com/b.bfb", **metadata: Any) -> BFB:
    return BFB.model_validate({"metadata": {"name": name, **metadata}, "spec": {"url": url}})


async def test_patch_status_of_a_kind_without_status_is_rejected_before_a_request() -> None:
    async with Scripted() as server, server.client() as dpf:
        with pytest.raises(UsageError, match="ConfigMap has no status subresource"):
            await dpf.resource(ConfigMap).patch_status("m", {"status": {}})

    assert server.requests == []


@pytest.mark.parametrize("name", ["", ".", ".."])
@virtual_time
async def test_a_name_that_would_change_the_path_is_rejected_before_a_request(name: str) -> None:
    async with Scripted() as server, server.client() as dpf:
        for call in (dpf.resource(BFB).get, dpf.resource(BFB).delete):
            with pytest.raises(UsageError, match="name"):
                await call(name)

    assert server.requests == []


@pytest.mark.parametrize("name", ["a/b", "../x", "a?x=y", "ä", "%2e", "%2f"])
@virtual_time
async def test_a_name_is_quoted_as_one_part_of_the_path(name: str) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = refusing(404, "NotFound")
        with pytest.raises(NotFound):
            await dpf.resource(BFB).get(name)

    (request,) = server.requests
    assert (
        request.path
        == f"/apis/provisioning.dpu.nvidia.com/v1alpha1/namespaces/dpf-operator-system/bfbs/{name}"
    )
    assert request.query == {}


# Error answers.


@virtual_time
async def test_a_throttled_request_is_repeated_after_retry_after() -> None:
    async with Scripted() as server, server.client() as dpf:
        busy = refusing(429, "TooManyRequests", {"Retry-After": "7"})
        answers = iter([busy, busy, answering(200, dpu("a", 10))])

        async def answer(exchange: Exchange) -> None:
            await next(answers)(exchange)

        server.on_other = answer
        began = anyio.current_time()
        got = await dpf.resource(DPU).get("a")
        took = anyio.current_time() - began

    assert got.name == "a"
    assert took == pytest.approx(14, abs=0.1)


@virtual_time
async def test_a_throttled_list_is_repeated() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(refusing(429, "TooManyRequests", {"Retry-After": "7"}))
        listed = await dpf.resource(DPU).list()

    assert [obj.name for obj in listed.items] == ["a"]


@virtual_time
async def test_a_request_that_stays_throttled_raises_after_five_attempts() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = refusing(429, "TooManyRequests", {"Retry-After": "7"})
        with pytest.raises(TooManyRequests) as throttled:
            await dpf.resource(DPU).get("a")

    assert throttled.value.retry_after == 7
    assert len(server.requests) == 5


@pytest.mark.parametrize("code", [500, 502, 503, 504])
@virtual_time
async def test_a_write_that_the_server_may_have_processed_is_not_repeated(code: int) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = refusing(code)
        with pytest.raises(Exception, match=f"scripted {code}"):
            await dpf.resource(DPU).delete("a")

    assert len(server.requests) == 1


@virtual_time
async def test_a4_a_list_whose_token_expired_starts_again_without_pages() -> None:
    async with Scripted(dpu("b", 11)) as server, server.client() as dpf:
        server.next_lists.append(answering(200, listing([dpu("stale", 10)], 100, continue_="2")))
        server.next_lists.append(refusing(410, "Expired"))
        listed = await dpf.resource(DPU).list()

    assert [obj.name for obj in listed.items] == ["b"]
    assert [dict(request.query) for request in server.requests] == [
        {"limit": "500"},
        {"limit": "500", "continue": "2"},
        {},
    ]


@virtual_time
async def test_a5_a_list_that_expires_three_times_raises_gone() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_list = refusing(410, "Expired")
        with pytest.raises(Gone):
            await dpf.resource(DPU).list()

    assert len(server.requests) == 3


@virtual_time
async def test_m9_a_list_that_repeats_its_continue_token_raises() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_list = answering(200, listing([dpu("a", 10)], 100, continue_="again"))
        with pytest.raises(DecodeError, match="does not end"):
            await dpf.resource(DPU).list()

    assert len(server.requests) == 2


@virtual_time
async def test_g3_undecodable_objects_of_a_list_are_returned_separately() -> None:
    odd = dpu("odd", 11)
    odd["status"]["addresses"] = 7

    async with Scripted(dpu("a", 10), odd, dpu("bad", 12) | {"spec": 7}) as server, server.client() as dpf:
        listed = await dpf.resource(DPU).list()

    assert [obj.name for obj in listed.items] == ["a"]
    assert sorted(obj.name for obj in listed.undecodable) == ["bad", "odd"]


@virtual_time
async def test_an_answer_that_is_not_json_raises() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = page(200)
        for call in (dpf.resource(DPU).get, dpf.resource(DPU).delete):
            with pytest.raises(ConnectionFailed, match="not JSON"):
                await call("a")
        with pytest.raises(ConnectionFailed, match="not JSON"):
            await dpf.server_version()
        server.on_other = answering(200, b"{")
        for call in (dpf.resource(DPU).get, dpf.resource(DPU).delete):
            with pytest.raises(DecodeError):
                await call("a")
        with pytest.raises(DecodeError):
            await dpf.server_version()


@virtual_time
async def test_server_version_is_git_version_of_the_answer() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = answering(200, {"major": "1", "gitVersion": "v1.34.1"})
        assert await dpf.server_version() == "v1.34.1"

    assert server.requests[0].path == "/version"


async def test_the_error_of_a_client_that_is_not_entered_says_how_to_enter_it() -> None:
    dpf = DPFClient()

    with pytest.raises(UsageError, match="async with DPFClient"):
        dpf.resource(DPU)
