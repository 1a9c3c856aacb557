"""Text that came over the network, made fit for messages and logs."""

from __future__ import annotations

import unicodedata
from typing import Final

MESSAGE_LIMIT: Final = 2000
"""Characters of a server's sentence that are repeated; chosen: a screenful, and the longest CEL message by far."""


def printable(text: str, limit: int = MESSAGE_LIMIT) -> str:
    r"""The text with everything escaped that could move a cursor, hide or reorder what a person reads.

    C0, C1 and format characters (bidi controls, U+2028/9) become \x.. or \u....: object text is written by
    others, and terminals obey it (CVE-2021-25743; reliability 7.5). Longer text is cut at `limit` characters.
    """
    cut = text if len(text) <= limit else text[:limit] + "…"
    if cut.isprintable():
        return cut
    return "".join(
        character if character.isprintable() or character == "\u00a0" else _escape(character)
        for character in cut
    )


def _escape(character: str) -> str:
    if unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode("ascii")
