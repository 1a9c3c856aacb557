"""Partway: an operation that fails in the middle says in a note of its error what it had done by then.

The error itself says what failed and what to do about it: a permission that is missing, for instance. Waits are left
alone, since theirs say already where everything stands.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dpf_async.errors import DPFError, WaitError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def progress_note(done: Sequence[str], *, how: str, then: str) -> Iterator[None]:
    """Note on whatever fails in the block what was done by that moment.

    Args:
        done: objects, as "DPUNode node-1"; it grows while the block runs.
        how: what was done to them: "created".
        then: what to do about it.
    """
    try:
        yield
    except DPFError as error:
        if not isinstance(error, WaitError):
            error.add_note(f"{how} before that: {', '.join(done) or 'nothing'}; {then}")
        raise
