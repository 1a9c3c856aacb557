"""Phases are open enumerations: any text, with names for known values."""

from __future__ import annotations

import copy
import pickle
from typing import assert_type

import pytest

from dpf_async.models import BFBPhase, DPUClusterPhase, DPUPhase


def meaning(phase: DPUPhase) -> str:
    match phase:
        case DPUPhase.READY:
            return "ready"
        case DPUPhase.NODE_EFFECT | DPUPhase.NODE_EFFECT_REMOVAL:
            return "effect"
        case _:
            return "other"


def test_a_phase_equals_its_text() -> None:
    phase = DPUPhase("Node Effect")

    assert phase == "Node Effect" == DPUPhase.NODE_EFFECT
    assert hash(phase) == hash("Node Effect")
    assert f"{phase}" == "Node Effect"
    assert {phase: 1} == {"Node Effect": 1}


def test_phases_work_in_value_patterns() -> None:
    assert meaning(DPUPhase("Ready")) == "ready"
    assert meaning(DPUPhase("Node Effect Removal")) == "effect"
    assert meaning(DPUPhase("Something New")) == "other"


def test_a_named_phase_is_an_instance_of_its_class() -> None:
    assert_type(DPUPhase.READY, DPUPhase)
    assert_type(BFBPhase.READY, BFBPhase)

    assert isinstance(DPUPhase.READY, DPUPhase)
    assert isinstance(BFBPhase.READY, BFBPhase)


@pytest.mark.parametrize(
    ("phase", "known"),
    [
        (DPUPhase.READY, True),
        (DPUPhase("OS Installing"), True),
        (DPUPhase("DMS Deployment"), True),  # v24.10, v25.1
        (DPUPhase("Update Firmware"), True),  # after v26.4
        (DPUPhase("ready"), False),
        (DPUPhase(""), False),
        (BFBPhase("Downloading"), True),
        (BFBPhase("OS Installing"), False),
        (DPUClusterPhase("NotReady"), True),
    ],
)
def test_known_is_true_for_values_of_known_releases(phase: DPUPhase, known: bool) -> None:
    assert phase.known is known


def test_values_are_those_of_this_release_and_others_have_their_releases() -> None:
    assert len(DPUPhase.VALUES) == 17
    assert DPUPhase.VALUES[0] == "Initializing"
    assert DPUPhase.OTHER_RELEASES == {
        "DMS Deployment": "v24.10, v25.1",
        "Update Firmware": "after v26.4",
        "Host OS Init Release": "after v26.4",
        "Service Readiness": "after v26.4",
    }


def test_a_phase_can_be_copied_and_pickled() -> None:
    for again in (copy.deepcopy(DPUPhase.READY), pickle.loads(pickle.dumps(DPUPhase.READY))):
        assert again == DPUPhase.READY
        assert isinstance(again, DPUPhase)
