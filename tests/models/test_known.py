"""The well-known strings include all those in the example objects."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from typing import Any

import pytest

from dpf_async.models import KINDS, DPUPhase, known
from tests.support.shared import shared_path

CLASSES = {name: value for name, value in vars(known).items() if inspect.isclass(value)}
KEYS = {name: value for name, value in vars(known).items() if name.isupper()}


def texts(*classes: Any) -> set[str]:
    return {value for each in classes for name, value in vars(each).items() if name.isupper()}


def examples() -> list[dict[str, Any]]:
    return [each["object"] for each in json.loads(shared_path("dpf-examples.json").read_text())]


def conditions_of(example: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    status = example.get("status", {})
    lists = {
        "conditions": status.get("conditions", ()),
        "operationalConditions": status.get("operationalConditions", ()),
        "agentStatus": status.get("agentStatus", {}).get("conditions", ()),
    }
    for where, conditions in lists.items():
        for condition in conditions:
            yield f"{example['kind']}.{where}", condition["type"], condition["reason"]


VOCABULARY = {
    # The default reason of a condition is its type.
    "DPU.conditions": (known.DPUCondition, known.DPUReason, known.DPUCondition),
    "DPU.operationalConditions": (known.OperationalCondition, known.OperationalReason),
    "DPU.agentStatus": (known.AgentCondition, known.RebootMethod),
    "DPUNode.conditions": (known.DPUNodeCondition, known.DPUNodeReason),
    "DPUDevice.conditions": (known.DPUDeviceCondition, known.DPUDeviceReason, known.CommonReason),
    "DPUNodeMaintenance.conditions": (known.DPUNodeMaintenanceCondition, known.DPUNodeMaintenanceReason),
    "DPUSet.conditions": (known.DPUSetCondition, known.CommonReason),
    "DPUDeployment.conditions": (known.DPUDeploymentCondition, known.CommonReason),
}


def test_every_condition_of_the_examples_is_known() -> None:
    written = {each for example in examples() for each in conditions_of(example)}

    unknown = {
        (where, type_, reason)
        for where, type_, reason in written
        if type_ not in texts(VOCABULARY[where][0]) or reason not in texts(*VOCABULARY[where][1:])
    }

    assert len(written) > 50
    assert not unknown


def test_every_key_and_finalizer_of_the_examples_is_known() -> None:
    prefixes = tuple(value for name, value in KEYS.items() if name.endswith("_PREFIX"))
    found = {
        key
        for example in examples()
        for part in ("labels", "annotations", "finalizers")
        for key in example["metadata"].get(part, ())
    }

    unknown = {key for key in found if key not in KEYS.values() and not key.startswith(prefixes)}

    assert len(found) > 20
    assert not unknown


def test_every_phase_of_the_examples_is_known() -> None:
    phases = {example["status"]["phase"] for example in examples() if example["kind"] == "DPU"}

    assert all(DPUPhase(phase).known for phase in phases)


def test_keys_are_unique() -> None:
    assert len(set(KEYS.values())) == len(KEYS)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_values_of_a_vocabulary_are_unique(name: str) -> None:
    named = [value for key, value in vars(CLASSES[name]).items() if key.isupper()]

    assert len(set(named)) == len(named)


def test_every_known_string_is_public() -> None:
    assert {*KEYS, *CLASSES} == set(known.__all__)


@pytest.mark.parametrize("text", [value for value in KEYS.values() if "/" in value])
def test_a_key_is_in_a_domain_of_dpf_or_carbide(text: str) -> None:
    domain, _, name = text.partition("/")

    assert domain.endswith(("dpu.nvidia.com", "carbide.nvidia.com", "node.kubernetes.io"))
    assert name


def test_the_kinds_are_in_the_three_groups_of_dpf() -> None:
    assert {kind.GROUP for kind in KINDS} == {
        "provisioning.dpu.nvidia.com",
        "svc.dpu.nvidia.com",
        "operator.dpu.nvidia.com",
    }
