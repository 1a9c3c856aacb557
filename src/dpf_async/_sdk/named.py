"""Names that callers give: what cannot be one is a mistake, and what is not there is told with where to look.

A name that nothing can have would be waited for until the end of time. Only Kubernetes' own rule counts here: another
release of DPF may allow a kind longer names than this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dpf_async.errors import NotFound, UsageError
from dpf_async.models import BFB, DPU, DPUDeployment, DPUFlavor, DPUNode

if TYPE_CHECKING:
    from dpf_async.models import Resource

_LONGEST: Final = 253
"""Characters of a name. Source: Kubernetes, "Object Names and IDs", DNS subdomain names."""

_PART: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = re.compile(rf"{_PART}(\.{_PART})*")

_OF_A_SITE: Final = "list() has the names; create_initialization_objects() makes those of a site"

_WHERE_TO_LOOK: Final[dict[type[Resource], str]] = {
    DPU: "`dpfctl status` and resource(DPU).list() have the names; node(…).view() has the DPU of a device: dpu_of(…)",
    DPUNode: "`dpfctl status` and resource(DPUNode).list() have the names; create_dpu_node() registers a host",
    **{kind: f"resource({kind.KIND}).{_OF_A_SITE}" for kind in (DPUDeployment, BFB, DPUFlavor)},
}


def checked(kind: type[Resource], name: str) -> str:
    """The name.

    Raises:
        UsageError: no object can have it.
    """
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        shown = name if len(name) <= 80 else f"{name[:79]}…"
        raise UsageError(
            f"{shown!r} cannot be the name of a {kind.KIND}: a name has lower-case letters, digits, '-' and '.', begins"
            f" and ends with a letter or digit, and has at most {_LONGEST} characters"
        )
    return name


@contextmanager
def named(kind: type[Resource], name: str) -> Iterator[None]:
    """Check a name; if it turns out in the block that there is no such object, note where to look for its name.

    Raises:
        UsageError: no object can have it; the block is not entered.
    """
    checked(kind, name)
    try:
        yield
    except NotFound as error:
        if error.object == f"{kind.KIND} {name}" and kind in _WHERE_TO_LOOK:
            error.add_note(_WHERE_TO_LOOK[kind])
        raise
