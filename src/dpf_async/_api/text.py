"""Escapes text that came over the network, for messages and logs."""

from __future__ import annotations

import unicodedata
from typing import Final

MESSAGE_LIMIT: Final = 2000
"""Characters of a server's message that are repeated (chosen): a screenful, far longer than any CEL message."""


def printable(text: str, limit: int = MESSAGE_LIMIT) -> str:
    r"""The text with every character escaped that could move a cursor, or hide or reorder text in a terminal.

    C0, C1 and format characters (bidi controls, U+2028/9) become \x.. or \u....: other clients write the text of
    objects, and terminals execute control characters (CVE-2021-25743; docs/watching.md#terminal-text). Longer text is
    truncated to `limit` characters.
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
