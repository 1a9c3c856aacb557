"""The messages of Go's encoding/json for invalid JSON, derived from the errors of Python's parser."""

from __future__ import annotations

import json
import re


def syntax_error(text: str, error: json.JSONDecodeError) -> str:
    """Return the message of Go's encoding/json for a text that Python's parser rejected."""
    if error.pos >= len(text) or not text[error.pos :].strip() or "Unterminated" in error.msg:
        return "unexpected end of JSON input"
    at = error.pos + (len(text[error.pos :]) - len(text[error.pos :].lstrip(" \t\r\n")))
    char = text[at]
    for literal in ("true", "false", "null"):
        if error.msg.startswith("Expecting value") and char == literal[0]:
            return _broken_literal(text, at, literal)
    where = {
        "Expecting value": "looking for beginning of value",
        "Expecting property name": "looking for beginning of object key string",
        "Illegal trailing comma": "looking for beginning of object key string",
        "Expecting ':'": "after object key",
        "Extra data": "after top-level value",
        "Invalid control": "in string literal",
        "Invalid \\": "in string escape code",
    }
    for start, position in where.items():
        if error.msg.startswith(start):
            return f"invalid character {_quoted(char)} {position}"
    inside = "array element" if _innermost(text[:at]) == "[" else "object key:value pair"
    return f"invalid character {_quoted(char)} after {inside}"


def _broken_literal(text: str, at: int, literal: str) -> str:
    for offset, expected in enumerate(literal):
        if at + offset >= len(text):
            break
        if text[at + offset] != expected:
            wrong = _quoted(text[at + offset])
            return f"invalid character {wrong} in literal {literal} (expecting '{expected}')"
    return "unexpected end of JSON input"


def _quoted(char: str) -> str:
    if char in "'\\":
        return f"'\\{char}'"
    return f"'{char}'" if char.isprintable() else repr(char)


def _innermost(text: str) -> str:
    stack: list[str] = []
    for char in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        if char in "[{":
            stack.append(char)
        elif char in "]}" and stack:
            stack.pop()
    return stack[-1] if stack else "{"
