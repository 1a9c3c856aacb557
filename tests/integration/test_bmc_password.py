"""The Secret with the BMC password on an API server, and in a site whose operator reads it."""

from __future__ import annotations

import anyio
import pytest

from dpf_async import DPFClient, ObjectState
from dpf_async.errors import Forbidden
from dpf_async.levels import Level
from dpf_async.models import DPUDevice, Secret, known
from dpf_async.sim.simulator import PASSWORD, minimal_site
from tests.integration.backends import Backend


async def stored_password(dpf: DPFClient) -> bytes | None:
    """The password that the Secret contains."""
    return (await dpf.resource(Secret).get(known.BMC_PASSWORD_SECRET)).value(known.BMC_PASSWORD_KEY)


async def test_a_rotated_password_is_written_to_a_secret_of_another_field_manager(backend: Backend) -> None:
    passwords = ["first", "second"]

    async def provider() -> str:
        return passwords[0]

    async with backend.cluster() as site:
        # As created by kubectl: our write takes the ownership of the field (docs/dpf/sdk.md#secret-update).
        existing = Secret.model_validate(
            {
                "metadata": {"name": known.BMC_PASSWORD_SECRET},
                "data": {known.BMC_PASSWORD_KEY: Secret.encoded(b"stale")},
            }
        )
        await site.dpf.resource(Secret).create(existing)

        async with site.dpf.bmc_password(provider) as kept:
            assert await stored_password(site.dpf) == b"first"
            del passwords[0]
            await kept.refresh()

            assert await stored_password(site.dpf) == b"second"


async def test_a_revoked_permission_ends_the_block(backend: Backend) -> None:
    calls = 0

    async def provider() -> str:
        nonlocal calls
        calls += 1
        return f"password-{calls}"

    async with backend.cluster() as site:

        async def keep() -> None:
            async with site.dpf.bmc_password(provider, every=0.01):
                site.server.faults.deny(verb="patch", resource="secrets")
                await anyio.sleep_forever()

        with anyio.fail_after(60), pytest.raises(Forbidden, match=f"Secret {known.BMC_PASSWORD_SECRET}"):
            await keep()


async def test_devices_are_initialized_once_the_password_is_written(backend: Backend) -> None:
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
