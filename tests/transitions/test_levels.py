"""Levels: combination, names, and phases."""

from __future__ import annotations

from dpf_async._transitions.views import DPUView, NodeView
from dpf_async.levels import Level, external_reboot_required, node_effect_held, phase_is, ready
from tests.support.states import dpu, maintenance, node, view

REBOOT = view(node(reboot=True), dpu(phase="Rebooting"))
HELD = view(node(), dpu(phase="Node Effect"), maintenance())
READY = view(node(), dpu())


def test_or_and_not_of_levels_are_levels() -> None:
    either = ready | external_reboot_required
    both = external_reboot_required & ~node_effect_held

    assert [either.holds(one) for one in (REBOOT, HELD, READY)] == [True, False, True]
    assert [both.holds(one) for one in (REBOOT, HELD, READY)] == [True, False, False]
    assert (~(either)).holds(HELD)


def test_the_name_of_a_combined_level_contains_the_names_of_its_parts() -> None:
    level = (ready | external_reboot_required) & ~node_effect_held

    assert level.name == "ready or external reboot required and not (node effect held)"
    assert repr(ready) == "<Level ready>"


def test_levels_of_error_and_deletion_and_negations_survive_the_failure_of_a_dpu() -> None:
    assert phase_is("Error").survives_failure
    assert phase_is("Deleting", "Ready").survives_failure
    assert (~ready).survives_failure
    assert not ready.survives_failure
    assert not (ready | external_reboot_required).survives_failure


def test_phase_is_accepts_phases_of_other_releases() -> None:
    assert phase_is("Update Firmware").holds(DPUView(dpu(phase="Update Firmware")))
    assert not phase_is("Ready", "Error").holds(DPUView(dpu(phase="Update Firmware")))


def test_a_level_can_be_made_of_a_name_and_a_function() -> None:
    two_dpus: Level[NodeView] = Level("two DPUs", lambda node_view: len(node_view.dpus) == 2)

    assert not two_dpus.holds(READY)
