"""One client, one scenario, one process: prints one JSON line. `python -m benchmarks.clients CLIENT SCENARIO PORT …`

Every client does the same work: it follows the DPUs, and whoever waits for one of 1,000 DPUs to become Ready is woken.
dpf_async does that with `until`; for the others it is written beside the watch, as their users have to write it: a dict
from name to future. In the paced scenario every event is read by an `async for`, with the stamp of its sending.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from benchmarks import dpus
from benchmarks.load import OBJECTS
from benchmarks.measure import EventMeter, ListMeter

Watch = Callable[[str], AsyncIterator[tuple[str, str, str]]]
"""Yields name, phase and stamp of each event. Any in this module: other people's types."""

CUSTOM: dict[str, Any] = {
    "group": dpus.GROUP,
    "version": dpus.VERSION,
    "namespace": dpus.NAMESPACE,
    "plural": dpus.PLURAL,
}


def kubeconfig(host: str) -> dict[str, Any]:
    """A kubeconfig without credentials."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
        "clusters": [{"name": "bench", "cluster": {"server": host}}],
        "users": [{"name": "bench", "user": {}}],
    }


# kubernetes_asyncio


async def _ka_watch(host: str, *, hide_docstring: bool) -> AsyncIterator[tuple[str, str, str]]:
    import functools  # noqa: PLC0415

    from kubernetes_asyncio import client, watch  # noqa: PLC0415

    async with client.ApiClient(client.Configuration(host=host)) as api:
        call = client.CustomObjectsApi(api).list_namespaced_custom_object
        if hide_docstring:
            # Watch reads the return type from the docstring; without it, it does not parse a custom object twice.
            call = functools.partial(call)
        async with watch.Watch().stream(call, **CUSTOM, resource_version="150000000000") as stream:
            async for event in stream:
                obj = event["object"]
                meta = obj["metadata"]
                yield meta["name"], obj["status"]["phase"], meta["annotations"][dpus.STAMP_KEY]


def ka_watch(host: str) -> AsyncIterator[tuple[str, str, str]]:
    return _ka_watch(host, hide_docstring=False)


def ka_partial_watch(host: str) -> AsyncIterator[tuple[str, str, str]]:
    return _ka_watch(host, hide_docstring=True)


async def ka_list(host: str) -> Any:
    from kubernetes_asyncio import client  # noqa: PLC0415

    found: list[Any] = []
    next_page: str | None = None
    async with client.ApiClient(client.Configuration(host=host)) as api:
        while True:
            more: dict[str, Any] = {"_continue": next_page} if next_page else {}
            page = await client.CustomObjectsApi(api).list_namespaced_custom_object(
                **CUSTOM, limit=500, **more
            )
            found += page["items"]
            next_page = page["metadata"].get("continue")
            if not next_page:
                return found


# lightkube


def _lightkube(host: str) -> Any:
    from lightkube import AsyncClient, KubeConfig  # noqa: PLC0415

    return AsyncClient(config=KubeConfig.from_dict(kubeconfig(host)), namespace=dpus.NAMESPACE)


def _generic_dpu() -> Any:
    from lightkube.generic_resource import create_namespaced_resource  # noqa: PLC0415

    return create_namespaced_resource(dpus.GROUP, dpus.VERSION, dpus.KIND, dpus.PLURAL)


async def lightkube_watch(host: str) -> AsyncIterator[tuple[str, str, str]]:
    kind = _generic_dpu()
    async for _, obj in _lightkube(host).watch(
        kind, namespace=dpus.NAMESPACE, resource_version="150000000000"
    ):
        meta = obj.metadata
        yield meta.name, obj.status["phase"], meta.annotations[dpus.STAMP_KEY]


async def lightkube_typed_watch(host: str) -> AsyncIterator[tuple[str, str, str]]:
    from benchmarks.lightkube_typed import TypedDPU  # noqa: PLC0415

    async for _, obj in _lightkube(host).watch(
        TypedDPU, namespace=dpus.NAMESPACE, resource_version="150000000000"
    ):
        meta = obj.metadata
        yield meta.name, obj.status.phase, meta.annotations[dpus.STAMP_KEY]


async def lightkube_list(host: str) -> Any:
    found = _lightkube(host).list(_generic_dpu(), namespace=dpus.NAMESPACE, chunk_size=500)
    return [obj async for obj in found]


async def lightkube_typed_list(host: str) -> Any:
    from benchmarks.lightkube_typed import TypedDPU  # noqa: PLC0415

    found = _lightkube(host).list(TypedDPU, namespace=dpus.NAMESPACE, chunk_size=500)
    return [obj async for obj in found]


# kr8s


async def _kr8s(host: str) -> tuple[Any, Any]:
    import kr8s.asyncio  # noqa: PLC0415
    from kr8s.asyncio.objects import new_class  # noqa: PLC0415

    api = await kr8s.asyncio.api(url=host, kubeconfig=kubeconfig(host), namespace=dpus.NAMESPACE)
    return api, new_class(
        kind=dpus.KIND, version=dpus.API_VERSION, namespaced=True, plural=dpus.PLURAL, asyncio=True
    )


async def kr8s_watch(host: str) -> AsyncIterator[tuple[str, str, str]]:
    api, kind = await _kr8s(host)
    async for _, obj in api.watch(kind, namespace=dpus.NAMESPACE):
        yield obj.name, obj.status.phase, obj.annotations[dpus.STAMP_KEY]


async def kr8s_list(host: str) -> Any:
    api, kind = await _kr8s(host)
    return [obj async for obj in api.get(kind, namespace=dpus.NAMESPACE)]


# The same work around any watch


async def burst_of(watch: Watch, host: str, meter: EventMeter) -> None:
    """A watch, and beside it what its user writes so that somebody who waits for a DPU is woken."""
    loop = asyncio.get_running_loop()
    waiting: dict[str, asyncio.Future[None]] = {}

    async def worker(name: str) -> None:
        while True:
            future = waiting[name] = loop.create_future()
            await future
            meter.woken += 1

    workers = [asyncio.create_task(worker(dpus.name_of(index))) for index in range(OBJECTS)]
    await asyncio.sleep(0)
    async with aclosing(watch(host)) as stream:  # type: ignore[type-var]
        async for name, phase, _ in stream:
            if phase == "Ready" and (future := waiting.get(name)) is not None and not future.done():
                future.set_result(None)
            if meter.seen % 64 == 0:
                await asyncio.sleep(0)  # a burst never suspends: let the woken workers run
            if meter.tick():
                break
    for task in workers:
        task.cancel()


async def paced_of(watch: Watch, host: str, meter: EventMeter) -> None:
    async with aclosing(watch(host)) as stream:  # type: ignore[type-var]
        async for _, _, stamp in stream:
            meter.stamp(stamp)
            if meter.tick():
                return


# dpf_async


async def ours_burst(host: str, meter: EventMeter) -> None:
    import anyio  # noqa: PLC0415

    from dpf_async import DPFClient  # noqa: PLC0415
    from dpf_async._watch.store import Listener  # noqa: PLC0415
    from dpf_async.levels import phase_is  # noqa: PLC0415
    from dpf_async.models import DPU  # noqa: PLC0415

    is_ready, not_ready = phase_is("Ready"), ~phase_is("Ready")
    enough = anyio.Event()

    class Counter(Listener[DPU]):
        def changed(self, _: Any) -> None:
            if meter.tick():
                enough.set()

        def undecodable(self, obj: Any) -> None:
            raise AssertionError(obj)

        def interrupted(self, reason: str) -> None:
            raise AssertionError(reason)

    async with DPFClient(kubeconfig=kubeconfig(host)) as dpf:

        async def worker(name: str) -> None:
            handle = dpf.dpu(name)
            while True:
                await handle.until(is_ready)
                meter.woken += 1
                await handle.until(not_ready)

        async with anyio.create_task_group() as tasks:
            picture = await dpf._entered.picture(DPU)
            picture.reflector.store.listen(Counter())
            for index in range(OBJECTS):
                tasks.start_soon(worker, dpus.name_of(index))
            await enough.wait()
            tasks.cancel_scope.cancel()


async def ours_paced(host: str, meter: EventMeter) -> None:
    from dpf_async import DPFClient  # noqa: PLC0415
    from dpf_async.models import DPU  # noqa: PLC0415
    from dpf_async.watch import Updated  # noqa: PLC0415

    async with DPFClient(kubeconfig=kubeconfig(host)) as dpf, dpf.resource(DPU).watch() as stream:
        async for event in stream:
            if isinstance(event, Updated):
                meter.stamp(event.after.annotations[dpus.STAMP_KEY])
                if meter.tick():
                    return


async def ours_list(host: str) -> Any:
    from dpf_async import DPFClient  # noqa: PLC0415
    from dpf_async.models import DPU  # noqa: PLC0415
    from dpf_async.watch import Synced  # noqa: PLC0415

    async with DPFClient(kubeconfig=kubeconfig(host)) as dpf, dpf.resource(DPU).watch() as stream:
        return [event async for event in _until_synced(stream, Synced)]


async def _until_synced(stream: Any, synced: type) -> AsyncIterator[Any]:
    async for event in stream:
        if isinstance(event, synced):
            return
        yield event.obj


async def ours_models(host: str) -> Any:
    from dpf_async import DPFClient  # noqa: PLC0415
    from dpf_async.models import DPU  # noqa: PLC0415

    async with DPFClient(kubeconfig=kubeconfig(host)) as dpf:
        return (await dpf.resource(DPU).list()).items


WATCHES: dict[str, Watch] = {
    "kubernetes_asyncio": ka_watch,
    "kubernetes_asyncio (partial)": ka_partial_watch,
    "lightkube": lightkube_watch,
    "lightkube (typed by hand)": lightkube_typed_watch,
    "kr8s": kr8s_watch,
}
LISTS: dict[str, Callable[[str], Awaitable[Any]]] = {
    "dpf_async": ours_list,
    "dpf_async (full models)": ours_models,
    "kubernetes_asyncio": ka_list,
    "lightkube": lightkube_list,
    "lightkube (typed by hand)": lightkube_typed_list,
    "kr8s": kr8s_list,
}
IMPORTS = {
    "dpf_async": "dpf_async",
    "dpf_async (full models)": "dpf_async",
    "kubernetes_asyncio": "kubernetes_asyncio.client",
    "kubernetes_asyncio (partial)": "kubernetes_asyncio.client",
    "lightkube": "lightkube.generic_resource",
    "lightkube (typed by hand)": "benchmarks.lightkube_typed",
    "kr8s": "kr8s.asyncio",
}


def set_mode(host: str, **mode: Any) -> None:
    """Tell the load generator what the next watch gets."""
    request = urllib.request.Request(f"{host}/_mode", json.dumps(mode).encode(), method="POST")
    urllib.request.urlopen(request).read()


async def measure(client: str, scenario: str, host: str, count: int) -> dict[str, float]:
    """Run one scenario with one client."""
    if scenario == "list":
        set_mode(host, mode="quiet")
        with ListMeter() as meter:
            objects = await LISTS[client](host)
        return meter.result(len(objects))
    events = EventMeter(count, warmup=1000 if scenario == "burst" else 250)
    set_mode(host, mode=scenario, rate=500)
    if client == "dpf_async":
        await (ours_burst if scenario == "burst" else ours_paced)(host, events)
    else:
        await (burst_of if scenario == "burst" else paced_of)(WATCHES[client], host, events)
    return events.result()


def main() -> None:
    """CLIENT SCENARIO HOST COUNT."""
    import importlib  # noqa: PLC0415

    client, scenario, host, count = sys.argv[1:5]
    importlib.import_module(IMPORTS[client])
    if client.startswith("dpf_async"):
        importlib.import_module("kubernetes_asyncio.client")
    print(json.dumps(asyncio.run(measure(client, scenario, host, int(count)))), flush=True)
    sys.stdout.flush()
    os._exit(0)  # no orderly end: several of the clients warn about streams they left open


if __name__ == "__main__":
    main()
