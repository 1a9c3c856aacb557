"""Hints in NotFound errors: where to find the names of the objects that exist."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from dpf_async._base.names import validate_name
from dpf_async.errors import NotFound
from dpf_async.models import BFB, DPU, DPUDeployment, DPUFlavor, DPUNode

if TYPE_CHECKING:
    from dpf_async.models import Resource

_OF_A_SITE: Final = "list() returns the names; create_initialization_objects() creates the objects of a site"

_HINTS: Final[dict[type[Resource], str]] = {
    DPU: (
        "`dpf-async status` and resource(DPU).list() show the names; dpu_of(…) of a node's view returns the DPU of a"
        " device"
    ),
    DPUNode: "`dpf-async status` and resource(DPUNode).list() show the names; create_dpu_node() registers a host",
    **{kind: f"resource({kind.KIND}).{_OF_A_SITE}" for kind in (DPUDeployment, BFB, DPUFlavor)},
}


@contextmanager
def lookup_hint(kind: type[Resource], name: str) -> Iterator[None]:
    """Check a name; add a note to a NotFound for this object that says where existing names are listed.

    Raises:
        UsageError: no object can have this name; the block is not entered.
    """
    validate_name(kind, name)
    try:
        yield
    except NotFound as error:
        if error.object == f"{kind.KIND} {name}" and kind in _HINTS:
            error.add_note(_HINTS[kind])
        raise
