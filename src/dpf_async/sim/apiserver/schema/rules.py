"""The CEL rules of a schema (x-kubernetes-validations), evaluated as the API server does.

Rules read self and oldSelf. Rules that name oldSelf (transition rules) run only where an old value exists: members are
matched by name, elements of map lists by key, other elements never.
Source: apiextensions-apiserver pkg/apiserver/schema/cel/validation.go.
Not implemented: cost budgets and static types; a wrong expression fails only when it is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final

import cel

from dpf_async.sim.apiserver.schema.cel_functions import FUNCTIONS, NATIVE, rewrite
from dpf_async.sim.apiserver.schema.cel_values import to_cel
from dpf_async.sim.apiserver.schema.structure import Node
from dpf_async.sim.apiserver.schema.validation import correlated
from dpf_async.sim.apiserver.wire.codec import Obj, encode_plain, same
from dpf_async.sim.apiserver.wire.field_errors import (
    OMITTED,
    FieldError,
    duplicate,
    field_forbidden,
    invalid,
    required,
)

# Since this minor release the error of a failed rule has the value of a scalar instead of its type, and no value for
# objects and lists. Source: kubernetes/kubernetes pull requests 132798 and 133832.
SHOWS_VALUES_SINCE = 35

# self that is not followed by a member, or is followed by the name of a function.
_SELF_ROOTED = re.compile(r"\b(self|oldSelf)\b(?!\.[A-Za-z_]\w*+(?!\s*\())")
_SELF_MEMBER = re.compile(r"\b(?:self|oldSelf)\.([A-Za-z_]\w*)")
_STRINGS = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")


# Values that a rule need not check again: those of some hundred objects; chosen.
_SATISFYING_VALUES: Final = 4096


class RuleError(ValueError):
    """A rule that cannot be compiled."""


@dataclass(slots=True, eq=False)
class _Rule:
    program: Any
    members: frozenset[str] | None  # the members of self that it reads; None if that is unknown
    source: str
    message: str
    message_program: Any
    reason: str
    field_path: str
    optional_old: bool
    uses_old: bool
    satisfied_by: set[str] = field(default_factory=set)  # values, encoded; of rules that do not read oldSelf

    @property
    def text(self) -> str:
        return self.message.strip() or self.source.strip()

    @property
    def detail(self) -> str:
        return self.message.strip() or f"failed rule: {self.source.strip()}"


@dataclass(slots=True, eq=False)
class _RuleNode:
    node: Node
    rules: tuple[_Rule, ...]
    all_of: tuple[_RuleNode, ...]
    properties: dict[str, _RuleNode]
    additional: _RuleNode | None
    items: _RuleNode | None

    @property
    def empty(self) -> bool:
        return not (self.rules or self.all_of or self.properties or self.additional or self.items)


@dataclass(frozen=True, slots=True)
class _Value:
    """A value inside the object, and the value that it replaces."""

    path: str
    now: Any
    old: Any
    unchanged: bool  # it, or a value around it, is the same as before: violations do not count

    def below(self, path: str, now: Any, old: Any) -> _Value:
        return _Value(path, now, old, self.unchanged or (old is not None and same(now, old)))


class Rules:
    """The compiled rules of one schema."""

    def __init__(self, root: Node, *, minor: int) -> None:
        """Compile the rules.

        Raises:
            RuleError: a rule does not parse, or calls a function that does not exist.
        """
        self._root = _compile(root, root)
        self._shows_values = minor >= SHOWS_VALUES_SINCE
        self._context = cel.Context(functions=dict(FUNCTIONS))
        # Servers in other threads share these rules; an evaluation binds its variables here.
        self._lock = Lock()
        self._variables: dict[str, Any] = {}
        self._context.set_variable_resolver(self._variables.get)

    @property
    def empty(self) -> bool:
        """Whether the schema has no rules."""
        return self._root.empty

    def errors(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        """Evaluate every rule against an object and, for an update, the old object."""
        found: list[FieldError] = []
        if not self.empty:
            unchanged = old is not None and same(obj, old)
            with self._lock:
                self._visit(self._root, _Value("", obj, old, unchanged), found)
        return found

    def _visit(self, here: _RuleNode, value: _Value, found: list[FieldError]) -> None:
        if value.now is None:
            return
        for rule in here.rules:
            self._evaluate(rule, here.node, value, found)
        for sub in here.all_of:
            self._visit(sub, value, found)
        if isinstance(value.now, list):
            self._visit_elements(here, value, found)
        elif isinstance(value.now, dict):
            self._visit_members(here, value, found)

    def _visit_elements(self, here: _RuleNode, value: _Value, found: list[FieldError]) -> None:
        if here.items is None:
            return
        olds = value.old if isinstance(value.old, list) else None
        for index, item in enumerate(value.now):
            previous = correlated(item, olds, here.node)
            self._visit(here.items, value.below(f"{value.path}[{index}]", item, previous), found)

    def _visit_members(self, here: _RuleNode, value: _Value, found: list[FieldError]) -> None:
        olds = value.old if isinstance(value.old, dict) else {}
        for name, item in value.now.items():
            if (declared := here.properties.get(name)) is not None:
                path = f"{value.path}.{name}" if value.path else name
                self._visit(declared, value.below(path, item, olds.get(name)), found)
            elif here.additional is not None:
                self._visit(
                    here.additional, value.below(f"{value.path}[{name}]", item, olds.get(name)), found
                )

    def _evaluate(self, rule: _Rule, node: Node, value: _Value, found: list[FieldError]) -> None:
        if rule.uses_old and value.old is None and not rule.optional_old:
            return
        read = _value_read_by(rule, value)
        if read in rule.satisfied_by:
            return
        self._bind(rule, node, value)
        path = value.path
        shown: Any = node.type
        try:
            outcome = rule.program.execute(self._context)
        except Exception as error:  # noqa: BLE001 - any exception of an evaluation is the result of the rule
            found.append(invalid(path, shown, _evaluation_failed(error, rule)))
            return
        if outcome is True and read:
            if len(rule.satisfied_by) >= _SATISFYING_VALUES:
                rule.satisfied_by.clear()
            rule.satisfied_by.add(read)
        if outcome is True or (value.unchanged and not rule.uses_old):
            return
        if self._shows_values:
            shown = OMITTED if node.type in ("object", "array") else value.now
        where = path + rule.field_path if path else rule.field_path.removeprefix(".")
        found.append(_field_error(rule, where, shown, self._detail(rule)))

    def _bind(self, rule: _Rule, node: Node, value: _Value) -> None:
        variables = self._variables
        variables["self"] = to_cel(value.now, node, rule.members, root=not value.path)
        if not rule.uses_old:
            return
        old = None if value.old is None else to_cel(value.old, node, rule.members, root=not value.path)
        if rule.optional_old:
            some = cel.OptionalValue
            old = some.none() if value.old is None else some.of(old)
        variables["oldSelf"] = old

    def _detail(self, rule: _Rule) -> str:
        if rule.message_program is not None:
            try:
                text = rule.message_program.execute(self._context)
            except Exception:  # noqa: BLE001 - the fixed message replaces an expression that fails
                text = None
            if isinstance(text, str) and (text := text.strip()) and "\n" not in text and len(text) <= 5120:
                return text
        return rule.detail


def _value_read_by(rule: _Rule, value: _Value) -> str:
    """The value of self, encoded; empty if the outcome of the rule depends on more, or on metadata that changes."""
    if rule.uses_old or not value.path:
        return ""
    return encode_plain(value.now)


def _field_error(rule: _Rule, path: str, shown: Any, detail: str) -> FieldError:
    match rule.reason:
        case "FieldValueForbidden":
            return field_forbidden(path, detail)
        case "FieldValueRequired":
            return required(path, detail)
        case "FieldValueDuplicate":
            return duplicate(path, shown)
        case _:
            return invalid(path, shown, detail)


def _evaluation_failed(error: Exception, rule: _Rule) -> str:
    if isinstance(error, KeyError):
        return f"no such key: {error.args[0]} evaluating rule: {rule.text}"
    if isinstance(error, TypeError):
        hint = "call arguments did not match a supported operator, function or macro signature for rule"
        return f"'no such overload': {hint}: {rule.text}"
    text = "division by zero" if isinstance(error, ZeroDivisionError) else str(error)
    return f"{text} evaluating rule: {rule.text}"


def _compile(node: Node, typed: Node) -> _RuleNode:
    """Compile the rules below a node; typed is the node that has the types, which nodes inside allOf do not have."""
    properties = {}
    for name, child in node.properties.items():
        compiled = _compile(child, typed.properties.get(name, child))
        if not compiled.empty:
            properties[name] = compiled
    additional = _compile(node.additional, typed.additional or node.additional) if node.additional else None
    items = _compile(node.items, typed.items or node.items) if node.items else None
    all_of = [_compile(sub, typed) for sub in node.all_of]
    return _RuleNode(
        node=typed,
        rules=tuple(_compile_rule(rule) for rule in node.rules),
        all_of=tuple(sub for sub in all_of if not sub.empty),
        properties=properties,
        additional=additional if additional is not None and not additional.empty else None,
        items=items if items is not None and not items.empty else None,
    )


def _compile_rule(rule: Mapping[str, Any]) -> _Rule:
    source = rule["rule"]
    program = _program(source)
    message_expression = rule.get("messageExpression", "")
    bare = _STRINGS.sub("''", source + "\n" + message_expression)
    members = None if _SELF_ROOTED.search(bare) else frozenset(_SELF_MEMBER.findall(bare))
    return _Rule(
        program=program,
        members=members,
        source=source,
        message=rule.get("message", ""),
        message_program=_program(message_expression) if message_expression else None,
        reason=rule.get("reason", ""),
        field_path=rule.get("fieldPath", ""),
        optional_old=bool(rule.get("optionalOldSelf")),
        uses_old="oldSelf" in program.variables(),
    )


def _program(source: str) -> Any:
    try:
        program = cel.compile(rewrite(source))
    except ValueError as error:
        raise RuleError(f"compilation failed: {error}") from None
    for name in program.functions():
        if name[0].isalpha() and name not in NATIVE and name not in FUNCTIONS:
            raise RuleError(f"compilation failed: undeclared reference to '{name}' (in container '')")
    return program
