"""ObjectView: what the views of all kinds have in common."""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from dpf_async._api.codec import ObjectState
from dpf_async._api.records import ConditionRecord
from dpf_async.models import Resource

T = TypeVar("T", bound=Resource)


class ObjectView(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One object in one state."""

    state: ObjectState[T]

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.state.record.metadata.name

    @property
    def uid(self) -> str:
        """metadata.uid: a re-created object has the same name and another uid."""
        return self.state.record.metadata.uid

    @property
    def terminating(self) -> bool:
        """metadata.deletionTimestamp is set."""
        return self.state.terminating

    @property
    def conditions(self) -> tuple[ConditionRecord, ...]:
        """status.conditions, in the order in which they were first written."""
        return self.state.conditions

    def condition(self, type_: str) -> ConditionRecord | None:
        """The condition of this type in status.conditions; None if it is not set."""
        return self.state.condition(type_)

    @property
    def object(self) -> T:
        """The full model, decoded on each access.

        Raises:
            DecodeError: a field does not match the model.
        """
        return self.state.object
