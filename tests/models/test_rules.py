"""The rules of all models: the predicate in Python and the CEL expression accept the same values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from pydantic import TypeAdapter
from pydantic_core import to_json

from dpf_async.crds import manifest
from dpf_async.models import KINDS, ObjectMeta, Resource
from dpf_async.models.rules import Rule, TransitionRule
from dpf_async.models.shape import fields_of
from dpf_async.models.wire import Wire
from tests.models.cel_rules import accepts
from tests.models.crd_instances import changes, instances
from tests.support.crd_compare import rules_by_path, schema_in


class ModelRule(NamedTuple):
    """A rule of a model, its path, and a function that reads a JSON value for it."""

    path: str
    rule: Rule | TransitionRule
    read: Callable[[Any], Any]


def rules_of(model: type[Wire], path: str = "") -> Iterator[ModelRule]:
    read = with_name if issubclass(model, Resource) else model.from_wire
    yield from (ModelRule(path, rule, read) for rule in model.RULES)
    for field in fields_of(model):
        field_path = f"{path}.{field.wire_name}"
        for marker in field.shape.markers:
            if isinstance(marker, Rule):
                yield ModelRule(field_path, marker, reader(model.model_fields[field.name].annotation))
            elif isinstance(marker, TransitionRule):
                yield ModelRule(field_path, marker, lambda value: value)
        shape = field.shape
        while shape.items is not None:
            field_path += "[]" if shape.type is tuple else "{}"
            shape = shape.items
        if isinstance(shape.type, type) and issubclass(shape.type, Wire):
            yield from rules_of(shape.type, field_path)


def reader(annotation: Any) -> Callable[[Any], Any]:
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)
    return lambda value: adapter.validate_json(to_json(value))


def with_name(root: Mapping[str, Any]) -> Resource:
    # Rules at the root read only the name; the generated values have no other fields.
    metadata = ObjectMeta.model_construct(name=root["metadata"]["name"])
    return Resource.model_construct(metadata=metadata)


MODEL_RULES = [
    pytest.param(kind, each, id=f"{kind.KIND}{each.path}") for kind in KINDS for each in rules_of(kind)
]


@pytest.mark.exhaustive
@pytest.mark.parametrize(("kind", "model_rule"), MODEL_RULES)
def test_a_rule_accepts_the_same_values_in_python_and_in_cel(
    kind: type[Resource], model_rule: ModelRule
) -> None:
    path, rule, read = model_rule
    schema, _ = rules_by_path(schema_in(manifest(kind)))[path]
    values = instances(schema, [rule.cel])

    if isinstance(rule, Rule):
        results = [(rule.holds(read(value)), accepts([rule.cel], value)) for value in values]
    else:
        results = [
            (rule.allows(read(old), read(new)), accepts([rule.cel], new, old)) for old, new in changes(values)
        ]

    assert all(in_python == in_cel for in_python, in_cel in results)
    assert {in_cel for _, in_cel in results} == {True, False}


def test_every_rule_in_the_manifests_is_a_rule_of_a_model() -> None:
    in_manifests = {
        (kind.KIND, path, rule)
        for kind in KINDS
        for path, (_, rules) in rules_by_path(schema_in(manifest(kind))).items()
        for rule in rules
    }

    in_models = {(kind.KIND, each.path, each.rule.cel) for kind in KINDS for each in rules_of(kind)}

    assert in_manifests == in_models
