"""Events, selected as kubectl describe does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.apiserver.api import NAMESPACE, serving

EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"


def event(name: str, /, **about: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "involvedObject": {"kind": "Widget", "namespace": NAMESPACE, **about},
        "reason": "Made",
        "type": "Normal",
    }


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("involvedObject.kind=Widget,involvedObject.name=a,involvedObject.uid=1", ["first"]),
        ("involvedObject.name=a", ["first"]),
        ("involvedObject.name!=a,type=Normal,reason=Made", ["second"]),
        ("type=Warning", []),
    ],
)
async def test_events_are_selected_by_the_involved_object(selector: str, names: list[str]) -> None:
    async with serving() as api:
        await api.create(EVENTS, event("first", name="a", uid="1"))
        await api.create(EVENTS, event("second", name="b", uid="2"))

        reply = await api.get(EVENTS, fieldSelector=selector)

    assert [item["metadata"]["name"] for item in reply.body["items"]] == names


async def test_events_cannot_be_selected_by_other_fields() -> None:
    async with serving() as api:
        reply = await api.get(EVENTS, fieldSelector="message=hello")

    assert reply.code == 400
