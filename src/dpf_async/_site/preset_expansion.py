"""Replace the presets that a site file names by their descriptions. Keys next to `preset` are merged over it.

Works on the YAML before validation, so that the output of presets is validated like any other YAML.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError, validate_call
from pydantic.alias_generators import to_camel

from dpf_async import presets
from dpf_async.models.wire import Wire

PRESET: Final = "preset"
WITH: Final = "with"
ANY: Final = "*"
"""Matches any key in a place."""

Place = tuple[str | int, ...]
YAML = Any  # the content of a document
Preset = Callable[..., Any]

PLACES: Final[Mapping[tuple[str, ...], Mapping[str, Preset]]] = {
    ("flavors", ANY): {"flavor": presets.flavor},
    ("interfaces",): {"interfaces": presets.interfaces},
    ("networks",): {"networks": presets.networks},
    ("services", ANY): {
        "hbn": presets.hbn,
        "dts": presets.dts,
        "carbide-dpu-agent": presets.carbide_dpu_agent,
        "carbide-dhcp-server": presets.carbide_dhcp_server,
        "carbide-fmds": presets.carbide_fmds,
        "carbide-otelcol": presets.carbide_otelcol,
    },
    ("groups", ANY, "chains"): {"chains": presets.chains},
}
"""The presets that each place of a site file accepts."""


class PresetProblem(NamedTuple):
    """A problem of one preset: the place of the preset, the place of the problem, and a description."""

    preset: Place
    place: Place
    problem: str


def expand_presets(content: YAML) -> tuple[YAML, list[PresetProblem]]:
    """Return the document with its presets expanded, and the problems of those that could not be expanded."""
    problems: list[PresetProblem] = []

    def expand(known: Mapping[str, Preset], one: YAML, where: Place) -> YAML:
        try:
            return _expand(one, known)
        except _InvalidPreset as error:
            problems.extend(
                PresetProblem(where, (*where, *place), problem) for place, problem in error.problems
            )
            return one

    for place, known in PLACES.items():
        content = _at(content, place, (), partial(expand, known))
    return content, problems


class _InvalidPreset(Exception):
    """Problems of one preset, with their places in it."""

    def __init__(self, *problems: tuple[Place, str]) -> None:
        super().__init__()
        self.problems = problems


def _at(content: YAML, place: tuple[str, ...], where: Place, change: Callable[[YAML, Place], YAML]) -> YAML:
    """A copy in which `change` was applied to everything at a place."""
    if not place:
        return change(content, where)
    if not isinstance(content, dict):
        return content
    first, *rest = place
    return {
        key: _at(value, tuple(rest), (*where, key), change) if first in (ANY, key) else value
        for key, value in content.items()
    }


def _expand(content: YAML, known: Mapping[str, Preset]) -> YAML:
    # An interface may be named "preset"; the value is a mapping then.
    if not isinstance(content, dict) or not isinstance(name := content.get(PRESET), str):
        return content
    if name not in known:
        raise _InvalidPreset(((PRESET,), f"there is no preset {name} here, only {', '.join(sorted(known))}"))
    value = _as_yaml(_call(known[name], content.get(WITH)))
    over = {key: given for key, given in content.items() if key not in {PRESET, WITH}}
    if isinstance(value, dict):
        return presets.merged(value, over)
    if over:
        raise _InvalidPreset(
            *(((key,), f"the preset {name} accepts no keys except {PRESET} and {WITH}") for key in over)
        )
    return value


def _call(preset: Preset, arguments: YAML) -> Any:
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, dict):
        raise _InvalidPreset(((WITH,), "must be a mapping"))
    names = {
        to_camel(parameter.name): parameter.name
        for parameter in inspect.signature(preset).parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD
    }
    if unknown := [key for key in arguments if key not in names]:
        raise _InvalidPreset(
            *(((WITH, key), f"unknown key; known are {', '.join(names)}") for key in unknown)
        )
    checked = validate_call(config=ConfigDict(hide_input_in_errors=True))(preset)
    try:
        return checked(**{names[key]: value for key, value in arguments.items()})
    except ValidationError as error:
        problems: list[tuple[Place, str]] = []
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            key, *inside = one["loc"]
            missing = one["type"] == "missing_keyword_only_argument"
            problems.append(((WITH, to_camel(str(key)), *inside), "is required" if missing else one["msg"]))
        raise _InvalidPreset(*problems) from None


def _as_yaml(value: Any) -> YAML:
    """A description in the form of a site file."""
    if isinstance(value, Wire):
        return value.to_wire()
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {
            fields[name].alias or name: _as_yaml(getattr(value, name))
            for name in fields
            if name in value.model_fields_set
        }
    if isinstance(value, Mapping):
        return {key: _as_yaml(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_as_yaml(one) for one in value]
    return value
