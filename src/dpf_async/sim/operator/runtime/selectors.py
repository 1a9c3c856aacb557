"""Whether labels match a selector. Pure. Source: Kubernetes' "Labels and Selectors"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dpf_async.models import LabelSelector, LabelSelectorRequirement, NodeSelector


def matches(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether labels meet a selector; an absent one, as an empty one, is met by all."""
    if selector is None:
        return True
    equal = all(labels.get(key) == value for key, value in selector.match_labels.items())
    return equal and _meets(selector.match_expressions, labels)


def matches_node(selector: NodeSelector | None, labels: Mapping[str, str]) -> bool:
    """Whether a Node with these labels meets one of the terms; an absent selector is met by all."""
    if selector is None:
        return True
    return any(_meets(term.match_expressions, labels) for term in selector.node_selector_terms)


def _meets(requirements: Iterable[LabelSelectorRequirement], labels: Mapping[str, str]) -> bool:
    return all(_meets_one(requirement, labels) for requirement in requirements)


def _meets_one(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
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
            # The API server lets any text pass in a custom resource; what is not understood selects nothing.
            return False
