"""Names made of MACs, the validation of names, and the hint to where existing names are listed."""

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
def test_the_mac_is_read_back_from_a_name_made_of_it(name: Callable[[str], str], mac: str) -> None:
    assert bmc_mac_of(name(mac)) == "02:00:00:00:0a:01"


@pytest.mark.parametrize(
    "name",
    ["", "node-1", "node-", "dpu-02-00-00-00-0a-01", "02-00-00-00-0a-01", "node-02:00:00:00:0a:01"],
)
def test_a_name_that_was_not_made_of_a_mac_has_none(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name such as"):
        bmc_mac_of(name)


@pytest.mark.parametrize("name", ["a", "a-b.c", "0", "x" * 253])
def test_a_name_that_kubernetes_accepts_is_valid(name: str) -> None:
    assert validate_name(DPU, name) == name


def test_an_invalid_name_is_shown_truncated_and_escaped() -> None:
    with pytest.raises(UsageError) as refused:
        validate_name(DPUNode, "\x1b[2J" + "x" * 500)

    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


def test_only_the_error_about_the_named_object_gets_the_hint() -> None:
    other, itself = NotFound("no", object="DPU dpu-2"), NotFound("no", object="DPU dpu-1")

    for error in (other, itself):
        with pytest.raises(NotFound), lookup_hint(DPU, "dpu-1"):
            raise error

    assert not hasattr(other, "__notes__")
    assert "dpu_of" in itself.__notes__[0]
