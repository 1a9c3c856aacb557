"""Read site files and host files. An error lists every problem of the file, each with file, line, path and rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import Field, ValidationError

from dpf_async._specs import HostSpec, SiteSpec, Spec, path_of
from dpf_async.errors import SpecError

if TYPE_CHECKING:
    import yaml

    from dpf_async._site.preset_expansion import PresetProblem

FILE_LIMIT: Final = 2**20
"""Bytes of a file; a host takes about 300, so this is enough for three thousand hosts."""

_MESSAGES: Final = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "too_short": "needs at least {min_length}",
}
"""Replacements for those of pydantic's messages that do not fit a YAML file, such as "extra inputs"."""

Place = tuple[str | int, ...]
T = TypeVar("T")


class HostEntry(HostSpec):
    """A host in a host file. `group` gives it the labels by which that group of the site selects hosts and devices."""

    group: str | None = None


class HostFile(Spec):
    """The hosts of a site."""

    hosts: tuple[HostEntry, ...] = Field(min_length=1)


def load_site(path: str | Path) -> SiteSpec:
    """Read a site file. `preset: hbn` in it is replaced by the preset of `dpf_async.presets`.

    Raises:
        SpecError: the file cannot be read or is not valid; `.problems` lists each problem.
    """
    from dpf_async._site.preset_expansion import expand_presets  # noqa: PLC0415  needed only for files

    return _load(Path(path), SiteSpec.model_validate, lambda _: (), expand_presets)


def load_hosts(path: str | Path, site: SiteSpec) -> tuple[HostSpec, ...]:
    """Read a host file, and add to each host the labels by which its group selects it.

    Raises:
        SpecError: the file cannot be read or is not valid; `.problems` lists each problem.
    """
    hosts = _load(Path(path), HostFile.model_validate, lambda content: _host_problems(content, site)).hosts
    return tuple(_labelled(host, site) for host in hosts)


def _host_problems(content: Any, site: SiteSpec) -> Iterator[tuple[Place, str]]:
    """Problems between hosts and with their groups. Reads raw YAML, so that other problems do not hide these."""
    seen: dict[tuple[str, object], Place] = {}
    for host_place, host in _entries(content, ("hosts",)):
        yield from _repetitions(seen, host_place, host, ("name",), "host")
        group = host.get("group")
        if group is not None and group not in site.groups:
            yield (
                (*host_place, "group"),
                f"the site has no group {group}, only {', '.join(sorted(site.groups))}",
            )
        for place, device in _entries(host, ("devices",), host_place):
            yield from _repetitions(seen, place, device, ("name", "serialNumber", "bmcIp"), "device")


def _entries(content: Any, key: tuple[str], at: Place = ()) -> Iterator[tuple[Place, dict[Any, Any]]]:
    """The mappings in the list under a key; nothing if the key is absent or has no list."""
    entries = content.get(*key) if isinstance(content, dict) else None
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield (*at, *key, position), entry


def _repetitions(
    seen: dict[tuple[str, object], Place],
    place: Place,
    entry: dict[Any, Any],
    keys: tuple[str, ...],
    what: str,
) -> Iterator[tuple[Place, str]]:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, str):
            first = seen.setdefault((f"{what} {key}", value), place)
            if first != place:
                yield (*place, key), f"{value} is already the {key} of {path_of(first)}"


def _labelled(entry: HostEntry, site: SiteSpec) -> HostSpec:
    if entry.group is None:
        return HostSpec(name=entry.name, devices=entry.devices, labels=entry.labels)
    group = site.groups[entry.group]
    devices = tuple(
        device.model_copy(update={"labels": {**group.device_labels, **device.labels}})
        for device in entry.devices
    )
    return HostSpec(name=entry.name, devices=devices, labels={**group.node_labels, **entry.labels})


def _unchanged(content: Any) -> tuple[Any, list[PresetProblem]]:
    return content, []


def _load(
    path: Path,
    build: Callable[[Any], T],
    find_problems: Callable[[Any], Iterable[tuple[Place, str]]],
    prepare: Callable[[Any], tuple[Any, list[PresetProblem]]] = _unchanged,
) -> T:  # Any: YAML
    import yaml  # noqa: PLC0415  needed only for files

    try:
        raw = path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(raw) > FILE_LIMIT:
        raise SpecError(f"{path} is larger than {FILE_LIMIT} bytes")
    try:
        text = raw.decode()
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    lines = _Lines(root) if root is not None else None
    content = {} if content is None else content
    problems: dict[Place, str] = dict.fromkeys(
        lines.repeated if lines is not None else (), "the key occurs twice"
    )
    content, unexpanded = prepare(content)
    problems.update({one.place: one.problem for one in unexpanded})
    for where, problem in find_problems(content):
        problems.setdefault(where, problem)
    try:
        built = build(content)
    except ValidationError as error:
        for where, problem in _problems_of(error):
            # An invalid preset is not a valid description either; it is already reported.
            if not any(where[: len(one.preset)] == one.preset for one in unexpanded):
                problems.setdefault(where, problem)
    if problems:
        in_order = sorted(problems.items(), key=lambda one: lines.line(one[0]) if lines is not None else 0)
        reported = [_problem_line(path, where, problem, lines) for where, problem in in_order]
        count = f"{len(reported)} problem{'s' if len(reported) > 1 else ''}"
        raise SpecError(f"{path} has {count}:", problems=reported)
    return built


def _problems_of(error: ValidationError) -> Iterator[tuple[Place, str]]:
    details = error.errors(include_url=False, include_input=False)
    # pydantic marks a bad key of a mapping with "[key]"; the place is the entry itself.
    places = [tuple(part for part in one["loc"] if part != "[key]") for one in details]
    for where, one in zip(places, details, strict=True):
        # pydantic counts a list as empty if every item is invalid; the items are already reported.
        if one["type"] == "too_short" and any(
            len(p) > len(where) and p[: len(where)] == where for p in places
        ):
            continue
        message = _MESSAGES.get(one["type"], one["msg"])
        yield where, message.format(**one.get("ctx", {}))


def _problem_line(path: Path, where: Place, problem: str, lines: _Lines | None) -> str:
    line = f":{lines.line(where)}" if lines is not None else ""
    return f"{path}{line}: {path_of(where) or 'document'}: {problem}"


class _Lines:
    """The line of each place in a YAML document."""

    def __init__(self, root: yaml.Node) -> None:
        self.repeated: list[Place] = []
        self._lines: dict[Place, int] = {}
        self._walked: set[int] = set()
        self._walk(root, ())

    def line(self, where: Place) -> int:
        """The line of a place, or of the innermost existing parent; counted from 1."""
        while where and where not in self._lines:
            where = where[:-1]
        return self._lines.get(where, 1)

    def _walk(self, node: yaml.Node, where: Place) -> None:
        self._lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node.value, str) or id(node) in self._walked:
            return  # a scalar, or the target of an alias, whose lines are those of the anchor
        self._walked.add(id(node))
        for position, child in enumerate(node.value):
            if not isinstance(child, tuple):
                self._walk(child, (*where, position))
                continue
            key, value = child
            place = (*where, str(key.value))
            if place in self._lines:
                self.repeated.append(place)
            self._lines[place] = key.start_mark.line + 1
            self._walk(value, place)
