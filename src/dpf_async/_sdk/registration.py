"""Telling DPF which hosts and DPUs there are: method CreateDPUNode of the requirement.

Devices first, the node last: a device does nothing until a node lists it, and the node is what starts provisioning
(dpf-facts 4). What is there already is compared: what may change is made so, what may not is refused with both values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dpf_async._sdk import build
from dpf_async._sdk.partway import partway
from dpf_async.errors import AlreadyExists, Invalid
from dpf_async.models import DPUDevice, DPUNode, Resource, refused_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dpf_async._api.resource import ResourceClient
    from dpf_async._sdk.specs import DeviceSpec

T = TypeVar("T", bound=Resource)


class Writes(Protocol):
    """Where objects of any kind are written."""

    def resource(self, kind: type[T]) -> ResourceClient[T]:
        """Typed objects of one kind."""


async def register(to: Writes, name: str, devices: Sequence[DeviceSpec], labels: Mapping[str, str]) -> None:
    """Make the DPUDevices and the DPUNode exist as described; do nothing where they do.

    Raises:
        AlreadyExists: one of them is being deleted (`.terminating`): wait until it is gone.
        Invalid: one exists with a value that cannot be changed; the message has both.
    """
    done: list[str] = []
    with partway(done, how="created or changed", then="register again to go on from there"):
        for spec in devices:
            device = build.device(spec)
            if await _make_so(to.resource(DPUDevice), device, _device_changes):
                done.append(f"DPUDevice {device.name}")
        await _make_so(to.resource(DPUNode), build.node(name, devices, labels), _node_changes)


async def _make_so(objects: ResourceClient[T], wanted: T, changes: Callable[[T, T], dict[str, Any]]) -> bool:
    """Create it, or change what is there; False if there was nothing to do."""
    present = await _create(objects, wanted)
    return present is None or await _repair(objects, present, wanted, changes(present, wanted))


async def _create(objects: ResourceClient[T], wanted: T) -> T | None:
    """Create it; return what is there instead, if something is."""
    try:
        await objects.create(wanted)
    except AlreadyExists as error:
        if error.terminating:
            raise
        present = await objects.get(wanted.name)
        if present.terminating:
            raise AlreadyExists(
                f"{wanted.KIND} {wanted.name} is being deleted: wait until it is gone, then register again",
                status=409,
                reason="AlreadyExists",
                object=f"{wanted.KIND} {wanted.name}",
                server_message="object is being deleted",
            ) from error
        return present
    return None


async def _repair(objects: ResourceClient[T], present: T, wanted: T, changes: dict[str, Any]) -> bool:
    refused = refused_changes(present, wanted)
    if refused:
        fields = "; ".join(f"{cause.field}: {_both(present, wanted, cause.field)}" for cause in refused)
        raise Invalid(
            f"{wanted.KIND} {wanted.name} exists and cannot be changed: {fields};"
            " delete it first, or register what is there",
            status=422,
            reason="Invalid",
            object=f"{wanted.KIND} {wanted.name}",
            causes=refused,
        )
    if changes:
        # Of this very object: had it been replaced meanwhile, the comparison would be worth nothing.
        await objects.patch(wanted.name, changes, uid=present.uid)
    return bool(changes)


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


def _both(present: Resource, wanted: Resource, path: str) -> str:
    return f"it has {_at(present, path)!r}, asked for is {_at(wanted, path)!r}"


def _at(obj: Resource, path: str) -> object:
    value: Any = obj.to_wire()  # JSON
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
