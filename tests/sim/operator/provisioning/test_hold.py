"""hold: the steps of a DPUNodeMaintenance."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dpf_async.models import (
    known,
)
from dpf_async.sim.operator.provisioning import hold
from tests.sim.operator.objects import (
    NOW,
    SETTINGS,
    make_condition,
    make_maintenance,
)

HOLD = known.WAIT_FOR_EXTERNAL_NODE_EFFECT


@pytest.mark.parametrize(
    ("value", "status", "reason"),
    [
        *((word, "True", "Success") for word in ("0", "f", "F", "false", "FALSE", "False")),
        *((word, "False", "NodeEffectIsProcessing") for word in ("1", "t", "T", "true", "TRUE", "True")),
        *((word, "False", "Error") for word in ("no", "", "fAlse", "null")),
    ],
)
def test_the_hold_annotation_is_parsed_like_go_parse_bool(value: str, status: str, reason: str) -> None:
    effect = _effect(metadata={"annotations": {HOLD: value}})

    (applied,) = effect.status.conditions
    assert (applied.status, applied.reason) == (status, reason)
    assert not effect.annotate


def test_an_absent_hold_annotation_is_added() -> None:
    effect = _effect()

    assert effect.annotate
    assert effect.started
    assert effect.status.conditions[0].message == hold.WAITING_FOR_EXTERNAL


@pytest.mark.parametrize(
    ("devices", "force", "left"), [(1, False, math.inf), (2, False, 30.0), (2, True, math.inf)]
)
def test_the_effect_waits_for_other_dpus_of_the_host_unless_force_is_set(
    devices: int, force: bool, left: float
) -> None:
    effect = _effect(devices=devices, effect={"hold": True, "force": force})

    assert effect.left == left
    assert effect.started is (left == math.inf)


def test_max_unavailable_nodes_delays_every_effect_without_force() -> None:
    waiting = _effect(unavailable=50)
    forced = _effect(unavailable=50, effect={"hold": True, "force": True})

    assert waiting.status.conditions[0].reason == "Pending"
    assert waiting.status.node_effect_sync_start_time is None
    assert forced.started


@pytest.mark.parametrize("reason", ["NodeEffectIsProcessing", "Error"])
def test_a_started_effect_continues_when_the_limit_is_exceeded(reason: str) -> None:
    begun = [make_condition("NodeEffectApplied", "False", reason)]

    assert _effect(unavailable=50, conditions=begun).started
    assert not _effect(
        unavailable=50, conditions=[make_condition("NodeEffectApplied", "False", "Pending")]
    ).started


def test_hold_false_is_applied_without_a_request() -> None:
    assert _effect(effect={"hold": False}).status.conditions[0].status == "True"


def _effect(
    *, devices: int = 1, unavailable: int = 0, metadata: Any = None, effect: Any = None, **status: Any
) -> hold.Effect:
    return hold.step(
        make_maintenance(metadata=metadata, effect=effect, **status),
        devices=devices,
        unavailable=unavailable,
        action_left=0.0,
        settings=SETTINGS,
        now=NOW,
    )
