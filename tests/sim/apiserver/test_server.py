"""Start and stop of the server, and its settings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import anyio
import pytest
import yaml

from dpf_async.sim.apiserver import EmbeddedServer
from tests.sim.apiserver.api import API, WIDGETS, definition, serving, widget


async def test_leaving_the_block_ends_watches_cleanly_and_closes_the_port() -> None:
    async with aiohttp.ClientSession() as session:
        async with EmbeddedServer(crds=[definition()]) as server:
            response = await session.get(f"{server.url}{WIDGETS}?watch=1")
            idle = await session.get(f"{server.url}/version")
            await idle.read()
        rest = await response.read()

        assert rest == b""
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{server.url}/version")
        port = int(server.url.rsplit(":", 1)[1])
        async with EmbeddedServer(crds=[], port=port) as again:
            assert again.url == server.url


async def test_an_exception_in_the_block_is_not_wrapped() -> None:
    with pytest.raises(LookupError):
        async with EmbeddedServer(crds=[]):
            raise LookupError


async def test_an_invalid_crd_prevents_the_server_from_starting() -> None:
    crd = definition()
    crd["spec"]["scope"] = "Galaxy"
    with pytest.raises(ValueError, match=r'spec.scope: Unsupported value: "Galaxy"'):
        async with EmbeddedServer(crds=[crd]):
            raise AssertionError


async def test_servers_share_no_objects() -> None:
    async with serving() as one, serving() as two:
        await one.create(WIDGETS, widget("a"))

        assert (await two.get(f"{WIDGETS}/a")).code == 404


async def test_the_given_crds_are_not_modified() -> None:
    crd = definition()
    async with serving(crd):
        assert crd == definition()


async def test_timestamps_come_from_the_given_clock() -> None:
    async with serving(clock=lambda: datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)) as api:
        made = await api.create(WIDGETS, widget("a"))

        assert made.body["metadata"]["creationTimestamp"] == "2020-01-02T03:04:05Z"


async def test_the_kubeconfig_is_private_and_names_this_server(tmp_path: Path) -> None:
    async with EmbeddedServer(crds=[], tokens={"secret-token": "alice"}) as server:
        server.write_kubeconfig(tmp_path / "config", namespace="default")

        config = yaml.safe_load((tmp_path / "config").read_text())
        assert config == server.kubeconfig(namespace="default")
        assert config["clusters"][0]["cluster"]["server"] == server.url
        assert config["users"][0]["user"] == {"token": "secret-token"}
        assert config["contexts"][0]["context"]["namespace"] == "default"
        assert (tmp_path / "config").stat().st_mode & 0o077 == 0


async def test_the_watch_of_a_disconnected_client_ends() -> None:
    async with serving() as api:
        async with api.watch(WIDGETS):
            assert len(api.server._resources._watches) == 1

        with anyio.fail_after(60):
            while api.server._resources._watches:
                await api.server._resources.watch_progressed()
        assert not any(c.watchers for c in api.server._cluster.store.collections.values())


async def test_many_writers_never_interleave() -> None:
    async with serving() as api:
        await api.create(WIDGETS, widget("a", {"size": 1}))
        won: list[int] = []

        async def bump(api: API) -> None:
            while True:
                seen = (await api.get(f"{WIDGETS}/a")).body
                seen["spec"]["size"] += 1
                if (await api.put(f"{WIDGETS}/a", seen)).code == 200:
                    won.append(seen["spec"]["size"])
                    return

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(bump, api)

        assert sorted(won) == list(range(2, 12))
