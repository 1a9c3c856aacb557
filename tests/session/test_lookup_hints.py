"""Names: those that are made of MACs, and those that callers give."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dpf_async._base.names import validate_name
from dpf_async._session.lookup_hints import lookup_hint
from dpf_async.errors import NotFound, UsageError
from dpf_async.models import DPU, DPUNode
from dpf_async.specs import bmc_mac_of, device_name, node_name


@pytest.mark.parametrize("name", [node_name, device_name])
@pytest.mark.parametrize("mac", ["02:00:00:00:0A:01", "02-00-00-00-0a-01"])
def test_the_mac_comes_back_out_of_the_name_that_was_made_of_it(name: Callable[[str], str], mac: str) -> None:
    assert bmc_mac_of(name(mac)) == "02:00:00:00:0a:01"


@pytest.mark.parametrize(
    "name",
    ["", "node-1", "node-", "dpu-02-00-00-00-0a-01", "02-00-00-00-0a-01", "node-02:00:00:00:0a:01"],
)
def test_a_name_that_was_made_otherwise_has_none(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name such as"):
        bmc_mac_of(name)


@pytest.mark.parametrize("name", ["a", "a-b.c", "0", "x" * 253])
def test_what_kubernetes_takes_is_a_name(name: str) -> None:
    assert validate_name(DPU, name) == name


def test_what_it_does_not_take_is_shown_cut_and_escaped() -> None:
    with pytest.raises(UsageError) as refused:
        validate_name(DPUNode, "\x1b[2J" + "x" * 500)

    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_only_the_object_itself_is_told_where_to_look_for() -> None:
    other, itself = NotFound("no", object="DPU dpu-2"), NotFound("no", object="DPU dpu-1")

    for error in (other, itself):
        with pytest.raises(NotFound), lookup_hint(DPU, "dpu-1"):
            raise error

    assert not hasattr(other, "__notes__")
    assert "dpu_of" in itself.__notes__[0]
