"""CRDs that are created, changed and deleted, and the effects on clients; each scenario has its own CRD."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.exchanges import create, delete, get, json_patch, merge, of, scenario, watch
from tests.conformance.kinds import definition

__all__ = ["SCENARIOS"]

_DEFINITIONS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_GROUP: Final = "{ns}.example.com"
_THINGS: Final = f"/apis/{_GROUP}/v1/namespaces/{{ns}}/things"
_DEFINITION: Final = f"{_DEFINITIONS}/things.{_GROUP}"
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {"size": {"type": "integer"}, "old": {"type": "string"}},
        }
    },
}
_PROPERTIES: Final = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"


def _thing(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{_GROUP}/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec}


def _spec(defined: Any) -> Any:
    """Keep the spec; controllers set the status, which takes a moment."""
    return {"spec": defined["spec"], "generation": defined["metadata"]["generation"]}


def _without_status(defined: Any) -> Any:
    return {name: value for name, value in defined.items() if name != "status"}


_DEFINE: Final = (
    create("defined", _DEFINITIONS, definition("Thing", _SCHEMA, group=_GROUP), view=_without_status),
    get("served", _THINGS, until=200),
)

SCENARIOS: Final = (
    scenario(
        "redefine-change",
        *_DEFINE,
        create("a", _THINGS, _thing("a", size=1, old="x")),
        create("b", _THINGS, _thing("b", size=2)),
        watch(
            "watched",
            _THINGS,
            resourceVersion=of("a", "metadata.resourceVersion"),
            timeoutSeconds=30,
            before=1,
            during=(
                json_patch(
                    "changed",
                    _DEFINITION,
                    ("add", f"{_PROPERTIES}/size/maximum", 5),
                    ("add", f"{_PROPERTIES}/new", {"type": "string", "default": "here"}),
                    ("remove", f"{_PROPERTIES}/old"),
                    view=_spec,
                ),
            ),
        ),
        # The real server answers 429 until its watch cache is filled again.
        get("listed", _THINGS, until=200),
        watch("resumed", _THINGS, resourceVersion=of("a", "metadata.resourceVersion")),
        watch("resumed-late", _THINGS, resourceVersion=of("listed", "metadata.resourceVersion")),
        get(
            "exact",
            _THINGS,
            resourceVersion=of("a", "metadata.resourceVersion"),
            resourceVersionMatch="Exact",
        ),
        merge("too-large", f"{_THINGS}/a", {"spec": {"size": 9}}),
        merge("labelled", f"{_THINGS}/a", {"metadata": {"labels": {"x": "y"}}}),
        get("read", f"{_THINGS}/a"),
    ),
    scenario(
        "redefine-remove",
        *_DEFINE,
        create("a", _THINGS, {**_thing("a"), "metadata": {"name": "a", "finalizers": ["example.com/a"]}}),
        create("b", _THINGS, _thing("b")),
        watch(
            "watched",
            _THINGS,
            resourceVersion=of("b", "metadata.resourceVersion"),
            events=2,
            during=(delete("removed", _DEFINITION, view=_spec),),
        ),
        create("too-late", _THINGS, _thing("c")),
        get("still-listed", _THINGS),
        merge("released", f"{_THINGS}/a", {"metadata": {"finalizers": None}}),
        get("gone", _THINGS, until=404),
        get("definition-gone", _DEFINITION, until=404),
    ),
    scenario(
        "redefine-refusals",
        create(
            "other-name",
            _DEFINITIONS,
            {**definition("Thing", _SCHEMA, group=_GROUP), "metadata": {"name": "x.y"}},
        ),
        create("again", _DEFINITIONS, definition("Thing", _SCHEMA, group=_GROUP), view=_without_status),
        create("exists", _DEFINITIONS, definition("Thing", _SCHEMA, group=_GROUP)),
        get("served", _THINGS, until=200),
        merge("other-scope", _DEFINITION, {"spec": {"scope": "Cluster"}}),
        merge("other-group", _DEFINITION, {"spec": {"group": "elsewhere.example.com"}}),
        get("missing", f"{_DEFINITIONS}/no.such.example.com"),
    ),
)
