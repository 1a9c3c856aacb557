"""Splits the body of a watch into lines, for any division into chunks by the network.

Sans-IO: chunks in, complete lines out. A watch is one JSON document per line, ended by byte 0x0A and by nothing else:
the API server writes U+0085 unescaped inside strings, at which str.splitlines() would split
(docs/watching.md#line-ends).
"""

from __future__ import annotations

from typing import Final

LINE_LIMIT: Final = 32 * 2**20
"""Bytes of the longest line that is read. etcd accepts objects of 1.5 MiB, and an event is at most a few times as long
as its object (docs/watching.md#framing); the limit of client-go is 16 MiB."""


class LineSplitter:
    """Chunks in, complete lines out; memory stays below `limit` bytes.

    A longer line is skipped up to its end and counted in `oversized`: one huge object must neither end the stream
    nor exhaust the memory.
    """

    __slots__ = ("_limit", "_pending", "_size", "_skipping", "oversized")

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._pending: list[bytes] = []
        self._size = 0
        self._skipping = False
        self.oversized = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Add the next bytes; return the lines that they complete, without blank ones.

        Lines keep their line feed where that saves a copy: JSON decoders ignore it.
        """
        end = chunk.find(b"\n")
        if end < 0:
            self._keep(chunk)
            return []
        if end == len(chunk) - 1 and not self._pending and not self._skipping:
            # The fast path of nearly every event: the server writes one event per HTTP chunk.
            if end > self._limit:
                self.oversized += 1
                return []
            return [] if chunk.isspace() else [chunk]
        return self._split(chunk)

    def end(self) -> bytes:
        """The bytes after the last line feed: a complete document if the server only omitted the last line feed."""
        rest = b"".join(self._pending)
        self._clear()
        return rest.strip()

    def _split(self, chunk: bytes) -> list[bytes]:
        *complete, rest = chunk.split(b"\n")
        lines: list[bytes] = []
        for part in complete:
            self._keep(part)
            if self._skipping:
                self.oversized += 1
            else:
                line = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
                if line.strip():
                    lines.append(line)
            self._clear()
        self._keep(rest)
        return lines

    def _keep(self, part: bytes) -> None:
        if not part or self._skipping:
            return
        self._size += len(part)
        if self._size > self._limit:
            self._clear()
            self._skipping = True
        else:
            self._pending.append(part)

    def _clear(self) -> None:
        self._pending.clear()
        self._size = 0
        self._skipping = False
