"""Events: the changes of objects that one reader receives, as a closed union of frozen values.

Every state in an event is one that the API server returned. Missed states are not invented: a jump over them is one
event that is marked as not contiguous (docs/watching.md#gap-rules).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async.models import Resource

T = TypeVar("T", bound=Resource)

Origin = Literal["initial", "watch", "relist", "audit"]
"""initial: it existed when the reader started. watch: a watch event. relist, audit: the difference from a list."""


@dataclass(frozen=True, slots=True)
class Added(Generic[T]):
    """An object that was not reported to this reader before, or that can be decoded again."""

    obj: ObjectState[T]
    origin: str


@dataclass(frozen=True, slots=True)
class Updated(Generic[T]):
    """A newer state of the same object (same uid).

    Attributes:
        contiguous: the server sent no state between before and after, and no list was needed.
        coalesced: states in between that this reader was too slow to receive.
    """

    before: ObjectState[T]
    after: ObjectState[T]
    origin: str
    contiguous: bool
    coalesced: int


@dataclass(frozen=True, slots=True)
class Deleted(Generic[T]):
    """An object was deleted, or left the selection: with a selector the server sends the same event for both.

    Attributes:
        last: the final state if it is known, else the last one that this reader received; Undecodable if the object was
            reported to this reader as undecodable.
        final_state_known: the server sent the final state.
        reason: "deleted", or "replaced" if another object has its name now.
    """

    last: ObjectState[T] | Undecodable
    origin: str
    final_state_known: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """From here to the next Resumed, changes may be missed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """A complete list was compared with every object; no change is missed any more.

    Attributes:
        resource_version: of that list.
        rewound: the server's history went back (a restored backup): states may be older than those reported before.
    """

    resource_version: str
    rewound: bool


@dataclass(frozen=True, slots=True)
class Synced:
    """Every object that existed when the reader started was reported."""


WatchEvent = Added[T] | Updated[T] | Deleted[T] | Gap | Resumed | Synced | Undecodable
