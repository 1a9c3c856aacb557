"""Reads of single objects that may not exist, from the API server and not from a cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from dpf_async.errors import NotFound
from dpf_async.models import Resource

if TYPE_CHECKING:
    from dpf_async._api.codec import ObjectState
    from dpf_async._session.client import Client

T = TypeVar("T", bound=Resource)


async def find_state(dpf: Client, kind: type[T], name: str) -> ObjectState[T] | None:
    """The state of the object of this name; None if none exists."""
    try:
        return await dpf.resource(kind).get_state(name)
    except NotFound:
        return None
