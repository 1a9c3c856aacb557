"""Whole roads, written in the public API only: a host from unknown to Ready, and from Ready to Ready again.

A flow keeps nothing that the cluster does not have. A worker that is killed and started again calls the flow again, and
it goes on where things stand: what was answered is not asked any more, what was not stands (dpf-facts 13, flows 3, 4,
11).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import anyio

from dpf_async._sdk.partway import partway
from dpf_async._sdk.tasks import task_group
from dpf_async._sdk.waiting import Deadline
from dpf_async._transitions.levels import Level, external_reboot_required, node_effect_held, ready
from dpf_async._transitions.view import NodeView

if TYPE_CHECKING:
    from dpf_async._sdk.client import DPFClient
    from dpf_async._sdk.nodes import NodeHandle
    from dpf_async._sdk.specs import HostSpec

Work = Callable[[str], Awaitable[object]]
"""Something done to a host, given the name of its DPUNode. What it raises ends the flow, and DPF is told nothing."""

_asked: Level[NodeView] = ready | external_reboot_required | node_effect_held


async def provision(
    dpf: DPFClient,
    host: HostSpec,
    *,
    reboot: Work,
    node_effect: Work | None = None,
    timeout: float | None = None,
) -> NodeView:
    """Bring a host from unknown to Ready: register it, give it free when DPF asks, reboot it as often as DPF asks.

    Works for one DPU or several, with or without a hold, for no reboot or many, in any order. Called again for a host
    that is on its way, it goes on; for one that is Ready, it returns at once.

    Args:
        dpf: an entered client.
        host: what the site explorer found.
        reboot: reboots the host; a power cycle serves every kind of reboot DPF may need (dpf-facts 10).
        node_effect: makes the host free to be disturbed, such as draining its tenants; None says that it is.
        timeout: seconds for the waiting; reboot and node_effect are not cut short by it.

    Returns:
        The view in which every DPU of the host was ready.

    Raises:
        WaitTimeout: the host is not Ready in time; the message says where each DPU is.
        DPUFailed: a DPU is in phase Error; the message says why.
        Exception: whatever reboot or node_effect raised; the request it was for stands.
    """
    deadline = Deadline(timeout)
    await dpf.create_dpu_node(host.name, host.devices, labels=host.labels)
    with partway([f"DPUNode {host.name}"], how="registered", then="provision it again to go on from there"):
        return await _attend(dpf.node(host.name), reboot, node_effect, deadline)


async def reprovision(
    dpf: DPFClient,
    node: str,
    *,
    reboot: Work,
    node_effect: Work | None = None,
    replacing: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> NodeView:
    """Make the DPUs of a host anew, and bring it to Ready again.

    Args:
        dpf: an entered client.
        node: name of the DPUNode.
        reboot: as for `provision`.
        node_effect: as for `provision`.
        replacing: the DPUs that are to be replaced, name and uid, as NodeView.uids has them. Store it before the first
            call: with it, a call after a restart knows which DPUs are old. None means every DPU there is now.
        timeout: seconds for the waiting.

    Returns:
        The view in which every DPU of the host was ready; none of them is one of `replacing`.

    Raises:
        NotFound: there is no such DPUNode.
        WaitTimeout, DPUFailed, Exception: as for `provision`.
    """
    deadline = Deadline(timeout)
    handle = dpf.node(node)
    if replacing is None:
        replacing = (await handle.view()).uids
    async with task_group() as tasks:
        done: list[anyio.Event] = []
        for name, uid in replacing.items():
            done.append(anyio.Event())
            tasks.start_soon(_replace, dpf, name, uid, deadline, done[-1])
        for event in done:
            await event.wait()
    return await _attend(handle, reboot, node_effect, deadline)


async def _replace(dpf: DPFClient, name: str, uid: str, deadline: Deadline, done: anyio.Event) -> None:
    await dpf.reprovision_dpu(name, uid=uid, timeout=deadline.left)
    done.set()


async def _attend(node: NodeHandle, reboot: Work, node_effect: Work | None, deadline: Deadline) -> NodeView:
    """Answer whatever DPF asks about a host until every DPU of it is ready."""
    while True:
        view = await node.until(_asked, timeout=deadline.left)
        if view.hold is not None:
            # Several workers may attend one host: whoever comes second finds the question answered.
            async with node.node_effect_hold(unless=~node_effect_held, timeout=deadline.left) as hold:
                if hold is not None and node_effect is not None:
                    await node_effect(node.name)
        elif view.external_reboot_required:
            async with node.external_reboot(
                unless=~external_reboot_required, timeout=deadline.left
            ) as request:
                if request is not None:
                    await reboot(node.name)
        else:
            return view
