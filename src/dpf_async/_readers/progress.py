"""Progress: what a flow is waiting for, or doing, told to whoever started it, as it changes and not by the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from dpf_async._transitions.levels import Level

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Progress:
    """What a flow is at, at this moment.

    Attributes:
        flow: the call that is under way: "provision".
        subject: the object it is about: "DPUNode node-1".
        doing: in words: "not ready yet; phases: dpu-1 OS Installing".
        seconds: since the flow began.
    """

    flow: str
    subject: str
    doing: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.subject}: {self.doing}"


ProgressListener = Callable[[Progress], object]
"""Hears of progress. It must not wait; what it raises ends the flow."""


class ProgressReporter:
    """Tells one listener about one flow. About each object the same is told once, until something else is.

    Args:
        flow: the name of the call.
        listener: None tells nobody.
    """

    def __init__(self, flow: str, listener: ProgressListener | None) -> None:
        self._flow = flow
        self._listener = listener
        self._began = anyio.current_time()
        self._told: dict[str, str] = {}

    def tell(self, subject: str, doing: str) -> None:
        """Say what the flow is at, as far as it was not said last."""
        if self._listener is None or self._told.get(subject) == doing:
            return
        self._told[subject] = doing
        self._listener(Progress(self._flow, subject, doing, anyio.current_time() - self._began))

    def until(self, level: Level[V], subject: str, words: Callable[[V], str]) -> Level[V]:
        """The same level, which also tells of every view in which it does not hold yet.

        Args:
            level: what is waited for.
            subject: the object it is about.
            words: describes a view in which it does not hold.
        """
        if self._listener is None:
            return level

        def holds(view: V) -> bool:
            if level.holds(view):
                return True
            self.tell(subject, f"not {level.name} yet; {words(view)}")
            return False

        return Level(level.name, holds, survives_failure=level.survives_failure)
