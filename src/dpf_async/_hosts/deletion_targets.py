"""Deletion targets: the objects that belong to one DPU or to one host and are deleted with it.

They are found by reference, not by composing names, and each is identified by its uid. They are read from the API
server and not from a cache, because a cache may lag, and an object that is not found is not deleted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from dpf_async._api.codec import ObjectState, Page, Undecodable
from dpf_async._hosts.lookups import find_state
from dpf_async._specs import DeviceNameText, NodeNameText
from dpf_async._transitions.views import DPUView, device_names, node_of_dpu, node_of_maintenance
from dpf_async.errors import DecodeError, UsageError
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known

if TYPE_CHECKING:
    from dpf_async._session.client import Client

T = TypeVar("T", bound=Resource)
Document = dict[str, Any]  # Any: JSON

_POSSIBLE_NAME: Final = re.compile("[a-z0-9][-.a-z0-9]{0,252}")
"""Names that an object of any kind can have; the limit of a kind in one release of DPF may be lower."""

_NAMES: Final = {DPUDevice: TypeAdapter(DeviceNameText), DPUNode: TypeAdapter(NodeNameText)}


@dataclass(frozen=True, slots=True)
class Target:
    """An object to delete, identified by its uid: another object with the same name is not a target."""

    kind: type[Resource]
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.kind.KIND} {self.name}"


@dataclass(frozen=True, slots=True)
class DPUTargets:
    """The objects of one DPU of a host.

    Attributes:
        name: of the DPUDevice, which may not exist.
        device: the DPUDevice; None if it does not exist.
        dpus: the DPUs that refer to it: one, or none.
        listed_by: names of the DPUNodes whose `spec.dpus` contains it.
        nodes: names of all DPUNodes that it is related to: those in `listed_by`, that of its DPU, that of its label.
    """

    name: str
    device: Target | None
    dpus: tuple[Target, ...]
    listed_by: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def objects(self) -> tuple[Target, ...]:
        """In the order in which they are deleted."""
        return (*((self.device,) if self.device is not None else ()), *self.dpus)

    def belong_to(self, first: DPUTargets) -> bool:
        """Whether these are of the same DPUDevice as first, and not of one that was registered later."""
        return self.device is None or self.device == first.device


async def find_dpu_targets(dpf: Client, name: str, *, known_before: bool = False) -> DPUTargets:
    """Find the objects of the DPU on a DPUDevice.

    Args:
        dpf: the client.
        name: of the DPUDevice.
        known_before: an earlier call found targets for this name; finding none is success for any name.

    Raises:
        UsageError: there are none, and the name is that of an object of another kind, or no valid name.
        DecodeError: an object cannot be decoded, and whether it is a target cannot be determined.
    """
    dpus = await dpf.resource(DPU).list_states()
    nodes = await dpf.resource(DPUNode).list_states()
    wanted = name.lower()
    of_device = _targets(
        dpus,
        lambda state: DPUView(state).device.lower() == wanted,
        lambda document: _text(document, "spec", "dpuDeviceName").lower() == wanted,
    )
    listing = _targets(
        nodes,
        lambda state: wanted in map(str.lower, device_names(state)),
        lambda document: any(
            _text(entry, "name").lower() == wanted for entry in document.get("spec", {}).get("dpus", ())
        ),
    )
    referred = [node_of_dpu(state) for state in dpus.items if DPUView(state).device.lower() == wanted]
    device = await find_state(dpf, DPUDevice, name) if _POSSIBLE_NAME.fullmatch(name) else None
    if not (known_before or device or of_device or listing):
        for state in dpus.items:
            if state.name == name:
                raise _wrong_kind(DPUDevice, DPU, name, f"delete_dpu({DPUView(state).device!r})")
        if any(state.name == name for state in nodes.items):
            raise _wrong_kind(DPUDevice, DPUNode, name, f"delete_dpu_node({name!r})")
        _refuse_invalid_name(DPUDevice, name)
    label = device.labels.get(known.DPUNODE_NAME_LABEL, "") if device is not None else ""
    names = [node.name for node in listing]
    return DPUTargets(
        name=name,
        device=None if device is None else Target(DPUDevice, device.name, device.uid),
        dpus=tuple(of_device),
        listed_by=tuple(names),
        nodes=tuple(dict.fromkeys(node for node in (*names, *referred, label) if node)),
    )


@dataclass(frozen=True, slots=True)
class NodeTargets:
    """The objects of one host.

    Attributes:
        name: of the DPUNode, which may not exist.
        node: the DPUNode; None if it does not exist.
        devices: the DPUDevices with its label, and those without such a label that no other DPUNode lists.
        dpus: the DPUs that refer to it.
        maintenances: the DPUNodeMaintenances that refer to it.
    """

    name: str
    node: Target | None
    devices: tuple[Target, ...]
    dpus: tuple[Target, ...]
    maintenances: tuple[Target, ...]

    @property
    def objects(self) -> tuple[Target, ...]:
        """All but the maintenances, in the order in which they are deleted."""
        return (*self.devices, *((self.node,) if self.node is not None else ()), *self.dpus)

    def belong_to(self, first: NodeTargets) -> bool:
        """Whether these are of the same DPUNode as first, and not of one that was registered later."""
        return self.node is None or self.node == first.node


async def find_node_targets(dpf: Client, name: str, *, known_before: bool = False) -> NodeTargets:
    """Find the objects of a host.

    Args:
        dpf: the client.
        name: of the DPUNode.
        known_before: as for `find_dpu_targets`.

    Raises:
        UsageError: there are none, and the name is that of an object of another kind, or no valid name.
        DecodeError: an object cannot be decoded, and whether it is a target cannot be determined.
    """
    maintenances = await maintenances_of(dpf, name)
    dpus = await dpf.resource(DPU).list_states()
    devices = await dpf.resource(DPUDevice).list_states()
    # Last: if a node is registered between these lists, its objects are not mistaken for those of the deleted one.
    nodes = await dpf.resource(DPUNode).list_states()
    node = _targets(
        nodes,
        lambda state: state.name == name,
        lambda document: _text(document, "metadata", "name") == name,
    )
    listed = {
        device.lower() for state in nodes.items if state.name == name for device in device_names(state)
    } - {device.lower() for state in nodes.items if state.name != name for device in device_names(state)}

    def belongs(device: str, label: str) -> bool:
        return label == name or (not label and device in listed)

    of_node = _targets(
        devices,
        lambda state: belongs(state.name, state.labels.get(known.DPUNODE_NAME_LABEL, "")),
        lambda document: belongs(
            _text(document, "metadata", "name"),
            _text(document, "metadata", "labels", known.DPUNODE_NAME_LABEL),
        ),
    )
    dpus_of_node = _dpus_in(dpus, name)
    if not (known_before or node or of_node or dpus_of_node or maintenances):
        for state in dpus.items:
            if state.name == name:
                raise _wrong_kind(DPUNode, DPU, name, f"delete_dpu_node({DPUView(state).node!r})")
        if any(state.name == name for state in devices.items):
            raise _wrong_kind(DPUNode, DPUDevice, name, f"delete_dpu({name!r})")
        _refuse_invalid_name(DPUNode, name)
    return NodeTargets(
        name, node[0] if node else None, tuple(of_node), tuple(dpus_of_node), tuple(maintenances)
    )


async def maintenances_of(dpf: Client, node: str) -> list[Target]:
    """The DPUNodeMaintenances that refer to a DPUNode."""
    return _targets(
        await dpf.resource(DPUNodeMaintenance).list_states(),
        lambda state: node_of_maintenance(state) == node,
        lambda document: _text(document, "spec", "dpuNodeName") == node,
    )


async def dpus_of(dpf: Client, node: str) -> list[Target]:
    """The DPUs that refer to a DPUNode."""
    return _dpus_in(await dpf.resource(DPU).list_states(), node)


def _dpus_in(page: Page[DPU], node: str) -> list[Target]:
    return _targets(
        page,
        lambda state: node_of_dpu(state) == node,
        lambda document: _text(document, "spec", "dpuNodeName") == node,
    )


def _targets(
    page: Page[T], is_target: Callable[[ObjectState[T]], bool], document_is_target: Callable[[Document], bool]
) -> list[Target]:
    """The targets in a list.

    An object that cannot be decoded is a target if the fields that decide it can be read. Leaving it out would report
    a deletion as complete while the object exists.
    """
    found = [Target(state.kind, state.name, state.uid) for state in page.items if is_target(state)]
    found += [
        Target(obj.kind, obj.name, obj.uid)
        for obj in page.undecodable
        if _undecodable_is_target(obj, document_is_target)
    ]
    return found


def _undecodable_is_target(obj: Undecodable, document_is_target: Callable[[Document], bool]) -> bool:
    try:
        return bool(obj.name) and document_is_target(json.loads(obj.raw))
    except (ValueError, TypeError, AttributeError) as error:
        raise DecodeError(
            f"{obj.kind.KIND} {obj.name or '(unreadable name)'} cannot be decoded ({obj.error}), and it is not known"
            " whether it has to be deleted; repair or delete it, then call again",
            kind=obj.kind.KIND,
            name=obj.name,
        ) from error


def _text(document: Document, *path: str) -> str:
    """The string at a path; empty if the path does not exist."""
    value: Any = document
    for key in path:
        value = (value or {}).get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{'.'.join(path)} is not a string")
    return value or ""


def _wrong_kind(wanted: type[Resource], found: type[Resource], name: str, call: str) -> UsageError:
    return UsageError(
        f"nothing was deleted: {name} is the name of a {found.KIND}, and the call needs the name of a {wanted.KIND};"
        f" call {call} to delete what belongs to it"
    )


def _refuse_invalid_name(kind: type[Resource], name: str) -> None:
    """Raise UsageError for a name that no object of the kind can have; deleting a missing object is success."""
    try:
        _NAMES[kind].validate_python(name)
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise UsageError(
            f"nothing was deleted: {name!r} cannot be the name of a {kind.KIND}: {reason}; list the names with"
            f" resource({kind.KIND}).list()"
        ) from error
