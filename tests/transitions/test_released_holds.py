"""Released holds that would let a DPU pass Node Effect without a request."""

from __future__ import annotations

import pytest

from dpf_async._api.codec import ObjectState
from dpf_async._transitions.released_holds import release_left_by, stale_release
from dpf_async.models import DPUNodeMaintenance
from tests.support.states import condition, dpu, node, state, view

SERVICE = "dpf-operator-system_compute_dts"
ONE, TWO = "node-1-device-1", "node-1-device-2"


def hold(
    *requestors: str, annotation: str = "false", applied: bool = True, **metadata: object
) -> ObjectState[DPUNodeMaintenance]:
    """A hold, released and applied by default."""
    return state(
        DPUNodeMaintenance,
        "node-1-hold",
        metadata={
            "annotations": {"provisioning.dpu.nvidia.com/wait-for-external-nodeeffect": annotation},
            **metadata,
        },
        spec={"dpuNodeName": "node-1", "nodeEffect": {"hold": True}, "requestor": list(requestors)},
        status={"conditions": [condition("NodeEffectApplied", str(applied))]},
    )


@pytest.mark.parametrize("phase", ["", "Initializing", "Pending", "Node Effect"])
@pytest.mark.parametrize(("annotation", "applied"), [("false", True), ("false", False), ("true", True)])
def test_a_release_whose_requestors_are_services_only_is_stale_for_a_new_dpu(
    phase: str, annotation: str, applied: bool
) -> None:
    held = hold(SERVICE, annotation=annotation, applied=applied)

    found = stale_release(view(node(), dpu(ONE, phase), held))

    assert found is not None
    assert (found.maintenance.name, found.dpus) == ("node-1-hold", (ONE,))


def test_a_release_is_not_stale_for_a_dpu_that_is_a_requestor() -> None:
    assert stale_release(view(node(), dpu(ONE, "Node Effect"), hold(SERVICE, ONE))) is None


@pytest.mark.parametrize("phase", ["OS Installing", "Rebooting", "Node Effect Removal"])
def test_a_release_is_not_stale_while_a_sibling_is_being_provisioned(phase: str) -> None:
    both = (dpu(ONE, phase), dpu(TWO, "Pending", device="device-2"))

    assert stale_release(view(node(), *both, hold(SERVICE))) is None


@pytest.mark.parametrize("phase", ["Error", "Ready"])
def test_a_release_is_stale_if_the_sibling_is_ready_or_failed(phase: str) -> None:
    both = (dpu(ONE, phase), dpu(TWO, "Pending", device="device-2"))

    found = stale_release(view(node(), *both, hold(SERVICE)))

    assert found is not None
    assert found.dpus == (TWO,)


@pytest.mark.parametrize(
    "held",
    [
        pytest.param(hold(SERVICE, annotation="true", applied=False), id="still held"),
        pytest.param(hold(), id="about to be deleted"),
        pytest.param(
            hold(SERVICE, deletionTimestamp="2026-06-01T10:00:00Z", finalizers=["x/y"]), id="being deleted"
        ),
    ],
)
def test_a_hold_that_waits_or_is_being_deleted_is_not_a_stale_release(
    held: ObjectState[DPUNodeMaintenance],
) -> None:
    assert stale_release(view(node(), dpu(ONE, "Pending"), held)) is None


def test_deleting_the_only_dpu_in_progress_leaves_a_release_with_services_as_requestors() -> None:
    found = release_left_by(view(node(), dpu(ONE, "OS Installing"), hold(SERVICE, ONE)), {ONE})

    assert found is not None
    assert found.dpus == (ONE,)


def test_deleting_one_of_two_dpus_in_progress_leaves_a_release_that_is_in_use() -> None:
    both = (dpu(ONE, "OS Installing"), dpu(TWO, "OS Installing", device="device-2"))
    held = hold(SERVICE, ONE, TWO)

    assert release_left_by(view(node(), *both, held), {ONE}) is None
    assert release_left_by(view(node(), *both, held), {ONE, TWO}) is not None


def test_no_release_is_left_without_other_requestors_or_without_a_release() -> None:
    in_progress = dpu(ONE, "OS Installing")

    assert release_left_by(view(node(), in_progress, hold(ONE)), {ONE}) is None
    assert (
        release_left_by(
            view(node(), in_progress, hold(SERVICE, ONE, annotation="true", applied=False)), {ONE}
        )
        is None
    )
    assert release_left_by(view(node(), dpu(ONE, "Ready")), {ONE}) is None
