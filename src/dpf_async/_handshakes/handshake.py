"""Handshake: what one kind of request of DPF is, how to recognize it, and how to answer it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from dpf_async._handshakes.requests import HoldRequest, RebootRequest
from dpf_async._transitions.levels import Level
from dpf_async._transitions.views import NodeView
from dpf_async.models import Resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dpf_async._api.codec import ObjectState
    from dpf_async._api.resource import ResourceList

T = TypeVar("T", bound=Resource)
R = TypeVar("R", RebootRequest, HoldRequest)


class Objects(Protocol[T]):
    """The objects of one kind, as handshakes read and write them."""

    async def get_state(self, name: str) -> ObjectState[T]:
        """Read an object."""

    async def latest_state(self, name: str, uid: str) -> ObjectState[T] | None:
        """Read an object, None if it is gone; later views are at least as new."""

    async def list(self) -> ResourceList[T]:
        """Read all objects."""

    async def patch(self, name: str, patch: Mapping[str, Any], *, uid: str | None = None) -> T:
        """Change parts of an object. Any: JSON."""


class Handshake(ABC, Generic[R]):
    """One kind of request.

    Attributes:
        name: for messages: "external reboot".
        pending: the level that holds while such a request is pending.
    """

    name: str
    pending: Level[NodeView]

    @abstractmethod
    def request(self, view: NodeView) -> R | None:
        """The pending request in a view; None if there is none."""

    @abstractmethod
    def withdrawn(self, request: R) -> Level[NodeView]:
        """The level that holds when this request is not pending any more."""

    @abstractmethod
    def identity(self, request: R) -> str:
        """Distinguishes a request from earlier ones, as far as DPF does."""

    @abstractmethod
    async def latest(self, request: R) -> str | None:
        """The version of the object in which the request is pending, read from the API server; None if it is not.

        Later views are at least as new.
        """

    @abstractmethod
    async def answer(self, request: R, version: str | None) -> None:
        """Write the answer; repeating it has no further effect.

        Args:
            request: that is answered.
            version: write only if the object still has this version; None writes in any case.

        Raises:
            Conflict: the object has another version.
        """


def at_version(version: str | None) -> dict[str, str]:
    """The precondition that an object still has a version, as metadata of a patch."""
    return {} if version is None else {"resourceVersion": version}
