"""A look at a cluster: how its hosts are, and what happens to them."""

from __future__ import annotations

import json
from typing import Any

from rich.table import Table

from dpf_async import DPFClient, NodeView, Transition
from dpf_async._transitions.view import describe
from dpf_async.cli.console import out
from dpf_async.models import DPUNode


async def status(client: DPFClient, *, as_json: bool) -> None:
    """Every host and its DPUs, once."""
    async with client as dpf:
        await dpf.server_version()
        nodes = await dpf.resource(DPUNode).list()
        views = [await dpf.node(node.name).view() for node in nodes.items]
        if as_json:
            out.print_json(json.dumps([_document(view) for view in views]))
            return
        if not views:
            out.print(f"no DPUNodes in namespace {dpf.namespace}")
            return
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title in ("host", "DPU", "phase", "ready", "services", "waiting for us"):
            table.add_column(title, no_wrap=True)
        for view in views:
            asked = "release" if view.hold else "reboot" if view.external_reboot_required else ""
            if not view.dpus:
                table.add_row(view.name, "", describe(view), "", "", asked)
            for dpu in view.dpus:
                table.add_row(
                    view.name,
                    dpu.name.removeprefix(f"{view.name}-"),
                    describe(dpu),
                    _yes(dpu.ready),
                    _yes(dpu.services_ready),
                    asked,
                )
            for obj in view.unreadable:
                table.add_row(view.name, f"{obj.kind.KIND} {obj.name}", "cannot be read", "no", "no", "")
        out.print(table)


async def watch(client: DPFClient, node: str | None, selector: str) -> None:
    """Transitions, one line each, until interrupted."""
    async with client as dpf:
        await dpf.server_version()
        stream = dpf.node(node).transitions() if node else dpf.transitions(label_selector=selector)
        async with stream:
            async for transition in stream:
                out.print(line(transition), soft_wrap=True, markup=False)


def line(transition: Transition) -> str:
    """A transition in one line: its name, then what it has to say."""
    said = []
    for name in transition.__dataclass_fields__:
        value = getattr(transition, name)
        if name == "contiguous":
            if not value:
                said.append("after a gap")
        elif name in {"before", "after"} and hasattr(value, "status"):
            said.append(f"{name}={value.status}/{value.reason}")
        elif value not in (None, (), ""):
            said.append(f"{name}={','.join(value) if isinstance(value, tuple) else value}")
    return f"{type(transition).__name__:24} {'  '.join(said)}"


def _document(view: NodeView) -> dict[str, Any]:
    return {
        "node": view.name,
        "ready": view.ready,
        "held": view.hold is not None,
        "externalRebootRequired": view.external_reboot_required,
        "dpus": [
            {
                "name": dpu.name,
                "uid": dpu.uid,
                "device": dpu.device,
                "phase": str(dpu.phase),
                "ready": dpu.ready,
                "servicesReady": dpu.services_ready,
            }
            for dpu in view.dpus
        ],
    }


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"
