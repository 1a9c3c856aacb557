"""Telling DPF which hosts and DPUs there are: method CreateDPUNode of the requirement.

Devices first, the node last: a device does nothing until a node lists it, and the node is what starts provisioning
(dpf-facts 4). Everything is looked at before anything is written. What is there already is compared: what may change
is made so, what may not is refused with both values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol, TypeVar

from pydantic import ValidationError

from dpf_async._base.error_notes import progress_note
from dpf_async._site import manifests
from dpf_async._specs import duplicates, path_of
from dpf_async.errors import AlreadyExists, Cause, Conflict, DPFError, Invalid, NotFound, UsageError
from dpf_async.models import DPUDevice, DPUNode, Resource, known, refused_changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dpf_async._api.resource import ResourceClient
    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._readers.waits import Deadline
    from dpf_async._session.handles import ObjectHandle
    from dpf_async._specs import DeviceSpec

T = TypeVar("T", bound=Resource)

IfTerminating = Literal["refuse", "wait"]
"""What to do where an object of the same name is being deleted: raise; wait until it is gone."""

_TRIES: Final = 5
"""Attempts at making an object so that somebody else keeps changing."""


class Writes(Protocol):
    """Where objects of any kind are written."""

    def resource(self, kind: type[T]) -> ResourceClient[T]:
        """Typed objects of one kind."""


class Client(Writes, Protocol):
    """What registration needs."""

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:
        """A handle on one object."""


async def register(
    dpf: Client,
    name: str,
    devices: Sequence[DeviceSpec],
    labels: Mapping[str, str],
    *,
    if_terminating: IfTerminating,
    deadline: Deadline,
    reporter: ProgressReporter,
) -> None:
    """Make the DPUDevices and the DPUNode exist as described; do nothing where they do.

    Raises:
        UsageError: the description breaks a rule; nothing was sent.
        AlreadyExists: one of them is being deleted (`.terminating`), and that is refused; nothing was written.
        WaitTimeout: one of them is still being deleted; nothing was written.
        Invalid: one exists with a value that cannot be changed; the message has both, and nothing was written.
        APIError, ConnectionFailed: it failed on the way; a note says what was written by then.
    """
    terms = _Terms(if_terminating, deadline, reporter)
    steps = [_Step(dpf, obj, name, terms) for obj in _objects(name, devices, labels)]
    # The node first: whatever devices are labelled as its own go with it when it is being deleted.
    for step in (steps[-1], *steps[:-1]):
        await step.look()
    for step in steps:
        step.compare()
    done: list[str] = []
    with progress_note(done, how="created or changed", then="register again to go on from there"):
        for step in steps:
            if what := await step.make():
                done.append(step.words)
                reporter.report(step.words, what)


def _objects(
    name: str, devices: Sequence[DeviceSpec], labels: Mapping[str, str]
) -> list[DPUDevice | DPUNode]:
    """The objects that are wanted, the node last."""
    places = (((("devices", position)), device) for position, device in enumerate(devices))
    for where, problem in duplicates(places):
        raise UsageError(f"DPUNode {name}: {path_of(where)}: {problem}")
    try:
        return [*map(manifests.device, devices), manifests.node(name, devices, labels)]
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"DPUNode {name}: {path_of(first['loc']) or 'the name'}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a registration may take."""

    if_terminating: IfTerminating
    deadline: Deadline
    reporter: ProgressReporter


class _Step(Generic[T]):
    """One object that is to be as wanted."""

    def __init__(self, dpf: Client, wanted: T, node: str, terms: _Terms) -> None:
        self.words = f"{wanted.KIND} {wanted.name}"
        self._dpf = dpf
        self._objects: ResourceClient[T] = dpf.resource(type(wanted))
        self._wanted = wanted
        self._node = node
        self._terms = terms
        self._present: T | None = None

    async def look(self) -> None:
        """See what is there; have what is on its way out go, if that is what the caller wants."""
        while True:
            try:
                self._present = await self._objects.get(self._wanted.name)
            except NotFound:
                self._present = None
            if self._present is None or not self._present.terminating:
                return
            if self._terms.if_terminating == "refuse":
                raise self._refusal(
                    AlreadyExists,
                    f"{self.words} is being deleted: wait until it is gone, then register again;"
                    ' if_terminating="wait" does so',
                    server_message="object is being deleted",
                )
            held = ", ".join(self._present.metadata.finalizers)
            self._terms.reporter.report(
                self.words, f"is being deleted, held by {held}; waits until it is gone"
            )
            handle = self._dpf.handle(type(self._wanted), self._wanted.name)
            await handle.until_gone(uid=self._present.uid, timeout=self._terms.deadline.remaining)

    def compare(self) -> None:
        """Refuse what cannot be changed."""
        present = self._present
        if present is None:
            return
        refused = refused_changes(present, self._wanted)
        fields = [f"{cause.field}: {_both(present, self._wanted, cause.field)}" for cause in refused]
        carrier = present.metadata.labels.get(known.DPUNODE_NAME_LABEL)
        if isinstance(present, DPUDevice) and carrier is not None and carrier != self._node:
            # Once attached to a node, a device is never attached to another one (dpf-facts 4).
            refused = (*refused, Cause("DPUNode", f"it belongs to {carrier}, asked for is {self._node}"))
            fields.append(str(refused[-1]))
        if refused:
            raise self._refusal(
                Invalid,
                f"{self.words} exists and cannot be changed: {'; '.join(fields)};"
                " delete it first, or register what is there",
                causes=refused,
            )

    async def make(self) -> str:
        """Create it, or change it; return what was done, empty if nothing was."""
        for attempt in range(_TRIES):
            present = self._present
            try:
                if present is None:
                    await self._objects.create(self._wanted)
                    return "created"
                changes = _changes(present, self._wanted)
                if not changes:
                    return ""
                # Of this very state: had it been changed meanwhile, the comparison would be worth nothing.
                metadata = {
                    **changes.get("metadata", {}),
                    "resourceVersion": present.metadata.resource_version,
                }
                await self._objects.patch(
                    self._wanted.name, {**changes, "metadata": metadata}, uid=present.uid
                )
            except (AlreadyExists, Conflict, NotFound) as error:
                if isinstance(error, NotFound) and present is None:
                    raise
                if attempt == _TRIES - 1:
                    raise
                await self.look()
                self.compare()
            else:
                return f"changed ({', '.join(_paths(changes))})"
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _refusal(self, kind: type[AlreadyExists | Invalid], message: str, **facts: Any) -> DPFError:
        status = 409 if kind is AlreadyExists else 422
        return kind(message, status=status, reason=kind.__name__, object=self.words, **facts)


def _changes(present: Resource, wanted: Resource) -> dict[str, Any]:  # Any: JSON
    """The merge patch that makes one like the other; empty if it is."""
    if isinstance(present, DPUNode) and isinstance(wanted, DPUNode):
        return _node_changes(present, wanted)
    assert isinstance(present, DPUDevice), "there are no other kinds here"  # noqa: S101
    assert isinstance(wanted, DPUDevice), "there are no other kinds here"  # noqa: S101
    return _device_changes(present, wanted)


def _device_changes(present: DPUDevice, wanted: DPUDevice) -> dict[str, Any]:
    changes = _label_changes(present, wanted)
    if wanted.spec.bmc_ip != present.spec.bmc_ip:
        changes["spec"] = {"bmcIp": wanted.spec.bmc_ip}
    return changes


def _node_changes(present: DPUNode, wanted: DPUNode) -> dict[str, Any]:
    changes = _label_changes(present, wanted)
    spec: dict[str, Any] = {}
    if [ref.name for ref in present.spec.dpus] != [ref.name for ref in wanted.spec.dpus]:
        spec["dpus"] = [{"name": ref.name} for ref in wanted.spec.dpus]
    if present.spec.node_reboot_method.external is None:
        # Carbide alone reboots hosts; null takes the other methods away, since only one may be set.
        spec["nodeRebootMethod"] = {"external": {}, "hostAgent": None, "gNOI": None, "script": None}
    if spec:
        changes["spec"] = spec
    return changes


def _label_changes(present: Resource, wanted: Resource) -> dict[str, Any]:
    """Labels that are missing or other than wanted. Labels of others, DPF's own above all, stay."""
    labels = {
        key: value
        for key, value in wanted.metadata.labels.items()
        if present.metadata.labels.get(key) != value
    }
    return {"metadata": {"labels": labels}} if labels else {}


def _paths(changes: Mapping[str, Any]) -> list[str]:
    """What a patch is about: metadata.labels, spec.bmcIp."""
    return [f"{part}.{key}" for part, keys in changes.items() for key in keys]


def _both(present: Resource, wanted: Resource, path: str) -> str:
    return f"it has {_at(present, path)!r}, asked for is {_at(wanted, path)!r}"


def _at(obj: Resource, path: str) -> object:
    value: Any = obj.to_wire()  # JSON
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
