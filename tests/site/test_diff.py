"""Differences between two states of an object: complete, by field, and without passwords."""

from __future__ import annotations

from typing import Any

import pytest

from dpf_async import FieldDifference
from dpf_async._site.diff import field_differences
from dpf_async.models import BFB, DPUDeployment, DPUFlavor, DPUServiceTemplate, Resource


def differences(
    kind: type[Resource], before: dict[str, Any], after: dict[str, Any], *, additions: bool = True
) -> list[str]:
    """The messages of the differences between a stored spec and a described one."""
    metadata = {"name": "it"}
    present = kind.from_wire({"metadata": metadata, "spec": before})
    wanted = kind.from_wire({"metadata": metadata, "spec": after})
    return [str(one) for one in field_differences(present, wanted, additions=additions)]


def test_a_field_that_the_server_defaulted_is_no_difference() -> None:
    completed = {"dpus": {"bfb": "a", "flavor": "f"}, "services": {}, "revisionHistoryLimit": 10}

    assert differences(DPUDeployment, completed, {"dpus": {"bfb": "a", "flavor": "f"}, "services": {}}) == []


def test_each_difference_has_its_path_and_both_values() -> None:
    before = {"nvconfig": [{"device": "*", "parameters": ["A=1", "B=2"]}], "sysctl": {"parameters": ["x=1"]}}
    after = {"nvconfig": [{"device": "*", "parameters": ["A=1", "B=3", "C=4"]}], "dpuMode": "nic"}

    assert differences(DPUFlavor, before, after) == [
        'spec.dpuMode: the value is absent, wanted is "nic"',
        'spec.nvconfig[0].parameters[1]: the value is "B=2", wanted is "B=3"',
        'spec.nvconfig[0].parameters[2]: the value is absent, wanted is "C=4"',
        'spec.sysctl.parameters[0]: the value is "x=1", wanted is absent',
    ]


def test_a_key_with_dots_is_quoted_in_a_path() -> None:
    def selecting(value: str) -> dict[str, Any]:
        dpu_set = {"nameSuffix": "x", "dpuNodeSelector": {"matchLabels": {"example.com/group": value}}}
        return {"dpus": {"flavor": "f", "dpuSets": [dpu_set]}, "services": {}}

    assert differences(DPUDeployment, selecting("a"), selecting("b")) == [
        'spec.dpus.dpuSets[0].dpuNodeSelector.matchLabels["example.com/group"]: the value is "a", wanted is "b"'
    ]


def test_a_field_that_the_model_does_not_know_is_no_difference() -> None:
    assert differences(DPUFlavor, {"grub": {"newDefault": True}, "alsoNew": 1}, {"grub": {}}) == []


def test_fields_that_only_the_stored_object_has_are_reported_on_request() -> None:
    before, after = {"url": "https://x/a.bfb", "fileName": "a.bfb"}, {"url": "https://x/a.bfb"}

    assert differences(BFB, before, after) == ['spec.fileName: the value is "a.bfb", wanted is absent']
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
def test_a_value_that_may_contain_a_password_is_never_shown(
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

    assert found, "the difference itself is reported"
    assert "hunter2" not in repr(found) + "".join(map(str, found))


def test_shown_values_are_truncated_and_have_no_control_characters() -> None:
    message = str(FieldDifference("spec.x", "\x1b[2J\u202e", "y" * 1000))

    assert message.isprintable()
    assert "\\u001b[2J\\u202e" in message
    assert len(message) < 300
