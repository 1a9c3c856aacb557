"""Rejected changes: the same as in the API server, with its defaults in both objects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dpf_async.errors import Cause
from dpf_async.models import (
    BFB,
    DPU,
    BFBSpec,
    DPUCluster,
    DPUDevice,
    DPUFlavor,
    DPUNode,
    DPUServiceConfiguration,
    DPUServiceInterface,
    ObjectMeta,
    Resource,
    as_stored,
    refused_changes,
)

DPU_SPEC = {
    "dpuNodeName": "n",
    "dpuDeviceName": "d",
    "serialNumber": "s",
    "dpuFlavor": "f",
    "bfb": "b",
    "nodeEffect": {"hold": True},
}


def stored(kind: type[Resource], spec: dict[str, Any], **status: Any) -> Any:
    wire = {"metadata": {"name": "x", "uid": "u"}, "spec": spec}
    return kind.model_validate_json(json.dumps(wire | ({"status": status} if status else {})))


def refused(kind: type[Resource], before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [cause.field for cause in refused_changes(stored(kind, before), stored(kind, after))]


@pytest.mark.parametrize(
    ("kind", "before", "change", "fields"),
    [
        (BFB, {"url": "http://a"}, {"url": "http://b"}, ["spec.url"]),
        (BFB, {"url": "http://a"}, {"fileName": "a.bfb"}, []),
        (BFB, {"url": "http://a", "fileName": "a.bfb"}, {"fileName": "b.bfb"}, ["spec.fileName"]),
        (DPUDevice, {"serialNumber": "s"}, {"bmcIp": "10.0.0.1"}, []),
        (DPUDevice, {"serialNumber": "s", "bmcIp": "10.0.0.2"}, {"bmcIp": "10.0.0.1"}, []),
        (
            DPUDevice,
            {"serialNumber": "s"},
            {"serialNumber": "t", "numberOfPFs": 2},
            ["spec.serialNumber", "spec.numberOfPFs"],
        ),
        (DPUDevice, {"serialNumber": "s", "psid": "MT_1"}, {"psid": "MT_2"}, ["spec.psid"]),
        (DPUFlavor, {"dpuMode": "dpu"}, {"dpuMode": "nic"}, ["spec"]),
        (DPUFlavor, {}, {"grub": {"kernelParameters": ["a"]}}, ["spec"]),
        (DPU, DPU_SPEC, {"bfb": "other"}, []),
        (DPU, DPU_SPEC, {"secureBoot": True}, []),
        (DPU, DPU_SPEC, {"cluster": {"name": "c", "namespace": "n"}}, []),
        (DPU, DPU_SPEC | {"cluster": {"name": "c"}}, {"cluster": {"name": "d"}}, ["spec.cluster.name"]),
        (DPUCluster, {"type": "static", "kubeconfig": ""}, {"kubeconfig": "a"}, []),
        (DPUCluster, {"type": "static", "kubeconfig": "a"}, {"kubeconfig": "b"}, ["spec.kubeconfig"]),
        (
            DPUServiceConfiguration,
            {"deploymentServiceName": "s", "serviceConfiguration": {"configPorts": {"ports": []}}},
            {"serviceConfiguration": {"configPorts": {"ports": [], "serviceType": "None"}}},
            ["spec.serviceConfiguration.configPorts.serviceType"],
        ),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_change_of_an_immutable_field_is_rejected(
    kind: type[Resource], before: dict[str, Any], change: dict[str, Any], fields: list[str]
) -> None:
    assert refused(kind, before, before | change) == fields
    assert refused(kind, before, before) == []


def test_versions_of_a_bfb_can_be_added_and_not_removed() -> None:
    versions = {"bsp": "1", "doca": "2", "uefi": "3", "atf": "4"}
    without, with_versions = {"url": "http://a"}, {"url": "http://a", "versions": versions}

    assert refused(BFB, without, with_versions) == []
    assert refused(BFB, with_versions, without) == ["spec"]
    assert refused(BFB, with_versions, with_versions | {"versions": versions | {"bsp": "9"}}) == [
        "spec.versions.bsp"
    ]


def test_the_virtual_network_of_an_interface_cannot_be_added_or_removed() -> None:
    def interface(**pf: Any) -> dict[str, Any]:
        return {
            "template": {"spec": {"template": {"spec": {"interfaceType": "pf", "pf": {"pfID": 0, **pf}}}}}
        }

    path = ["spec.template.spec.template.spec.pf"]
    assert refused(DPUServiceInterface, interface(), interface(pfID=1)) == []
    assert refused(DPUServiceInterface, interface(), interface(virtualNetwork="v")) == path
    assert refused(DPUServiceInterface, interface(virtualNetwork="v"), interface()) == path
    assert refused(DPUServiceInterface, interface(virtualNetwork="v"), interface(virtualNetwork="w")) == path


def test_omission_of_a_field_with_the_default_of_the_api_server_is_not_a_change() -> None:
    before = {"serialNumber": "s", "bmcPort": 443, "numberOfPFs": 1}

    assert refused(DPUDevice, before, {"serialNumber": "s"}) == []
    assert refused(DPUDevice, before | {"bmcPort": 8443}, {"serialNumber": "s"}) == ["spec.bmcPort"]


def test_a_built_object_equals_the_stored_one_with_defaults() -> None:
    built = BFB(metadata=ObjectMeta(name="x"), spec=BFBSpec(url="http://a"))
    completed = stored(BFB, {"url": "http://a"}, phase="Ready", versions={"bsp": "1"})

    assert refused_changes(completed, built) == ()


def test_an_empty_list_differs_from_an_absent_one() -> None:
    assert refused(DPUFlavor, {}, {"configFiles": []}) == ["spec"]


def test_a_change_of_an_immutable_field_of_status_is_rejected() -> None:
    before, after = stored(DPUNode, {}, kubeNodeRef="a"), stored(DPUNode, {}, kubeNodeRef="b")

    assert [cause.field for cause in refused_changes(before, after)] == ["status.kubeNodeRef"]


def test_the_message_of_a_rejection_names_the_field() -> None:
    before, after = stored(BFB, {"url": "http://a"}), stored(BFB, {"url": "http://b"})

    assert refused_changes(before, after) == (
        Cause("spec.url", "the URL of a BFB cannot be changed", "FieldValueInvalid"),
    )


def test_as_stored_adds_only_defaults_of_the_api_server() -> None:
    node = DPUNode(metadata=ObjectMeta(name="x"))
    cluster = stored(DPUCluster, {"type": "static", "new": {"field": [1]}})

    assert as_stored(node)["metadata"] == {"name": "x"}
    assert as_stored(stored(DPUNode, {}).spec) == {"nodeRebootMethod": {"hostAgent": {}}}
    assert as_stored(cluster.spec) == {"type": "static", "maxNodes": 1000, "new": {"field": [1]}}
    assert as_stored(cluster)["status"] == {"phase": "Pending"}
