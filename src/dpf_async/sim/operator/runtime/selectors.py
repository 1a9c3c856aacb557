"""Whether labels match a selector. Pure. Source: Kubernetes' "Labels and Selectors"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dpf_async.models import LabelSelector, LabelSelectorRequirement, NodeSelector


def matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether labels match a selector; an absent or empty one matches all."""
    if selector is None:
        return True
    equal = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return equal and _requirements_match(selector.match_expressions, labels)


def matches_node(selector: NodeSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a Node with these labels matches one of the terms; an absent selector matches all."""
    if selector is None:
        return True
    return any(_requirements_match(term.match_expressions, labels) for term in selector.node_selector_terms)


def _requirements_match(requirements: Iterable[LabelSelectorRequirement], labels: Mapping[str, str]) -> bool:
    return all(_requirement_matches(requirement, labels) for requirement in requirements)


def _requirement_matches(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case _:
            # The API server accepts any operator in a custom resource; an unknown one selects nothing.
            return False
