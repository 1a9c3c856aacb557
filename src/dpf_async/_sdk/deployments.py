"""Changing what DPUs are installed with: methods UpdateDPUDeploymentBFB and UpdateDPUDeploymentConfiguration.

With OnDelete, which is what Carbide uses, a change reaches a DPU only when it is reprovisioned (dpf-facts 7.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dpf_async._transitions.levels import accepted
from dpf_async._transitions.view import BFBView
from dpf_async.errors import UsageError
from dpf_async.models import BFB, DPUDeployment, DPUFlavor

if TYPE_CHECKING:
    from dpf_async._sdk.questions import Client


async def use_bfb(dpf: Client, deployment: str, bfb: str, *, timeout: float | None) -> bool:
    """Have a DPUDeployment install this BFB from now on; False if it did already.

    Raises:
        NotFound: there is no such DPUDeployment, or no such BFB.
        UsageError: the BFB is not Ready, or one of the two is being deleted.
    """
    image = BFBView(await dpf.resource(BFB).snapshot(bfb))
    if not image.ready:
        state = "being deleted" if image.state.terminating else f"in phase {image.phase or 'unknown'}"
        raise UsageError(f"BFB {bfb} is {state}: wait until it is Ready, then use it")
    return await _change(dpf, deployment, "bfb", bfb, timeout=timeout)


async def use_flavor(dpf: Client, deployment: str, flavor: str, *, timeout: float | None) -> bool:
    """Have a DPUDeployment configure DPUs by this flavor from now on; False if it did already.

    Raises:
        NotFound: there is no such DPUDeployment, or no such DPUFlavor.
        UsageError: one of the two is being deleted.
    """
    if (await dpf.resource(DPUFlavor).snapshot(flavor)).terminating:
        raise UsageError(f"DPUFlavor {flavor} is being deleted: use another one")
    return await _change(dpf, deployment, "flavor", flavor, timeout=timeout)


async def _change(dpf: Client, deployment: str, field: str, value: str, *, timeout: float | None) -> bool:
    deployments = dpf.resource(DPUDeployment)
    present = await deployments.get(deployment)
    if present.terminating:
        raise UsageError(f"DPUDeployment {deployment} is being deleted: it cannot be changed any more")
    changed = bool(getattr(present.spec.dpus, field) != value)
    if changed:
        await deployments.patch(deployment, {"spec": {"dpus": {field: value}}}, uid=present.uid)
    if timeout is not None:
        await dpf.handle(DPUDeployment, deployment).until(accepted, timeout=timeout)
    return changed
