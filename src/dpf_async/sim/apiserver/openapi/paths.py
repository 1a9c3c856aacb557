"""The OpenAPI v3 paths of a kind: one operation per verb, with its parameters, request bodies and responses.

Source: apiextensions-apiserver pkg/controller/openapi/builder, apiserver pkg/endpoints/openapi, kube-openapi builder3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from dpf_async.sim.apiserver.apply.patches import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH
from dpf_async.sim.apiserver.openapi.discovery import verbs_of
from dpf_async.sim.apiserver.openapi.schemas import (
    DELETE_OPTIONS,
    PATCH,
    STATUS,
    published,
    reference,
    schema_name,
)
from dpf_async.sim.apiserver.storage.kinds import Kind
from dpf_async.sim.apiserver.wire.codec import Obj

_JSON_AND_YAML: Final = ("application/json", "application/yaml")
_WITH_PROTOBUF: Final = ("application/json", "application/vnd.kubernetes.protobuf", "application/yaml")
_CUSTOM_PATCHES: Final = (APPLY_PATCH, JSON_PATCH, MERGE_PATCH)
_CORE_PATCHES: Final = (*_CUSTOM_PATCHES, STRATEGIC_PATCH)

_LIST_PARAMETERS: Final = (
    "allowWatchBookmarks",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "shardSelector",
    "timeoutSeconds",
    "watch",
)
_WRITE_PARAMETERS: Final = ("dryRun", "fieldManager", "fieldValidation")
_DELETE_PARAMETERS: Final = (
    "dryRun",
    "gracePeriodSeconds",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
    "orphanDependents",
    "propagationPolicy",
)


@dataclass(frozen=True, slots=True)
class _Action:
    """One operation.

    Attributes:
        action: its x-kubernetes-action.
        operation: the beginning of its operationId.
        verb: the verb of discovery that it needs.
    """

    action: str
    method: str
    operation: str
    verb: str
    parameters: tuple[str, ...]
    codes: tuple[tuple[int, str], ...] = ((200, "OK"),)


_LIST: Final = _Action("list", "get", "list", "list", _LIST_PARAMETERS)
_COLLECTION: Final = (
    _LIST,
    _Action(
        "post",
        "post",
        "create",
        "create",
        _WRITE_PARAMETERS,
        ((200, "OK"), (201, "Created"), (202, "Accepted")),
    ),
    _Action("deletecollection", "delete", "deletecollection", "deletecollection", _LIST_PARAMETERS),
)
_GET: Final = _Action("get", "get", "read", "get", ("resourceVersion",))
_PUT: Final = _Action("put", "put", "replace", "update", _WRITE_PARAMETERS, ((200, "OK"), (201, "Created")))
_PATCH: Final = _Action("patch", "patch", "patch", "patch", (*_WRITE_PARAMETERS, "force"))
_DELETE: Final = _Action(
    "delete", "delete", "delete", "delete", _DELETE_PARAMETERS, ((200, "OK"), (202, "Accepted"))
)


def paths_of(kind: Kind, version: str) -> dict[str, Obj]:
    """The paths of a kind, by path."""
    return _Paths(kind, version).all()


class _Paths:
    def __init__(self, kind: Kind, version: str) -> None:
        self._kind = kind
        self._version = version
        self._scope = "Namespaced" if kind.namespaced else ""
        self._one = reference(schema_name(kind, version))
        self._many = reference(schema_name(kind, version, many=True))
        self._media = _JSON_AND_YAML if kind.custom else _WITH_PROTOBUF

    def all(self) -> dict[str, Obj]:
        kind = self._kind
        root = f"/apis/{kind.group}/{self._version}" if kind.group else f"/api/{self._version}"
        where = ["namespace"] if kind.namespaced else []
        below = f"{root}/namespaces/{{namespace}}" if kind.namespaced else root
        collection = f"{below}/{kind.plural}"
        paths = {}
        if kind.namespaced:
            paths[f"{root}/{kind.plural}"] = self._path([], (_LIST,), name=f"{kind.kind}ForAllNamespaces")
        name = f"{self._scope}{kind.kind}"
        paths[collection] = self._path(where, _COLLECTION, name=name)
        where = ["name", *where]
        paths[f"{collection}/{{name}}"] = self._path(where, (_GET, _PUT, _DELETE, _PATCH), name=name)
        if kind.versions[self._version].has_status:
            paths[f"{collection}/{{name}}/status"] = self._path(
                where, (_GET, _PUT, _PATCH), name=f"{name}Status", subresource="status"
            )
        return {path: item for path, item in paths.items() if len(item) > 1}

    def _path(
        self, where: Iterable[str], actions: Iterable[_Action], *, name: str, subresource: str = ""
    ) -> Obj:
        """One path: its operations, and the parameters that they share."""
        verbs = verbs_of(self._kind)
        chosen = [action for action in actions if action.verb in verbs]
        common = set.intersection(*({*action.parameters} for action in chosen)) if chosen else set()
        item: Obj = {action.method: self._operation(action, name, subresource, common) for action in chosen}
        parameters = [*map(self._path_parameter, where), *map(_parameter, ("pretty", *common))]
        item["parameters"] = sorted(parameters, key=lambda each: str(each["name"]))
        return item

    def _operation(self, action: _Action, name: str, subresource: str, common: set[str]) -> Obj:
        kind, version = self._kind, self._version
        group = (kind.group or "core").removesuffix(".k8s.io")
        # The operationId of "deletecollection" begins with delete…Collection.
        verb, collection = action.operation, ""
        if verb == "deletecollection":
            verb, collection = "delete", "Collection"
        operation: Obj = {
            "tags": [f"{_identifier(group)}_{version}"],
            "description": self._description(action, subresource),
            "operationId": f"{verb}{_capital(_identifier(group))}{_capital(version)}{collection}{name}",
        }
        own = [each for each in action.parameters if each not in common]
        if own:
            operation["parameters"] = [_parameter(each, action.action) for each in sorted(own)]
        if (body := self._body(action)) is not None:
            operation["requestBody"] = body
        operation["responses"] = self._responses(action)
        operation["x-kubernetes-action"] = action.action
        operation["x-kubernetes-group-version-kind"] = {
            "group": kind.group,
            "version": version,
            "kind": kind.kind,
        }
        return operation

    def _description(self, action: _Action, subresource: str) -> str:
        kind = self._kind.kind
        part = f" {subresource} of" if subresource else ""
        match action.operation:
            case "list":
                return f"list objects of kind {kind}"
            case "patch":
                return f"partially update{part} the specified {kind}"
            case "read" | "replace":
                return f"{action.operation}{part} the specified {kind}"
            case "deletecollection":
                return f"delete collection of {kind}"
            case verb:
                return f"{verb}{_article(kind)}{kind}"

    def _body(self, action: _Action) -> Obj | None:
        match action.action:
            case "post" | "put":
                return {"content": _content(self._read(), self._one), "required": True}
            case "patch":
                types = _CUSTOM_PATCHES if self._kind.custom else _CORE_PATCHES
                return {"content": _content(types, reference(PATCH)), "required": True}
            case "delete":
                return {"content": _content(self._read(), reference(DELETE_OPTIONS))}
        return None

    def _read(self) -> tuple[str, ...]:
        return self._media if self._kind.custom else ("*/*",)

    def _responses(self, action: _Action) -> Obj:
        shown = {
            "list": self._many,
            "delete": reference(STATUS),
            "deletecollection": reference(STATUS),
        }.get(action.action, self._one)
        answers: Obj = {
            str(code): {"description": text, "content": _content(self._media, shown)}
            for code, text in action.codes
        }
        answers["401"] = {"description": "Unauthorized"}
        return answers

    def _path_parameter(self, name: str) -> Obj:
        descriptions = {
            "name": f"name of the {self._kind.kind}",
            "namespace": "object name and auth scope, such as for teams and projects",
        }
        return {
            "name": name,
            "in": "path",
            "description": descriptions[name],
            "required": True,
            "schema": {"type": "string", "uniqueItems": True},
        }


def _parameter(name: str, action: str = "") -> Obj:
    known: Mapping[str, Obj] = published()["parameters"]
    parameter = known[name]
    if name == "fieldManager" and action == "patch":
        parameter = known["fieldManager of a patch"]
    return {
        "name": name,
        "in": "query",
        "description": parameter["description"],
        "schema": {"type": parameter["type"], "uniqueItems": True},
    }


def _content(types: Iterable[str], schema: Obj) -> Obj:
    return {each: {"schema": schema} for each in types}


def _article(noun: str) -> str:
    if noun.endswith("s") and not noun.endswith("ss"):
        return " "  # no article before a plural
    return " an " if noun[:1].lower() in "aeiou" else " a "


def _identifier(name: str) -> str:
    """A group in identifiers: svc.dpu.nvidia.com is svcDpuNvidiaCom."""
    parts = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in name).split()
    return parts[0] + "".join(map(_capital, parts[1:]))


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]
