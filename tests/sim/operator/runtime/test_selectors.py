"""selectors: whether labels match."""

from __future__ import annotations

import pytest

from dpf_async.models import (
    LabelSelector,
    NodeSelector,
)
from dpf_async.sim.operator.runtime.selectors import matches, matches_node


@pytest.mark.parametrize(
    ("operator", "values", "expected"),
    [
        ("In", ["b"], True),
        ("In", ["c"], False),
        ("NotIn", ["c"], True),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Near", ["b"], False),
    ],
)
def test_a_selector_matches_labels(operator: str, values: list[str], expected: bool) -> None:
    requirement = {"key": "a", "operator": operator, "values": values}
    labels = {"a": "b", "c": "d"}

    by_labels = LabelSelector.from_wire({"matchLabels": {"c": "d"}, "matchExpressions": [requirement]})
    by_node = NodeSelector.from_wire({"nodeSelectorTerms": [{"matchExpressions": [requirement]}]})

    assert matches(by_labels, labels) == matches_node(by_node, labels) == expected
    assert matches(None, labels)
    assert not matches(by_labels, {"a": "b"})
