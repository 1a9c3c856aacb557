"""Comparison of the models with the CRDs of DPF v26.4, which are not part of this project.

Fields are compared in both directions, CEL rules by the values that they accept. Descriptions are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
import yaml

from dpf_async.crds import manifest
from dpf_async.models import KINDS, Resource
from tests.models.cel_rules import accepts
from tests.models.crd_instances import changes, instances, is_transition
from tests.support.crd_compare import Difference, differences, rules_by_path, schema_in
from tests.support.shared import shared_path

# Intended differences: kind, path, keyword, and reason. An entry without a difference fails the test.
NARROW = "only what the flows and the simulated operator read is modelled"
KEEPS = "so that the settings that are not modelled are kept"
EXPLAINED: dict[tuple[str, str, str], str] = {
    ("DPFOperatorConfig", ".spec", "x-kubernetes-preserve-unknown-fields"): KEEPS,
    ("DPFOperatorConfig", ".spec.provisioningController", "x-kubernetes-preserve-unknown-fields"): KEEPS,
    **{
        ("DPFOperatorConfig", f".spec.{field}", "field"): NARROW
        for field in (
            "cniInstaller",
            "dpuDetector",
            "dpuServiceController",
            "flannel",
            "imagePullSecrets",
            "kamajiClusterManager",
            "monitoring",
            "multus",
            "networking",
            "nodeSRIOVDevicePluginController",
            "nvipam",
            "overrides",
            "ovsCNI",
            "provisioningController.controller",
            "provisioningController.image",
            "provisioningController.registry",
            "serviceSetController",
            "sfcController",
            "sriovDevicePlugin",
            "staticClusterManager",
        )
    },
}
# The only rule at a modeled path that reads settings which are not modeled.
UNMODELED_RULE = "!has(self.image) || !has(self.controller) || !has(self.controller.image)"

kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)


def upstream(kind: type[Resource]) -> dict[str, Any]:
    name = f"apiextensions.k8s.io_v1_customresourcedefinition_{kind.PLURAL}.{kind.GROUP}.yaml"
    crd: dict[str, Any] = yaml.safe_load(shared_path("crds", name).read_text())
    return crd


def all_differences() -> list[tuple[str, Difference]]:
    return [
        (kind.KIND, difference)
        for kind in KINDS
        for difference in differences(manifest(kind), upstream(kind))
    ]


@kinds
def test_a_kind_has_only_intended_differences_from_its_upstream_crd(kind: type[Resource]) -> None:
    theirs = upstream(kind)

    found = list(differences(manifest(kind), theirs))

    unexplained = [each for each in found if (kind.KIND, each.path, each.keyword) not in EXPLAINED]
    assert not unexplained, "\n".join(map(str, unexplained))


@pytest.mark.exhaustive
def test_every_intended_difference_exists() -> None:
    found = {(kind, difference.path, difference.keyword) for kind, difference in all_differences()}

    stale = EXPLAINED.keys() - found

    assert not stale


@pytest.mark.exhaustive
def test_kinds_that_are_modeled_in_part_have_no_fields_unknown_to_dpf() -> None:
    of_operator = [each for kind, each in all_differences() if kind == "DPFOperatorConfig"]

    ours_alone = [each for each in of_operator if each.keyword == "field" and each.theirs is None]

    assert not ours_alone


# --- CEL rules, by the values that they accept


class RulesAtPath(NamedTuple):
    """A path in a schema, and the CEL rules of both CRDs there."""

    path: str
    schema: Mapping[str, Any]
    ours: list[str]
    theirs: list[str]

    def only(self, *, transitions: bool) -> RulesAtPath:
        ours, theirs = (
            [rule for rule in rules if is_transition(rule) is transitions]
            for rules in (self.ours, self.theirs)
        )
        return self._replace(ours=ours, theirs=theirs)


def paths_with_rules(kind: type[Resource], *, transitions: bool) -> list[RulesAtPath]:
    ours = rules_by_path(schema_in(manifest(kind)))
    theirs = rules_by_path(schema_in(upstream(kind)))
    unmodelled = {path for name, path, keyword in EXPLAINED if name == kind.KIND and keyword == "field"}
    found = [
        RulesAtPath(
            path,
            theirs.get(path, ({}, []))[0],
            ours.get(path, ({}, []))[1],
            [rule for rule in theirs.get(path, ({}, []))[1] if rule != UNMODELED_RULE],
        ).only(transitions=transitions)
        for path in sorted(ours.keys() | theirs.keys())
        if path not in unmodelled
    ]
    return [place for place in found if place.ours or place.theirs]


@pytest.mark.exhaustive
@kinds
def test_rules_on_values_accept_what_the_upstream_rules_accept(kind: type[Resource]) -> None:
    for path, schema, ours, theirs in paths_with_rules(kind, transitions=False):
        values = instances(schema, ours + theirs)

        verdicts = [(accepts(ours, value), accepts(theirs, value)) for value in values]

        disagreed = [value for value, (our, their) in zip(values, verdicts, strict=True) if our != their]
        assert not disagreed[:1], path
        assert {their for _, their in verdicts} == {True, False}, f"{path}: these values decide nothing"


@kinds
def test_rules_on_changes_accept_what_the_upstream_rules_accept(kind: type[Resource]) -> None:
    for path, schema, ours, theirs in paths_with_rules(kind, transitions=True):
        pairs = changes(instances(schema, ours + theirs))

        verdicts = [(accepts(ours, new, old), accepts(theirs, new, old)) for old, new in pairs]

        disagreed = [pair for pair, (our, their) in zip(pairs, verdicts, strict=True) if our != their]
        assert not disagreed[:1], path
        assert {their for _, their in verdicts} == {True, False}, f"{path}: these changes decide nothing"
