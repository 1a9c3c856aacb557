"""Parts of what is to be deleted: what belongs to one DPU, or to one host, and has to go with it.

Found by reference, never by composing names, and each by its uid. Asked of the server itself and not of a picture,
which may be late: what is overlooked here would be left behind.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from dpf_async._api.codec import ObjectState, Page, Undecodable
from dpf_async._specs import DeviceNameText, NodeNameText
from dpf_async._transitions.view import DPUView, device_names, node_of_dpu, node_of_maintenance
from dpf_async.errors import DecodeError, NotFound, UsageError
from dpf_async.models import DPU, DPUDevice, DPUNode, DPUNodeMaintenance, Resource, known

if TYPE_CHECKING:
    from dpf_async._session.handles import ObjectHandle
    from dpf_async._session.node_handle import NodeHandle

T = TypeVar("T", bound=Resource)
Document = dict[str, Any]  # Any: JSON

_MAY_BE_ASKED_FOR: Final = re.compile("[a-z0-9][-.a-z0-9]{0,252}")
"""Names that some object could have, whatever the limit of its kind in this release of DPF."""

_NAMES: Final = {DPUDevice: TypeAdapter(DeviceNameText), DPUNode: TypeAdapter(NodeNameText)}


class Site(Protocol):
    """What deletion needs of a client."""

    def resource(self, kind: type[T]) -> Any:
        """Typed objects of one kind."""

    def handle(self, kind: type[T], name: str) -> ObjectHandle[Any]:
        """A handle on one object."""

    def node(self, name: str) -> NodeHandle:
        """A handle on a host."""


@dataclass(frozen=True, slots=True)
class Part:
    """An object that has to go: this very one, not another one that gets its name."""

    kind: type[Resource]
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.kind.KIND} {self.name}"


@dataclass(frozen=True, slots=True)
class DPUParts:
    """What there is of one DPU of a host.

    Attributes:
        name: of the DPUDevice, whether it exists or not.
        device: the DPUDevice; None if it is gone.
        dpus: the DPUs that refer to it: one, or none.
        carriers: names of the DPUNodes that list it.
        nodes: names of the DPUNodes it has to do with, carriers among them.
    """

    name: str
    device: Part | None
    dpus: tuple[Part, ...]
    carriers: tuple[str, ...]
    nodes: tuple[str, ...]

    @property
    def objects(self) -> tuple[Part, ...]:
        """In the order in which they are deleted."""
        return (*((self.device,) if self.device is not None else ()), *self.dpus)

    def is_of(self, first: DPUParts) -> bool:
        """These are still those of the same device, as a later look finds them; not of one registered since."""
        return self.device is None or self.device == first.device


async def dpu_parts(dpf: Site, name: str, *, again: bool = False) -> DPUParts:
    """Find what there is of the DPU on a DPUDevice.

    Args:
        dpf: the client.
        name: of the DPUDevice.
        again: there was something under this name a moment ago.

    Raises:
        UsageError: there is nothing, and the name is that of something else, or cannot be one.
        DecodeError: an object cannot be read, so nobody knows whether it is of this DPU.
    """
    dpus = await dpf.resource(DPU).snapshots()
    nodes = await dpf.resource(DPUNode).snapshots()
    wanted = name.lower()
    mine = _parts(
        dpus,
        lambda state: DPUView(state).device.lower() == wanted,
        lambda document: _text(document, "spec", "dpuDeviceName").lower() == wanted,
    )
    carriers = _parts(
        nodes,
        lambda state: wanted in map(str.lower, device_names(state)),
        lambda document: any(
            _text(one, "name").lower() == wanted for one in document.get("spec", {}).get("dpus", ())
        ),
    )
    referred = [node_of_dpu(state) for state in dpus.items if DPUView(state).device.lower() == wanted]
    device = await _device(dpf, name)
    if not (again or device or mine or carriers):
        for state in dpus.items:
            if state.name == name:
                of = DPUView(state).device
                raise _wrong_kind(DPUDevice, DPU, name, f"delete_dpu({of!r}), its DPUDevice,")
        if any(state.name == name for state in nodes.items):
            raise _wrong_kind(DPUDevice, DPUNode, name, f"delete_dpu_node({name!r})")
        _refuse_impossible(DPUDevice, name)
    label = device.labels.get(known.DPUNODE_NAME_LABEL, "") if device is not None else ""
    names = [carrier.name for carrier in carriers]
    return DPUParts(
        name=name,
        device=None if device is None else Part(DPUDevice, device.name, device.uid),
        dpus=tuple(mine),
        carriers=tuple(names),
        nodes=tuple(dict.fromkeys(one for one in (*names, *referred, label) if one)),
    )


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What there is of one host.

    Attributes:
        name: of the DPUNode, whether it exists or not.
        node: the DPUNode; None if it is gone.
        devices: the DPUDevices that belong to it: labelled so, or listed by it and by no other.
        dpus: the DPUs that refer to it.
        maintenances: the DPUNodeMaintenances that refer to it.
    """

    name: str
    node: Part | None
    devices: tuple[Part, ...]
    dpus: tuple[Part, ...]
    maintenances: tuple[Part, ...]

    @property
    def objects(self) -> tuple[Part, ...]:
        """All but the maintenances, in the order in which they are deleted."""
        return (*self.devices, *((self.node,) if self.node is not None else ()), *self.dpus)

    def is_of(self, first: NodeParts) -> bool:
        """These are still those of the same node, as a later look finds them; not of one registered since."""
        return self.node is None or self.node == first.node


async def node_parts(dpf: Site, name: str, *, again: bool = False) -> NodeParts:
    """Find what there is of a host.

    Args:
        dpf: the client.
        name: of the DPUNode.
        again: there was something under this name a moment ago.

    Raises:
        UsageError: there is nothing, and the name is that of something else, or cannot be one.
        DecodeError: an object cannot be read, so nobody knows whether it is of this host.
    """
    maintenances = await maintenances_of(dpf, name)
    dpus = await dpf.resource(DPU).snapshots()
    devices = await dpf.resource(DPUDevice).snapshots()
    # Last: what belongs to a node that is registered just now is not taken for a part of the one that was.
    nodes = await dpf.resource(DPUNode).snapshots()
    node = _parts(
        nodes,
        lambda state: state.name == name,
        lambda document: _text(document, "metadata", "name") == name,
    )
    carried = {
        device.lower() for state in nodes.items if state.name == name for device in device_names(state)
    } - {device.lower() for state in nodes.items if state.name != name for device in device_names(state)}

    def belongs(device: str, label: str) -> bool:
        return label == name or (not label and device in carried)

    mine = _parts(
        devices,
        lambda state: belongs(state.name, state.labels.get(known.DPUNODE_NAME_LABEL, "")),
        lambda document: belongs(
            _text(document, "metadata", "name"),
            _text(document, "metadata", "labels", known.DPUNODE_NAME_LABEL),
        ),
    )
    of_it = _dpus_in(dpus, name)
    if not (again or node or mine or of_it or maintenances):
        for state in dpus.items:
            if state.name == name:
                of = DPUView(state).node
                raise _wrong_kind(DPUNode, DPU, name, f"delete_dpu_node({of!r}), its host,")
        if any(state.name == name for state in devices.items):
            raise _wrong_kind(DPUNode, DPUDevice, name, f"delete_dpu({name!r})")
        _refuse_impossible(DPUNode, name)
    return NodeParts(name, node[0] if node else None, tuple(mine), tuple(of_it), tuple(maintenances))


# Finding.


async def maintenances_of(dpf: Site, node: str) -> list[Part]:
    return _parts(
        await dpf.resource(DPUNodeMaintenance).snapshots(),
        lambda state: node_of_maintenance(state) == node,
        lambda document: _text(document, "spec", "dpuNodeName") == node,
    )


async def dpus_of(dpf: Site, node: str) -> list[Part]:
    return _dpus_in(await dpf.resource(DPU).snapshots(), node)


def _dpus_in(page: Page[DPU], node: str) -> list[Part]:
    return _parts(
        page,
        lambda state: node_of_dpu(state) == node,
        lambda document: _text(document, "spec", "dpuNodeName") == node,
    )


async def _device(dpf: Site, name: str) -> ObjectState[DPUDevice] | None:
    if not _MAY_BE_ASKED_FOR.fullmatch(name):
        return None
    try:
        found: ObjectState[DPUDevice] = await dpf.resource(DPUDevice).snapshot(name)
    except NotFound:
        return None
    return found


async def exists(dpf: Site, kind: type[Resource], name: str) -> bool:
    try:
        await dpf.resource(kind).snapshot(name)
    except NotFound:
        return False
    return True


def _parts(
    page: Page[T], belongs: Callable[[ObjectState[T]], bool], says_so: Callable[[Document], bool]
) -> list[Part]:
    """The objects of a list that belong to what is deleted.

    One that cannot be read goes like the others, as long as it says what it belongs to: to leave it out would be to
    say that it is gone.
    """
    found = [Part(state.kind, state.name, state.uid) for state in page.items if belongs(state)]
    found += [Part(obj.kind, obj.name, obj.uid) for obj in page.undecodable if _belongs(obj, says_so)]
    return found


def _belongs(obj: Undecodable, says_so: Callable[[Document], bool]) -> bool:
    try:
        return bool(obj.name) and says_so(json.loads(obj.raw))
    except (ValueError, TypeError, AttributeError) as error:
        raise DecodeError(
            f"{obj.kind.KIND} {obj.name or '(unreadable name)'} cannot be read, so it is not known whether it goes as"
            f" well: {obj.error}; repair or delete it first",
            kind=obj.kind.KIND,
            name=obj.name,
        ) from error


def _text(document: Document, *path: str) -> str:
    """What stands there, if it is a text; empty if nothing does."""
    value: Any = document
    for key in path:
        value = (value or {}).get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{'.'.join(path)} is no text")
    return value or ""


# Names.


def _wrong_kind(wanted: type[Resource], found: type[Resource], name: str, instead: str) -> UsageError:
    return UsageError(
        f"nothing was deleted: {name} is the name of a {found.KIND}, and what was asked for is the name of a"
        f" {wanted.KIND}; call {instead} if that is what you mean"
    )


def _refuse_impossible(kind: type[Resource], name: str) -> None:
    """There is nothing of this name. That is as wanted, unless there never can have been: then it is a mistake."""
    try:
        _NAMES[kind].validate_python(name)
    except ValidationError as error:
        why = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise UsageError(
            f"nothing was deleted: {name!r} cannot be the name of a {kind.KIND}: {why}; look at the names with"
            f" resource({kind.KIND}).list()"
        ) from error
