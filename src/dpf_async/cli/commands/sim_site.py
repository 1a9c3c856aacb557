"""`dpf-async sim up`: the simulated site as a separate process, for kubectl and any other client."""

from __future__ import annotations

import shlex
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from dpf_async import HostSpec, SiteSpec, load_hosts, load_site
from dpf_async._base.tasks import background_tasks
from dpf_async.cli import console
from dpf_async.errors import UsageError
from dpf_async.sim import Simulator

_ACCEPTANCE_TIMEOUT = 60.0
"""Seconds until a site is accepted; chosen: it takes a few seconds on a busy machine."""


async def up(
    *,
    kubeconfig: Path,
    site_file: Path | None,
    hosts_file: Path | None,
    port: int,
    profile: str,
    troubles: Iterable[str],
) -> None:
    """Run a site until it is interrupted or terminated; write a kubeconfig for it.

    A site file is applied and accepted, and the hosts are registered, before the address of the site is printed.

    Raises:
        UsageError: hosts without a site, an invalid site or host file, or a port that is in use.
    """
    if hosts_file is not None and site_file is None:
        raise UsageError("--hosts needs --site, the site file whose groups the hosts belong to")
    site = load_site(site_file) if site_file is not None else None
    hosts = load_hosts(hosts_file, site) if hosts_file is not None and site is not None else []
    async with background_tasks() as tasks:
        with anyio.CancelScope() as scope:
            await tasks.start(_stop_on_sigterm, scope)
            async with _running(Simulator(profile=profile, troubles=troubles, port=port), port) as sim:
                if site is not None:
                    console.out.print(await _define(sim, site, hosts))
                sim.write_kubeconfig(kubeconfig)
                _print_next_steps(sim.url, profile, kubeconfig)
                await anyio.sleep_forever()


def _print_next_steps(url: str, profile: str, kubeconfig: Path) -> None:
    """Print the address of the site and how to use it."""
    console.out.print(f"simulated site: {url}, profile {profile}; Ctrl-C stops it")
    console.out.print("in another terminal:")
    console.out.print(f"  export KUBECONFIG={shlex.quote(str(kubeconfig))}", soft_wrap=True)
    console.out.print("  kubectl get dpunodes,dpus,dpunodemaintenances")
    console.out.print("  dpf-async watch")


async def _stop_on_sigterm(scope: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
    """End with exit status 0 on SIGTERM, as a service manager expects."""
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()


@asynccontextmanager
async def _running(sim: Simulator, port: int) -> AsyncIterator[Simulator]:
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(sim)
        except OSError as error:
            raise UsageError(
                f"port {port} on 127.0.0.1 cannot be opened: {error.strerror}; choose another with --port"
            ) from error
        yield sim


async def _define(sim: Simulator, site: SiteSpec, hosts: Iterable[HostSpec]) -> str:
    async with sim.client() as dpf:
        await dpf.create_initialization_objects(site, bmc_password="simulated")  # noqa: S106  it is
        await dpf.site_accepted(site, timeout=_ACCEPTANCE_TIMEOUT)
        names = [host.name for host in hosts]
        for host in hosts:
            await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
    return f"{len(site.groups)} groups applied and accepted; {len(names)} hosts registered"
