"""Descriptions of sites and hosts from YAML files. Every mistake is told at once, with file, line, path and rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import Field, ValidationError

from dpf_async._specs import HostSpec, SiteSpec, Spec, path_of
from dpf_async.errors import SpecError

if TYPE_CHECKING:
    import yaml

    from dpf_async._site.preset_expansion import Mistake

FILE_LIMIT: Final = 2**20
"""Bytes of a description; a host takes about 300, so this is three thousand hosts."""

_WORDS: Final = {
    "extra_forbidden": "unknown key",
    "missing": "is required",
    "too_short": "needs at least {min_length}",
}
"""Our words for pydantic's, where a person who edits YAML would not know what an "extra input" is."""

Place = tuple[str | int, ...]
T = TypeVar("T")


class HostEntry(HostSpec):
    """A host in a file. `group` gives it the labels by which that group of the site selects hosts and devices."""

    group: str | None = None


class HostFile(Spec):
    """The hosts of a site."""

    hosts: tuple[HostEntry, ...] = Field(min_length=1)


def load_site(path: str | Path) -> SiteSpec:
    """The description of a site in a YAML file. `preset: hbn` in it stands for what `dpf_async.presets` has.

    Raises:
        SpecError: the file cannot be read, or has mistakes in it; `.problems` has each.
    """
    from dpf_async._site.preset_expansion import expanded  # noqa: PLC0415  only who has files needs it

    return _load(Path(path), SiteSpec.model_validate, lambda _: (), expanded)


def load_hosts(path: str | Path, site: SiteSpec) -> tuple[HostSpec, ...]:
    """The hosts in a YAML file, with the labels by which their groups select them.

    Raises:
        SpecError: the file cannot be read, or has mistakes in it; `.problems` has each.
    """
    hosts = _load(Path(path), HostFile.model_validate, lambda content: _host_problems(content, site)).hosts
    return tuple(_labelled(host, site) for host in hosts)


def _host_problems(content: Any, site: SiteSpec) -> Iterator[tuple[Place, str]]:
    """What is wrong between hosts, and with their groups. Looks at raw YAML: other mistakes must not hide these."""
    seen: dict[tuple[str, object], Place] = {}
    for host_place, host in _entries(content, ("hosts",)):
        yield from _repeated(seen, host_place, host, ("name",), "host")
        group = host.get("group")
        if group is not None and group not in site.groups:
            yield (
                (*host_place, "group"),
                f"the site has no group {group}, only {', '.join(sorted(site.groups))}",
            )
        for place, device in _entries(host, ("devices",), host_place):
            yield from _repeated(seen, place, device, ("name", "serialNumber", "bmcIp"), "device")


def _entries(content: Any, key: tuple[str], at: Place = ()) -> Iterator[tuple[Place, dict[Any, Any]]]:
    """The mappings in a list under a key, as far as it is there and is one."""
    entries = content.get(*key) if isinstance(content, dict) else None
    for position, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield (*at, *key, position), entry


def _repeated(
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
                yield (*place, key), f"{value} is the {key} of {path_of(first)} already"


def _labelled(entry: HostEntry, site: SiteSpec) -> HostSpec:
    if entry.group is None:
        return HostSpec(name=entry.name, devices=entry.devices, labels=entry.labels)
    group = site.groups[entry.group]
    devices = tuple(
        device.model_copy(update={"labels": {**group.device_labels, **device.labels}})
        for device in entry.devices
    )
    return HostSpec(name=entry.name, devices=devices, labels={**group.node_labels, **entry.labels})


def _as_it_is(content: Any) -> tuple[Any, list[Mistake]]:
    return content, []


def _load(
    path: Path,
    build: Callable[[Any], T],
    more: Callable[[Any], Iterable[tuple[Place, str]]],
    prepare: Callable[[Any], tuple[Any, list[Mistake]]] = _as_it_is,
) -> T:  # Any: YAML
    import yaml  # noqa: PLC0415  only who has files needs it

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
        lines.twice if lines is not None else (), "the key is there twice"
    )
    content, mistakes = prepare(content)
    problems.update({mistake.place: mistake.problem for mistake in mistakes})
    for where, problem in more(content):
        problems.setdefault(where, problem)
    try:
        built = build(content)
    except ValidationError as error:
        for where, problem in _mistakes(error):
            # What is not a preset is no description either; that has been told.
            if not any(where[: len(mistake.preset)] == mistake.preset for mistake in mistakes):
                problems.setdefault(where, problem)
    if problems:
        in_order = sorted(problems.items(), key=lambda one: lines.line(one[0]) if lines is not None else 0)
        told = [_told(path, where, problem, lines) for where, problem in in_order]
        raise SpecError(f"{path} has {len(told)} mistake{'s' if len(told) > 1 else ''}:", problems=told)
    return built


def _mistakes(error: ValidationError) -> Iterator[tuple[Place, str]]:
    details = error.errors(include_url=False, include_input=False)
    # pydantic marks a bad key of a mapping with "[key]"; the place is the entry itself.
    places = [tuple(part for part in one["loc"] if part != "[key]") for one in details]
    for where, one in zip(places, details, strict=True):
        # A list whose every item is bad counts as empty to pydantic; the items have been told.
        if one["type"] == "too_short" and any(
            len(p) > len(where) and p[: len(where)] == where for p in places
        ):
            continue
        words = _WORDS.get(one["type"], one["msg"])
        yield where, words.format(**one.get("ctx", {}))


def _told(path: Path, where: Place, problem: str, lines: _Lines | None) -> str:
    line = f":{lines.line(where)}" if lines is not None else ""
    return f"{path}{line}: {path_of(where) or 'document'}: {problem}"


class _Lines:
    """Where in a YAML document a place is."""

    def __init__(self, root: yaml.Node) -> None:
        self.twice: list[Place] = []
        self._lines: dict[Place, int] = {}
        self._walked: set[int] = set()
        self._walk(root, ())

    def line(self, where: Place) -> int:
        """The line of a place, or of the nearest thing around it that is there; counted from 1."""
        while where and where not in self._lines:
            where = where[:-1]
        return self._lines.get(where, 1)

    def _walk(self, node: yaml.Node, where: Place) -> None:
        self._lines.setdefault(where, node.start_mark.line + 1)
        if isinstance(node.value, str) or id(node) in self._walked:
            return  # text, or something an alias repeats: its lines are those of the anchor
        self._walked.add(id(node))
        for position, child in enumerate(node.value):
            if not isinstance(child, tuple):
                self._walk(child, (*where, position))
                continue
            key, value = child
            place = (*where, str(key.value))
            if place in self._lines:
                self.twice.append(place)
            self._lines[place] = key.start_mark.line + 1
            self._walk(value, place)
