"""Notes on errors: what an operation had done before it failed, and how to continue.

The error itself says what failed and what to do about it, such as a missing permission. Errors of waits get no note,
because their messages already describe the state of the objects.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dpf_async.errors import DPFError, WaitError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def progress_note(done: Sequence[str], *, how: str, then: str) -> Iterator[None]:
    """Add a note to an error of the block that lists what was done before.

    Args:
        done: objects, as "DPUNode node-1"; the block appends to it.
        how: what was done to them: "created".
        then: what the caller does next.
    """
    try:
        yield
    except DPFError as error:
        if not isinstance(error, WaitError):
            error.add_note(f"{how} before that: {', '.join(done) or 'nothing'}; {then}")
        raise
