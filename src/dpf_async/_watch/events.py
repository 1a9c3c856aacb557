"""What happened to objects, as one reader is told it: a closed union of frozen values.

Every state in an event is one that the server really served. Nothing is invented for what may have been missed: a jump
is one event that says so (reliability 5.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from dpf_async._api.codec import ObjectState, Undecodable
from dpf_async.models import Resource

T = TypeVar("T", bound=Resource)

Origin = Literal["initial", "watch", "relist", "audit"]
"""initial: it stood when the reader came. watch: the server told. relist, audit: found by comparing lists."""


@dataclass(frozen=True, slots=True)
class Added(Generic[T]):
    """An object that this reader was not told of before, or that can be read again."""

    obj: ObjectState[T]
    origin: str


@dataclass(frozen=True, slots=True)
class Updated(Generic[T]):
    """The same object (same uid) in a newer state.

    Attributes:
        contiguous: before and after are neighbours in the server's history, as far as it told.
        coalesced: states in between that this reader was too slow for.
    """

    before: ObjectState[T]
    after: ObjectState[T]
    origin: str
    contiguous: bool
    coalesced: int


@dataclass(frozen=True, slots=True)
class Deleted(Generic[T]):
    """An object is gone. With a selector it may merely have stopped matching; the server says the same then.

    Attributes:
        last: its final state if that is known, else the last one this reader was told; Undecodable if it was told that
            the object cannot be read.
        final_state_known: the server told the final state.
        reason: "deleted", or "replaced" if another object has its name now.
    """

    last: ObjectState[T] | Undecodable
    origin: str
    final_state_known: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """From here to the next Resumed, changes may have been missed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """Every object has been compared with a whole list again.

    Attributes:
        resource_version: of that list.
        rewound: the server's history went back (a restored backup): states may be older than ones told before.
    """

    resource_version: str
    rewound: bool


@dataclass(frozen=True, slots=True)
class Synced:
    """Everything that stood when the reader came has been told."""


WatchEvent = Added[T] | Updated[T] | Deleted[T] | Gap | Resumed | Synced | Undecodable
