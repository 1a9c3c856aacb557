"""The demo: a site and its hosts from nothing to Ready on the simulated site, one DPU made anew, and what it took."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path

import anyio
from rich.live import Live

from dpf_async import DPFClient, HostSpec, load_hosts, load_site, provision, reprovision
from dpf_async._base.tasks import background_tasks
from dpf_async.cli.console import out
from dpf_async.cli.progress_table import Board
from dpf_async.levels import services_ready
from dpf_async.sim import Simulator

_PRETENCE = 0.7
"""Seconds that a pretended drain or power cycle takes: long enough to be seen."""

_PATIENCE = 50.0
"""Seconds for each stage: the demo promises to be over in a minute, and says where it hangs if it is not."""


async def demo(
    site_file: Path, hosts_file: Path, troubles: Iterable[str], *, kubeconfig: Path | None, namespace: str
) -> None:
    """Run it; a stage that does not succeed raises what the library raises.

    With a kubeconfig, it is played on that API server, and what it writes stays there.
    """
    began = time.monotonic()
    site = load_site(site_file)
    hosts = load_hosts(hosts_file, site)
    devices = sum(len(host.devices) for host in hosts)
    out.print(
        f"site: {len(site.groups)} groups ({', '.join(site.groups)}), {len(site.services)} services;"
        f" {len(hosts)} hosts with {devices} DPUs"
    )
    server = None if kubeconfig is None else str(kubeconfig)
    simulator = Simulator(profile="demo", troubles=troubles, kubeconfig=server, namespace=namespace)
    async with simulator as sim, sim.client() as dpf:
        out.print(f"simulated site: {sim.url}, namespace {namespace}")
        objects = await dpf.create_initialization_objects(site, bmc_password="simulated")  # noqa: S106  it is
        await dpf.site_accepted(site, timeout=_PATIENCE)
        out.print(f"{len(objects)} objects created, every DPUDeployment accepted")
        board = Board()
        worker = _Worker(dpf, board)
        async with _shown(dpf, board, began):
            async with anyio.create_task_group() as tasks:
                for host in hosts:
                    tasks.start_soon(worker.bring_up, host)
            again = min(hosts, key=lambda host: len(host.devices))
            await worker.make_anew(again)
        out.print(board.summary(worker.services))
        out.print(f"{again.name} was provisioned, and then made anew")
    out.print(f"done in {time.monotonic() - began:.0f} s; nothing is left running")


class _Worker:
    """What Carbide does with hosts; what it does to them is pretended."""

    def __init__(self, dpf: DPFClient, board: Board) -> None:
        self.services: dict[str, str] = {}
        """What became of the services, by the DPU's uid."""
        self._dpf = dpf
        self._board = board

    async def bring_up(self, host: HostSpec) -> None:
        await provision(self._dpf, host, reboot=self._power_cycle, node_effect=self._drain, timeout=_PATIENCE)
        await self._see_services(host)

    async def make_anew(self, host: HostSpec) -> None:
        await reprovision(
            self._dpf, host.name, reboot=self._power_cycle, node_effect=self._drain, timeout=_PATIENCE
        )
        await self._see_services(host)

    async def _drain(self, node: str) -> None:
        await self._pretend(node, "draining tenants")

    async def _power_cycle(self, node: str) -> None:
        await self._pretend(node, "power cycling")

    async def _pretend(self, node: str, what: str) -> None:
        self._board.doing[node] = what
        await anyio.sleep(_PRETENCE)

    async def _see_services(self, host: HostSpec) -> None:
        view = await self._dpf.node(host.name).until(services_ready, timeout=_PATIENCE)
        self.services |= {dpu.uid: "yes" for dpu in view.dpus}


@asynccontextmanager
async def _shown(dpf: DPFClient, board: Board, began: float) -> AsyncIterator[None]:
    """Show every transition while the block runs: as a live table on a screen, as lines elsewhere."""
    async with background_tasks() as tasks, dpf.transitions() as stream:

        async def follow() -> None:
            async for transition in stream:
                line = board.tell(transition)
                if line and not out.is_terminal:
                    out.print(f"{time.monotonic() - began:6.1f} s  {line}")

        tasks.start_soon(follow)
        screen = Live(get_renderable=board.live, console=out, refresh_per_second=8)
        with screen if out.is_terminal else nullcontext():
            yield
