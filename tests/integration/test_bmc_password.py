"""The Secret with the BMCs' password, on a server that keeps it and a site whose operator reads it."""

from __future__ import annotations

import anyio
import pytest

from dpf_async import DPFClient, ObjectState
from dpf_async.errors import Forbidden
from dpf_async.levels import Level
from dpf_async.models import DPUDevice, Secret, known
from dpf_async.sim.simulator import PASSWORD, minimal_site
from tests.integration.backends import Backend


async def in_the_secret(dpf: DPFClient) -> bytes | None:
    """What the Secret has, as its owner may see it."""
    return (await dpf.resource(Secret).get(known.BMC_PASSWORD_SECRET)).value(known.BMC_PASSWORD_KEY)


async def test_a_rotated_password_reaches_a_secret_that_somebody_else_made(backend: Backend) -> None:
    passwords = ["first", "second"]

    async def provider() -> str:
        return passwords[0]

    async with backend.cluster() as site:
        # As kubectl makes it: our write takes the field over (dpf-facts 12.3 #1).
        made = Secret.model_validate(
            {
                "metadata": {"name": known.BMC_PASSWORD_SECRET},
                "data": {known.BMC_PASSWORD_KEY: Secret.encoded(b"stale")},
            }
        )
        await site.dpf.resource(Secret).create(made)

        async with site.dpf.bmc_password(provider) as kept:
            assert await in_the_secret(site.dpf) == b"first"
            del passwords[0]
            await kept.refresh()

            assert await in_the_secret(site.dpf) == b"second"


async def test_a_permission_that_is_taken_away_ends_the_block(backend: Backend) -> None:
    asked = 0

    async def provider() -> str:
        nonlocal asked
        asked += 1
        return f"password-{asked}"

    async with backend.cluster() as site:

        async def keep() -> None:
            async with site.dpf.bmc_password(provider, every=0.01):
                site.server.faults.deny(verb="patch", resource="secrets")
                await anyio.sleep_forever()

        with anyio.fail_after(60), pytest.raises(Forbidden, match=f"Secret {known.BMC_PASSWORD_SECRET}"):
            await keep()


async def test_devices_that_wait_for_a_password_go_on_when_there_is_one(backend: Backend) -> None:
    async def provider() -> str:
        return PASSWORD

    initialized: Level[ObjectState[DPUDevice]] = Level(
        "initialized",
        lambda state: (one := state.condition("Initialized")) is not None and one.status == "True",
    )
    async with backend.simulator() as sim, sim.client() as dpf:
        await dpf.create_initialization_objects(minimal_site())
        host = await sim.register_host()
        device = dpf.handle(DPUDevice, host.devices[0].name)
        await sim.settled()
        assert not initialized.holds(await device.view())

        async with dpf.bmc_password(provider):
            await device.until(initialized, timeout=60)
