"""One client, one scenario, one process: prints one JSON line.

`python -m benchmarks.clients CLIENT SCENARIO HOST COUNT`

Every client does the same work: it watches the DPUs, and an event that turns one of 1,000 DPUs Ready wakes the wait for
it. dpf_async does that with `until`; for the others it is written next to the watch, as their users have to write it: a
dict from name to future. In the paced scenario an `async for` reads every event with the time at which it was sent.
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

import anyio

from benchmarks import dpus
from benchmarks.load import OBJECTS
from benchmarks.measure import LatencyMeter, ListMeter, MeterError, WakeMeter

Watch = Callable[[str], AsyncIterator[tuple[str, str, str]]]
"""Yields name, phase and stamp of each event. Any in this module: types of other libraries."""
Start = Callable[[], Awaitable[object]]
"""Starts the burst at the load generator."""

WARMUP = 14_000
"""Events of a burst before the meter starts: each of the 1,000 waits is woken once."""
WARMUP_KR8S = 1_000
"""kr8s takes 2 ms per event."""
LIMIT = 120.0
"""Seconds for one run; the slowest client needs about 10 on an idle machine."""

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


async def burst_of(
    watch: Watch, host: str, meter: WakeMeter, start: Start, *, objects: int = OBJECTS
) -> None:
    """A watch, and next to it what its user writes so that an event wakes the wait for its DPU."""
    loop = asyncio.get_running_loop()
    waiting: dict[str, asyncio.Future[None]] = {}

    async def worker(name: str) -> None:
        while True:
            future = waiting[name] = loop.create_future()
            meter.register(name)
            await future
            meter.wake(name)

    async def mark(name: str, reached: Callable[[], None]) -> None:
        future = waiting[name] = loop.create_future()
        meter.register(name)
        await future
        reached()

    async def reader() -> None:
        seen = 0
        async with aclosing(watch(host)) as stream:  # type: ignore[type-var]
            async for name, phase, _ in stream:
                if phase == "Ready" and (future := waiting.get(name)) is not None and not future.done():
                    future.set_result(None)
                seen += 1
                if seen % 64 == 0:
                    await asyncio.sleep(0)  # a burst never suspends: let the woken workers run

    async with anyio.create_task_group() as tasks:
        for index in range(objects):
            tasks.start_soon(worker, dpus.name_of(index))
        tasks.start_soon(mark, dpus.name_of(objects), meter.begin)
        tasks.start_soon(mark, dpus.name_of(objects + 1), meter.end)
        await meter.arm()
        tasks.start_soon(reader)
        await start()
        await meter.ended.wait()
        tasks.cancel_scope.cancel()


async def paced_of(watch: Watch, host: str, meter: LatencyMeter) -> None:
    async with aclosing(watch(host)) as stream:  # type: ignore[type-var]
        async for _, _, stamp in stream:
            if meter.stamp(stamp):
                return


# dpf_async


async def ours_burst(host: str, meter: WakeMeter, start: Start, *, objects: int = OBJECTS) -> None:
    from dpf_async import DPFClient  # noqa: PLC0415
    from dpf_async.levels import Level, phase_is  # noqa: PLC0415

    is_ready, not_ready = phase_is("Ready"), ~phase_is("Ready")

    def registering(name: str) -> Level[Any]:
        """The level "Ready", whose first evaluation registers the wait: it evaluates the cache and becomes pending."""

        def holds(view: Any) -> bool:
            meter.register(name)
            return is_ready.holds(view)

        return Level(is_ready.name, holds)

    async with DPFClient(kubeconfig=kubeconfig(host)) as dpf:

        async def worker(name: str) -> None:
            handle = dpf.dpu(name)
            await handle.until(registering(name))
            while True:
                meter.wake(name)
                await handle.until(not_ready)
                await handle.until(is_ready)

        async def mark(name: str, reached: Callable[[], None]) -> None:
            await dpf.dpu(name).until(registering(name))
            reached()

        async with anyio.create_task_group() as tasks:
            for index in range(objects):
                tasks.start_soon(worker, dpus.name_of(index))
            tasks.start_soon(mark, dpus.name_of(objects), meter.begin)
            tasks.start_soon(mark, dpus.name_of(objects + 1), meter.end)
            await meter.arm()
            await start()
            await meter.ended.wait()
            tasks.cancel_scope.cancel()
        for name, health in dpf.health.items():
            if health.relists or health.reconnects or health.duplicates:
                raise MeterError(
                    f"the watch of {name} was interrupted: not every event was applied once: {health}"
                )


async def ours_paced(host: str, meter: LatencyMeter) -> None:
    from dpf_async import DPFClient  # noqa: PLC0415
    from dpf_async.models import DPU  # noqa: PLC0415
    from dpf_async.watch import Updated  # noqa: PLC0415

    async with DPFClient(kubeconfig=kubeconfig(host)) as dpf, dpf.resource(DPU).watch() as stream:
        async for event in stream:
            if isinstance(event, Updated) and meter.stamp(event.after.annotations[dpus.STAMP_KEY]):
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
    "lightkube (manually written types)": lightkube_typed_watch,
    "kr8s": kr8s_watch,
}
LISTS: dict[str, Callable[[str], Awaitable[Any]]] = {
    "dpf_async": ours_list,
    "dpf_async (full models)": ours_models,
    "kubernetes_asyncio": ka_list,
    "lightkube": lightkube_list,
    "lightkube (manually written types)": lightkube_typed_list,
    "kr8s": kr8s_list,
}
IMPORTS = {
    "dpf_async": "dpf_async",
    "dpf_async (full models)": "dpf_async",
    "kubernetes_asyncio": "kubernetes_asyncio.client",
    "kubernetes_asyncio (partial)": "kubernetes_asyncio.client",
    "lightkube": "lightkube.generic_resource",
    "lightkube (manually written types)": "benchmarks.lightkube_typed",
    "kr8s": "kr8s.asyncio",
}


def post(url: str, **document: Any) -> None:
    """Send a JSON document to the load generator."""
    request = urllib.request.Request(url, json.dumps(document).encode(), method="POST")
    urllib.request.urlopen(request).read()


async def measure(client: str, scenario: str, host: str, count: int) -> dict[str, float]:
    """Run one scenario with one client.

    Raises:
        MeterError: the client did not do the work.
    """
    if scenario == "list":
        post(f"{host}/_mode", mode="quiet")
        with ListMeter() as meter:
            objects = await LISTS[client](host)
        return meter.result(len(objects))
    if scenario == "paced":
        post(f"{host}/_mode", mode="paced", rate=500)
        latencies = LatencyMeter(count, warmup=250)
        await (
            ours_paced(host, latencies)
            if client == "dpf_async"
            else paced_of(WATCHES[client], host, latencies)
        )
        return latencies.result()
    warmup = WARMUP_KR8S if client == "kr8s" else WARMUP
    post(f"{host}/_mode", mode="burst", warmup=warmup, events=count)
    burst = WakeMeter(
        [dpus.name_of(index) for index in range(OBJECTS + 2)],
        events=count,
        due=dpus.wakes(warmup, count, OBJECTS),
    )

    async def start() -> None:
        await asyncio.to_thread(post, f"{host}/_start")

    try:
        async with asyncio.timeout(LIMIT):
            if client == "dpf_async":
                await ours_burst(host, burst, start)
            else:
                await burst_of(WATCHES[client], host, burst, start)
    except TimeoutError as error:
        raise MeterError(f"the burst did not end within {LIMIT:.0f} s: {burst}") from error
    return burst.result()


def main() -> None:
    """CLIENT SCENARIO HOST COUNT."""
    import importlib  # noqa: PLC0415

    client, scenario, host, count = sys.argv[1:5]
    importlib.import_module(IMPORTS[client])
    if client.startswith("dpf_async"):
        importlib.import_module("kubernetes_asyncio.client")
    status = 0
    try:
        print(json.dumps(asyncio.run(measure(client, scenario, host, int(count)))), flush=True)
    except* MeterError as errors:
        status = 1
        for error in errors.exceptions:
            print(f"{client}, {scenario}: {error}", file=sys.stderr, flush=True)
    os._exit(
        status
    )  # skip the interpreter's shutdown: several clients warn about streams that are still open


if __name__ == "__main__":
    main()
