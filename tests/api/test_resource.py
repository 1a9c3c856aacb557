"""Typed create, read, update and delete, against a server that behaves as Kubernetes does, and one that does not."""

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
from tests.support.clock import jumping
from tests.support.objects import dpu
from tests.support.scripted import Exchange, Scripted, listing, page, refusing, saying


def bfb(name: str = "bundle", url: str = "http://example.com/b.bfb", **metadata: Any) -> BFB:
    return BFB.model_validate({"metadata": {"name": name, **metadata}, "spec": {"url": url}})


async def test_a_kind_without_a_status_says_so_before_anything_is_sent() -> None:
    async with Scripted() as server, server.client() as dpf:
        with pytest.raises(UsageError, match="ConfigMap has no status subresource"):
            await dpf.resource(ConfigMap).patch_status("m", {"status": {}})

    assert server.requests == []


@pytest.mark.parametrize("name", ["", ".", ".."])
@jumping
async def test_what_is_no_name_never_becomes_a_request_about_something_else(name: str) -> None:
    async with Scripted() as server, server.client() as dpf:
        for call in (dpf.resource(BFB).get, dpf.resource(BFB).delete):
            with pytest.raises(UsageError, match="name"):
                await call(name)

    assert server.requests == []


@pytest.mark.parametrize("name", ["a/b", "../x", "a?x=y", "ä", "%2e", "%2f"])
@jumping
async def test_a_name_is_one_part_of_a_path_whatever_is_in_it(name: str) -> None:
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


# A server in trouble.


@jumping
async def test_a_server_that_asks_to_slow_down_is_asked_again_after_the_time_it_named() -> None:
    async with Scripted() as server, server.client() as dpf:
        busy = refusing(429, "TooManyRequests", {"Retry-After": "7"})
        answers = iter([busy, busy, saying(200, dpu("a", 10))])

        async def answer(exchange: Exchange) -> None:
            await next(answers)(exchange)

        server.on_other = answer
        began = anyio.current_time()
        got = await dpf.resource(DPU).get("a")
        took = anyio.current_time() - began

    assert got.name == "a"
    assert took == pytest.approx(14, abs=0.1)


@jumping
async def test_a_list_that_is_throttled_is_read_again_like_everything_else() -> None:
    async with Scripted(dpu("a", 10)) as server, server.client() as dpf:
        server.next_lists.append(refusing(429, "TooManyRequests", {"Retry-After": "7"}))
        listed = await dpf.resource(DPU).list()

    assert [obj.name for obj in listed.items] == ["a"]


@jumping
async def test_a_server_that_goes_on_asking_to_slow_down_is_an_error_in_the_end() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = refusing(429, "TooManyRequests", {"Retry-After": "7"})
        with pytest.raises(TooManyRequests) as throttled:
            await dpf.resource(DPU).get("a")

    assert throttled.value.retry_after == 7
    assert len(server.requests) == 5


@pytest.mark.parametrize("code", [500, 502, 503, 504])
@jumping
async def test_a_write_that_may_have_been_done_is_not_done_again(code: int) -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = refusing(code)
        with pytest.raises(Exception, match=f"scripted {code}"):
            await dpf.resource(DPU).delete("a")

    assert len(server.requests) == 1


@jumping
async def test_a4_a_list_whose_token_expired_starts_over_in_one_piece() -> None:
    async with Scripted(dpu("b", 11)) as server, server.client() as dpf:
        server.next_lists.append(saying(200, listing([dpu("ghost", 10)], 100, continue_="2")))
        server.next_lists.append(refusing(410, "Expired"))
        listed = await dpf.resource(DPU).list()

    assert [obj.name for obj in listed.items] == ["b"]
    assert [dict(request.query) for request in server.requests] == [
        {"limit": "500"},
        {"limit": "500", "continue": "2"},
        {},
    ]


@jumping
async def test_a5_a_list_that_expires_every_time_is_gone() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_list = refusing(410, "Expired")
        with pytest.raises(Gone):
            await dpf.resource(DPU).list()

    assert len(server.requests) == 3


@jumping
async def test_m9_a_list_whose_pages_lead_in_a_circle_is_given_up() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_list = saying(200, listing([dpu("a", 10)], 100, continue_="again"))
        with pytest.raises(DecodeError, match="does not end"):
            await dpf.resource(DPU).list()

    assert len(server.requests) == 2


@jumping
async def test_g3_what_cannot_be_read_is_listed_apart() -> None:
    odd = dpu("odd", 11)
    odd["status"]["addresses"] = 7

    async with Scripted(dpu("a", 10), odd, dpu("bad", 12) | {"spec": 7}) as server, server.client() as dpf:
        listed = await dpf.resource(DPU).list()

    assert [obj.name for obj in listed.items] == ["a"]
    assert sorted(obj.name for obj in listed.undecodable) == ["bad", "odd"]


@jumping
async def test_an_answer_that_is_not_from_kubernetes_is_no_object() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = page(200)
        for call in (dpf.resource(DPU).get, dpf.resource(DPU).delete):
            with pytest.raises(ConnectionFailed, match="not JSON"):
                await call("a")
        with pytest.raises(ConnectionFailed, match="not JSON"):
            await dpf.server_version()
        server.on_other = saying(200, b"{")
        for call in (dpf.resource(DPU).get, dpf.resource(DPU).delete):
            with pytest.raises(DecodeError):
                await call("a")
        with pytest.raises(DecodeError):
            await dpf.server_version()


@jumping
async def test_the_version_of_the_server_is_what_it_says() -> None:
    async with Scripted() as server, server.client() as dpf:
        server.on_other = saying(200, {"major": "1", "gitVersion": "v1.34.1"})
        assert await dpf.server_version() == "v1.34.1"

    assert server.requests[0].path == "/version"


async def test_a_client_that_is_not_entered_says_how_to() -> None:
    dpf = DPFClient()

    with pytest.raises(UsageError, match="async with DPFClient"):
        dpf.resource(DPU)
