"""ObjectCache: the views of all objects of one kind, and the hub that notifies their readers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from dpf_async._transitions.hub import Hub, HubListener
from dpf_async.models import Resource

if TYPE_CHECKING:
    from dpf_async._api.codec import ObjectState
    from dpf_async._watch.reflector import Reflector

T = TypeVar("T", bound=Resource)


class HasIdentity(Protocol):
    """Any view of one object."""

    @property
    def name(self) -> str: ...

    @property
    def uid(self) -> str: ...


View = TypeVar("View", bound=HasIdentity)


class ObjectCache(Generic[T, View]):
    """The views of one reflector's objects by name. It listens from the moment it is built."""

    def __init__(self, reflector: Reflector[T], view_of: Callable[[ObjectState[T]], View]) -> None:
        self.reflector = reflector
        self.hub: Hub[View | None] = Hub(self.view, self.is_unreadable)
        self._view_of = view_of
        reflector.store.listen(HubListener(self.hub))

    def view(self, name: str) -> View | None:
        """The view of the object of this name; None if there is none."""
        state = self.reflector.store.get(name)
        return None if state is None else self._view_of(state)

    def is_unreadable(self, name: str) -> bool:
        """An object of this name exists and cannot be decoded."""
        return name in self.reflector.store.unreadable
