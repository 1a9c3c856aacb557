"""Registration of hosts: method CreateDPUNode of the requirement.

DPUDevices are created first and the DPUNode last: the operator ignores a DPUDevice until a DPUNode lists it, and the
DPUNode starts provisioning (docs/dpf/discovery.md#registration-order). All objects are read before the first one is
written. Existing objects are compared: fields that may change are changed, and a difference in a field that may not is
refused with both values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from pydantic import ValidationError

from dpf_async._base.error_notes import progress_note
from dpf_async._base.retry import retry_on_conflict
from dpf_async._site import manifests
from dpf_async._specs import duplicates, path_of
from dpf_async.errors import AlreadyExists, Cause, Conflict, DPFError, Invalid, NotFound, UsageError
from dpf_async.models import DPUDevice, DPUNode, Resource, known, refused_changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dpf_async._readers.progress import ProgressReporter
    from dpf_async._readers.waits import Deadline
    from dpf_async._session.client import Client
    from dpf_async._specs import DeviceSpec

T = TypeVar("T", bound=Resource)

IfTerminating = Literal["refuse", "wait"]
"""What to do if an object with the same name is being deleted: raise; wait until it is deleted."""


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
    """Create or change the DPUDevices and the DPUNode until they are as described; write nothing if they are.

    Raises:
        UsageError: the description breaks a rule; nothing was sent.
        AlreadyExists: an object is being deleted (`.terminating`), and if_terminating is "refuse"; nothing was written.
        WaitTimeout: an object is still being deleted; nothing was written.
        Invalid: an object exists with a value that cannot be changed; the message has both, and nothing was written.
        APIError, ConnectionFailed: a request failed; a note says what was written before.
    """
    options = _Options(if_terminating, deadline, reporter)
    registrations = [_Registration(dpf, obj, name, options) for obj in _objects(name, devices, labels)]
    # The node first: when it is being deleted, DPUDevices with its label are deleted with it.
    for registration in (registrations[-1], *registrations[:-1]):
        await registration.read()
    for registration in registrations:
        registration.compare()
    done: list[str] = []
    with progress_note(done, how="created or changed", then="register again to continue"):
        for registration in registrations:
            if action := await registration.write():
                done.append(registration.subject)
                reporter.report(registration.subject, action)


def _objects(
    name: str, devices: Sequence[DeviceSpec], labels: Mapping[str, str]
) -> list[DPUDevice | DPUNode]:
    """The objects to register, the node last."""
    places = (((("devices", position)), device) for position, device in enumerate(devices))
    for path, problem in duplicates(places):
        raise UsageError(f"DPUNode {name}: {path_of(path)}: {problem}")
    try:
        return [*map(manifests.device, devices), manifests.node(name, devices, labels)]
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"DPUNode {name}: {path_of(first['loc']) or 'the name'}: {first['msg']}") from error


@dataclass(frozen=True, slots=True)
class _Options:
    """What is the same for all objects of one registration."""

    if_terminating: IfTerminating
    deadline: Deadline
    reporter: ProgressReporter


class _Registration(Generic[T]):
    """The registration of one object."""

    def __init__(self, dpf: Client, wanted: T, node: str, options: _Options) -> None:
        self.subject = f"{wanted.KIND} {wanted.name}"
        self._dpf = dpf
        self._objects = dpf.resource(type(wanted))
        self._wanted = wanted
        self._node = node
        self._options = options
        self._present: T | None = None

    async def read(self) -> None:
        """Read the object; wait until it is deleted if it is being deleted and the caller wants that."""
        while True:
            try:
                self._present = await self._objects.get(self._wanted.name)
            except NotFound:
                self._present = None
            if self._present is None or not self._present.terminating:
                return
            if self._options.if_terminating == "refuse":
                raise self._refusal(
                    AlreadyExists,
                    f"{self.subject} is being deleted: wait until it is deleted, then register again, or use"
                    ' if_terminating="wait"',
                    server_message="object is being deleted",
                )
            finalizers = ", ".join(self._present.metadata.finalizers)
            self._options.reporter.report(
                self.subject, f"is being deleted, held by {finalizers}; waiting until it is deleted"
            )
            handle = self._dpf.handle(type(self._wanted), self._wanted.name)
            await handle.until_gone(uid=self._present.uid, timeout=self._options.deadline.remaining)

    def compare(self) -> None:
        """Raise Invalid if the object has values that cannot be changed to the wanted ones."""
        present = self._present
        if present is None:
            return
        refused = refused_changes(present, self._wanted)
        fields = [f"{cause.field}: {_both_values(present, self._wanted, cause.field)}" for cause in refused]
        node = present.metadata.labels.get(known.DPUNODE_NAME_LABEL)
        if isinstance(present, DPUDevice) and node is not None and node != self._node:
            # Once attached to a node, a device is never attached to another one (docs/dpf/discovery.md#attachment).
            refused = (*refused, Cause("DPUNode", f"present {node}, wanted {self._node}"))
            fields.append(str(refused[-1]))
        if refused:
            raise self._refusal(
                Invalid,
                f"{self.subject} exists and cannot be changed: {'; '.join(fields)};"
                " delete it first, or register the present values",
                causes=refused,
            )

    async def write(self) -> str:
        """Create or change the object; return what was done, empty if nothing was.

        Raises:
            Conflict: the object was created, changed or deleted between each read and write.
        """
        is_read = True

        async def attempt() -> str:
            nonlocal is_read
            if not is_read:
                await self.read()
                self.compare()
            is_read = False
            return await self._write_once()

        return await retry_on_conflict(attempt)

    async def _write_once(self) -> str:
        present = self._present
        if present is None:
            try:
                await self._objects.create(self._wanted)
            except AlreadyExists as error:
                raise self._conflict("created") from error
            return "created"
        changes = _changes(present, self._wanted)
        if not changes:
            return ""
        # With the resourceVersion that was compared: after another change the comparison is not valid any more.
        metadata = {**changes.get("metadata", {}), "resourceVersion": present.metadata.resource_version}
        try:
            await self._objects.patch(self._wanted.name, {**changes, "metadata": metadata}, uid=present.uid)
        except NotFound as error:
            raise self._conflict("deleted") from error
        return f"changed ({', '.join(_paths(changes))})"

    def _conflict(self, action: str) -> Conflict:
        return Conflict(
            f"{self.subject} was {action} by another client meanwhile; register again",
            status=409,
            reason="Conflict",
            object=self.subject,
        )

    def _refusal(self, kind: type[AlreadyExists | Invalid], message: str, **facts: Any) -> DPFError:
        status = 409 if kind is AlreadyExists else 422
        return kind(message, status=status, reason=kind.__name__, object=self.subject, **facts)


def _changes(present: Resource, wanted: Resource) -> dict[str, Any]:  # Any: JSON
    """The merge patch that changes present to wanted; empty if there is no difference."""
    if isinstance(present, DPUNode) and isinstance(wanted, DPUNode):
        return _node_changes(present, wanted)
    assert isinstance(present, DPUDevice), "only nodes and devices are registered"  # noqa: S101
    assert isinstance(wanted, DPUDevice), "only nodes and devices are registered"  # noqa: S101
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
        # Carbide alone reboots hosts; null removes the other methods, since only one may be set.
        spec["nodeRebootMethod"] = {"external": {}, "hostAgent": None, "gNOI": None, "script": None}
    if spec:
        changes["spec"] = spec
    return changes


def _label_changes(present: Resource, wanted: Resource) -> dict[str, Any]:
    """Labels that are missing or have another value. Other labels, such as DPF's own, are not changed."""
    labels = {
        key: value
        for key, value in wanted.metadata.labels.items()
        if present.metadata.labels.get(key) != value
    }
    return {"metadata": {"labels": labels}} if labels else {}


def _paths(changes: Mapping[str, Any]) -> list[str]:
    """The fields that a patch changes: metadata.labels, spec.bmcIp."""
    return [f"{section}.{key}" for section, keys in changes.items() for key in keys]


def _both_values(present: Resource, wanted: Resource, path: str) -> str:
    return f"present {_value_at(present, path)!r}, wanted {_value_at(wanted, path)!r}"


def _value_at(obj: Resource, path: str) -> object:
    value: Any = obj.to_wire()  # JSON
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value
