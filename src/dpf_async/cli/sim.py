"""The simulated site as a process of its own, for kubectl and any other client."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import anyio

from dpf_async import load_site
from dpf_async.cli.console import out
from dpf_async.sim import Simulator


async def up(
    *, kubeconfig: Path, site_file: Path | None, port: int, profile: str, troubles: Iterable[str]
) -> None:
    """Run a site until interrupted; write a kubeconfig for it, and define a site on it if one is described."""
    site = load_site(site_file) if site_file is not None else None
    async with Simulator(profile=profile, troubles=troubles, port=port) as sim:
        if site is not None:
            async with sim.client() as dpf:
                await dpf.create_initialization_objects(site, bmc_password="simulated")  # noqa: S106  it is
                await dpf.site_accepted(site, timeout=60)
            out.print(f"{site_file}: {len(site.groups)} groups defined and accepted")
        sim.write_kubeconfig(kubeconfig)
        out.print(f"simulated site: {sim.url}, profile {profile}")
        out.print(f"export KUBECONFIG={kubeconfig}", soft_wrap=True)
        out.print("Ctrl-C ends it")
        await anyio.sleep_forever()
