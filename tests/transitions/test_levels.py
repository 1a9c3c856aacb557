"""Levels compose, and keep their names."""

from __future__ import annotations

from dpf_async._transitions.view import DPUView, NodeView
from dpf_async.levels import Level, external_reboot_required, node_effect_held, phase_is, ready
from tests.support.states import dpu, maintenance, node, view

REBOOT = view(node(reboot=True), dpu(phase="Rebooting"))
HELD = view(node(), dpu(phase="Node Effect"), maintenance())
READY = view(node(), dpu())


def test_either_both_and_neither_are_levels_again() -> None:
    either = ready | external_reboot_required
    both = external_reboot_required & ~node_effect_held

    assert [either.holds(one) for one in (REBOOT, HELD, READY)] == [True, False, True]
    assert [both.holds(one) for one in (REBOOT, HELD, READY)] == [True, False, False]
    assert (~(either)).holds(HELD)


def test_the_name_of_a_composed_level_says_what_it_is_made_of() -> None:
    level = (ready | external_reboot_required) & ~node_effect_held

    assert level.name == "ready or external reboot required and not (node effect held)"
    assert repr(ready) == "<Level ready>"


def test_waiting_for_error_deletion_or_not_something_makes_sense_while_a_dpu_has_failed() -> None:
    assert phase_is("Error").survives_failure
    assert phase_is("Deleting", "Ready").survives_failure
    assert (~ready).survives_failure
    assert not ready.survives_failure
    assert not (ready | external_reboot_required).survives_failure


def test_a_phase_level_knows_phases_of_other_releases() -> None:
    assert phase_is("Update Firmware").holds(DPUView(dpu(phase="Update Firmware")))
    assert not phase_is("Ready", "Error").holds(DPUView(dpu(phase="Update Firmware")))


def test_a_level_of_ones_own_is_a_function_with_a_name() -> None:
    two_dpus: Level[NodeView] = Level("two DPUs", lambda node_view: len(node_view.dpus) == 2)

    assert not two_dpus.holds(READY)
