"""Plans of a site for which the server returns an object that cannot be decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dpf_async.errors import DecodeError
from dpf_async.models import DPUFlavor
from dpf_async.sim.simulator import minimal_site
from tests.support.scripted import Exchange, Scripted


def with_a_flavor(name: str) -> Scripted:
    """A server that has one undecodable DPUFlavor and accepts every write."""
    flavor: dict[str, Any] = {
        "metadata": {"name": name, "uid": "u", "resourceVersion": "1"},
        "spec": {"nvconfig": 7},
    }

    async def list_flavor(exchange: Exchange) -> None:
        items = [flavor] if exchange.request.plural == DPUFlavor.PLURAL else []
        kind = {"kind": "List", "apiVersion": DPUFlavor.API_VERSION, "metadata": {"resourceVersion": "9"}}
        await exchange.answer(200, {**kind, "items": items})

    async def accept(exchange: Exchange) -> None:
        await exchange.answer(200, json.loads(exchange.request.body))

    server = Scripted()
    server.on_list, server.on_other = list_flavor, accept
    return server


async def test_an_undecodable_object_of_the_site_raises_an_error_that_says_what_to_do() -> None:
    async with with_a_flavor("dpu-flavor") as server, server.client() as dpf:
        with pytest.raises(
            DecodeError, match=r"DPUFlavor dpu-flavor cannot be decoded.*repair or delete it"
        ) as caught:
            await dpf.create_initialization_objects(minimal_site())

        assert (caught.value.kind, caught.value.name) == ("DPUFlavor", "dpu-flavor")
        assert {request.method for request in server.requests} == {"GET"}, "nothing was written"


async def test_an_undecodable_object_of_another_site_is_ignored() -> None:
    async with with_a_flavor("other-flavor") as server, server.client() as dpf:
        plan = await dpf.plan_site(minimal_site())

        assert {one.action for one in plan.objects} == {"create"}
        assert all(
            request.query.get("dryRun") == "All" for request in server.requests if request.method != "GET"
        )
