"""The demo: provision a site and its hosts on the simulated site, reprovision one of them, and show the times."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import anyio
from rich.live import Live

from dpf_async import DPFClient, HostSpec, load_hosts, load_site, provision, reprovision
from dpf_async._base.tasks import background_tasks
from dpf_async.cli import console
from dpf_async.cli.progress_table import ProgressTable
from dpf_async.levels import services_ready
from dpf_async.sim import Simulator

_ACTION_SECONDS = 0.7
"""Seconds of a simulated drain or power cycle: long enough to be seen."""

_STAGE_TIMEOUT = 50.0
"""Seconds for each stage: the demo ends within a minute, and reports what is missing if a stage does not succeed."""


async def demo(
    site_file: Path, hosts_file: Path, troubles: Iterable[str], *, kubeconfig: Path | None, namespace: str
) -> None:
    """Run the demo; a stage that does not succeed raises the error of the library.

    With a kubeconfig it runs on that API server, and its objects remain there.
    """
    began = time.monotonic()
    site = load_site(site_file)
    hosts = load_hosts(hosts_file, site)
    devices = sum(len(host.devices) for host in hosts)
    console.out.print(
        f"site: {len(site.groups)} groups ({', '.join(site.groups)}), {len(site.services)} services;"
        f" {len(hosts)} hosts with {devices} DPUs"
    )
    server = None if kubeconfig is None else str(kubeconfig)
    simulator = Simulator(profile="demo", troubles=troubles, kubeconfig=server, namespace=namespace)
    async with simulator as sim, sim.client() as dpf:
        console.out.print(f"simulated site: {sim.url}, namespace {namespace}")
        objects = await dpf.create_initialization_objects(site, bmc_password="simulated")  # noqa: S106  it is
        await dpf.site_accepted(site, timeout=_STAGE_TIMEOUT)
        console.out.print(f"{len(objects)} objects created, every DPUDeployment accepted")
        table = ProgressTable()
        worker = _Worker(dpf, table)
        async with _displayed(dpf, table, began):
            async with anyio.create_task_group() as tasks:
                for host in hosts:
                    tasks.start_soon(worker.provision, host)
            smallest = min(hosts, key=lambda host: len(host.devices))
            await worker.reprovision(smallest)
        console.out.print(table.summary(worker.services))
        console.out.print(f"{smallest.name} was provisioned, and then reprovisioned")
    console.out.print(f"done in {time.monotonic() - began:.0f} s; no process is left running")


class _Worker:
    """The part of Carbide, with simulated drains and power cycles."""

    def __init__(self, dpf: DPFClient, table: ProgressTable) -> None:
        self.services: dict[str, str] = {}
        """The state of the services by uid of the DPU."""
        self._dpf = dpf
        self._table = table

    async def provision(self, host: HostSpec) -> None:
        await provision(
            self._dpf, host, reboot=self._power_cycle, node_effect=self._drain, timeout=_STAGE_TIMEOUT
        )
        await self._wait_for_services(host)

    async def reprovision(self, host: HostSpec) -> None:
        await reprovision(
            self._dpf, host.name, reboot=self._power_cycle, node_effect=self._drain, timeout=_STAGE_TIMEOUT
        )
        await self._wait_for_services(host)

    async def _drain(self, node: str) -> None:
        await self._simulate(node, "draining tenants")

    async def _power_cycle(self, node: str) -> None:
        await self._simulate(node, "power cycling")

    async def _simulate(self, node: str, action: str) -> None:
        self._table.activity[node] = action
        await anyio.sleep(_ACTION_SECONDS)

    async def _wait_for_services(self, host: HostSpec) -> None:
        view = await self._dpf.node(host.name).until(services_ready, timeout=_STAGE_TIMEOUT)
        self.services |= {dpu.uid: "yes" for dpu in view.dpus}


@asynccontextmanager
async def _displayed(dpf: DPFClient, table: ProgressTable, began: float) -> AsyncIterator[None]:
    """Show every transition while the block runs: as a live table on a terminal, otherwise as lines."""
    out = console.out
    async with background_tasks() as tasks, dpf.transitions() as stream:

        async def follow() -> None:
            async for transition in stream:
                line = table.update(transition)
                if line and not out.is_terminal:
                    out.print(f"{time.monotonic() - began:6.1f} s  {line}")

        tasks.start_soon(follow)
        screen = Live(get_renderable=table.live, console=out, refresh_per_second=8)
        with screen if out.is_terminal else nullcontext():
            yield
