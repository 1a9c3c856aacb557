"""Names of objects: validation before a request is sent.

Only Kubernetes' rule is applied, because another release of DPF may allow longer names for a kind than this one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dpf_async.errors import UsageError

if TYPE_CHECKING:
    from dpf_async.models import Resource

_LONGEST: Final = 253
"""Characters of a name. Source: Kubernetes, "Object Names and IDs", DNS subdomain names."""

_PART: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = re.compile(rf"{_PART}(\.{_PART})*")


def validate_name(kind: type[Resource], name: str) -> str:
    """Return the name if an object of this kind can have it.

    Raises:
        UsageError: it is not a DNS subdomain name.
    """
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        shown = name if len(name) <= 80 else f"{name[:79]}…"
        raise UsageError(
            f"{shown!r} cannot be the name of a {kind.KIND}: a name has lower-case letters, digits, '-' and '.', begins"
            f" and ends with a letter or digit, and has at most {_LONGEST} characters"
        )
    return name
