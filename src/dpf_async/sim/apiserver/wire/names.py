"""Validation of names, label keys and label values.

Controllers write the same names again and again, and every write validates them, so results are cached.
Source: apimachinery pkg/util/validation.
"""

from __future__ import annotations

from functools import lru_cache

from dpf_async.sim.apiserver.wire.patterns import Pattern, compile_pattern

_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_DNS_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation "
    f"is '{_DNS_SUBDOMAIN}')"
)
_DNS_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "
    "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    f"'{_DNS_LABEL}')"
)
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_QUALIFIED}')"
)
_LABEL_VALUE = f"({_QUALIFIED})?"
_LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
    f"for validation is '{_LABEL_VALUE}')"
)
_SUBDOMAIN_RE = compile_pattern(_DNS_SUBDOMAIN)
_LABEL_RE = compile_pattern(_DNS_LABEL)
_QUALIFIED_RE = compile_pattern(_QUALIFIED)
_LABEL_VALUE_RE = compile_pattern(_LABEL_VALUE)

# Names of objects, labels, annotations and finalizers that a site of some hundred hosts writes; chosen.
_cached = lru_cache(maxsize=16_384)


@_cached
def subdomain_problems(name: str) -> tuple[str, ...]:
    """Explain why a name is not a DNS subdomain; empty if it is one."""
    problems = ["must be no more than 253 characters"] if len(name.encode()) > 253 else []
    if not _SUBDOMAIN_RE.fullmatch(name):
        problems.append(_DNS_SUBDOMAIN_TEXT)
    return tuple(problems)


@_cached
def label_problems(name: str) -> tuple[str, ...]:
    """Explain why a name is not a DNS label, as names of namespaces are."""
    return _problems(name, _LABEL_RE, _DNS_LABEL_TEXT)


def path_segment_problems(name: str) -> tuple[str, ...]:
    """Explain why a name cannot be a segment of a URL path."""
    if name in (".", ".."):
        return (f"may not be '{name}'",)
    return tuple(f"may not contain '{char}'" for char in "/%" if char in name)


def label_key_problems(name: str) -> tuple[str, ...]:
    """Explain why a name cannot be the key of a label."""
    return qualified_name_problems(name, what="a valid label key")


@_cached
def qualified_name_problems(name: str, *, what: str = "a qualified name") -> tuple[str, ...]:
    """Explain why a name cannot be the key of an annotation, or a finalizer."""
    problems = []
    parts = name.split("/")
    if len(parts) > 2:
        example = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return (f"{what} {_QUALIFIED_TEXT} {example}",)
    if len(parts) == 2:
        if not parts[0]:
            problems.append("prefix part must be non-empty")
        else:
            problems += [f"prefix part {problem}" for problem in subdomain_problems(parts[0])]
    local = parts[-1]
    if not local:
        problems.append("name part must be non-empty")
    elif len(local.encode()) > 63:
        problems.append("name part must be no more than 63 bytes")
    if not _QUALIFIED_RE.fullmatch(local):
        problems.append(f"name part {_QUALIFIED_TEXT}")
    return tuple(problems)


@_cached
def label_value_problems(value: str) -> tuple[str, ...]:
    """Explain why a string cannot be the value of a label."""
    return _problems(value, _LABEL_VALUE_RE, _LABEL_VALUE_TEXT)


def _problems(name: str, pattern: Pattern, text: str) -> tuple[str, ...]:
    problems = ["must be no more than 63 bytes"] if len(name.encode()) > 63 else []
    if not pattern.fullmatch(name):
        problems.append(text)
    return tuple(problems)
