"""Differences between two states of an object: complete, by field, and with no password in them."""

from __future__ import annotations

from typing import Any

import pytest

from dpf_async import FieldDifference
from dpf_async._site.diff import field_differences
from dpf_async.models import BFB, DPUDeployment, DPUFlavor, DPUServiceTemplate, Resource


def differences(
    kind: type[Resource], before: dict[str, Any], after: dict[str, Any], *, additions: bool = True
) -> list[str]:
    """In words; what is there comes from a server, what is asked for from us."""
    metadata = {"name": "it"}
    present = kind.from_wire({"metadata": metadata, "spec": before})
    wanted = kind.from_wire({"metadata": metadata, "spec": after})
    return [str(one) for one in field_differences(present, wanted, additions=additions)]


def test_nothing_differs_where_only_a_default_is_filled_in() -> None:
    completed = {"dpus": {"bfb": "a", "flavor": "f"}, "services": {}, "revisionHistoryLimit": 10}

    assert differences(DPUDeployment, completed, {"dpus": {"bfb": "a", "flavor": "f"}, "services": {}}) == []


def test_each_field_that_differs_is_named_with_its_path_and_both_values() -> None:
    before = {"nvconfig": [{"device": "*", "parameters": ["A=1", "B=2"]}], "sysctl": {"parameters": ["x=1"]}}
    after = {"nvconfig": [{"device": "*", "parameters": ["A=1", "B=3", "C=4"]}], "dpuMode": "nic"}

    assert differences(DPUFlavor, before, after) == [
        'spec.dpuMode: it has nothing, asked for is "nic"',
        'spec.nvconfig[0].parameters[1]: it has "B=2", asked for is "B=3"',
        'spec.nvconfig[0].parameters[2]: it has nothing, asked for is "C=4"',
        'spec.sysctl.parameters[0]: it has "x=1", asked for is nothing',
    ]


def test_a_key_with_dots_is_told_from_a_path() -> None:
    def selecting(value: str) -> dict[str, Any]:
        dpu_set = {"nameSuffix": "x", "dpuNodeSelector": {"matchLabels": {"example.com/group": value}}}
        return {"dpus": {"flavor": "f", "dpuSets": [dpu_set]}, "services": {}}

    assert differences(DPUDeployment, selecting("a"), selecting("b")) == [
        'spec.dpus.dpuSets[0].dpuNodeSelector.matchLabels["example.com/group"]: it has "a", asked for is "b"'
    ]


def test_what_a_newer_server_fills_in_is_not_our_difference() -> None:
    assert differences(DPUFlavor, {"grub": {"newDefault": True}, "alsoNew": 1}, {"grub": {}}) == []


def test_what_is_there_beside_counts_only_where_it_is_meant_to() -> None:
    before, after = {"url": "https://x/a.bfb", "fileName": "a.bfb"}, {"url": "https://x/a.bfb"}

    assert differences(BFB, before, after) == ['spec.fileName: it has "a.bfb", asked for is nothing']
    assert differences(BFB, before, after, additions=False) == []


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (DPUFlavor, {"bfcfgParameters": ["ubuntu_PASSWORD=hunter2"]}, {}),
        (DPUFlavor, {}, {"bfcfgParameters": ["ubuntu_PASSWORD=hunter2"]}),
        (DPUFlavor, {"configFiles": [{"path": "/a", "raw": "hunter2"}]}, {"configFiles": [{"path": "/a"}]}),
        (DPUFlavor, {"configFiles": [{"path": "/a", "raw": "hunter2"}]}, {"configFiles": []}),
        (
            DPUServiceTemplate,
            {"helmChart": {"values": {"a": {"b": ["hunter2"]}}}},
            {"helmChart": {"values": {"a": "hunter2!"}}},
        ),
        (BFB, {"url": "https://me:hunter2@x/a.bfb"}, {"url": "https://x/a.bfb?sig=hunter2"}),
    ],
)
def test_what_may_hold_a_password_is_never_told(
    kind: type[Resource], before: dict[str, Any], after: dict[str, Any]
) -> None:
    source = {"source": {"repoURL": "oci://x", "version": "1"}}
    for spec in (before, after):
        if "helmChart" in spec:
            spec["helmChart"] |= source
            spec["deploymentServiceName"] = "dts"
    metadata = {"name": "it"}

    found = field_differences(
        kind.from_wire({"metadata": metadata, "spec": before}),
        kind.from_wire({"metadata": metadata, "spec": after}),
    )

    assert found, "that they differ is told"
    assert "hunter2" not in repr(found) + "".join(map(str, found))


def test_values_are_cut_and_cannot_move_a_cursor() -> None:
    told = str(FieldDifference("spec.x", "\x1b[2J\u202e", "y" * 1000))

    assert told.isprintable()
    assert "\\u001b[2J\\u202e" in told
    assert len(told) < 300
