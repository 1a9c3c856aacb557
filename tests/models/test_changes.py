"""Which changes are refused: as the API server would, with its defaults filled in on both sides."""

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
def test_a_change_is_refused_at_the_fields_that_must_stay(
    kind: type[Resource], before: dict[str, Any], change: dict[str, Any], fields: list[str]
) -> None:
    assert refused(kind, before, before | change) == fields
    assert refused(kind, before, before) == []


def test_versions_of_a_bfb_may_come_and_may_not_go() -> None:
    versions = {"bsp": "1", "doca": "2", "uefi": "3", "atf": "4"}
    without, with_versions = {"url": "http://a"}, {"url": "http://a", "versions": versions}

    assert refused(BFB, without, with_versions) == []
    assert refused(BFB, with_versions, without) == ["spec"]
    assert refused(BFB, with_versions, with_versions | {"versions": versions | {"bsp": "9"}}) == [
        "spec.versions.bsp"
    ]


def test_the_virtual_network_of_an_interface_neither_comes_nor_goes() -> None:
    def interface(**pf: Any) -> dict[str, Any]:
        return {
            "template": {"spec": {"template": {"spec": {"interfaceType": "pf", "pf": {"pfID": 0, **pf}}}}}
        }

    path = ["spec.template.spec.template.spec.pf"]
    assert refused(DPUServiceInterface, interface(), interface(pfID=1)) == []
    assert refused(DPUServiceInterface, interface(), interface(virtualNetwork="v")) == path
    assert refused(DPUServiceInterface, interface(virtualNetwork="v"), interface()) == path
    assert refused(DPUServiceInterface, interface(virtualNetwork="v"), interface(virtualNetwork="w")) == path


def test_leaving_out_a_field_that_has_the_api_servers_default_is_no_change() -> None:
    before = {"serialNumber": "s", "bmcPort": 443, "numberOfPFs": 1}

    assert refused(DPUDevice, before, {"serialNumber": "s"}) == []
    assert refused(DPUDevice, before | {"bmcPort": 8443}, {"serialNumber": "s"}) == ["spec.bmcPort"]


def test_an_object_just_built_compares_with_one_the_server_has_completed() -> None:
    built = BFB(metadata=ObjectMeta(name="x"), spec=BFBSpec(url="http://a"))
    completed = stored(BFB, {"url": "http://a"}, phase="Ready", versions={"bsp": "1"})

    assert refused_changes(completed, built) == ()


def test_a_list_that_is_empty_is_not_a_list_that_is_absent() -> None:
    assert refused(DPUFlavor, {}, {"configFiles": []}) == ["spec"]


def test_what_the_status_keeps_for_ever_is_refused_there() -> None:
    before, after = stored(DPUNode, {}, kubeNodeRef="a"), stored(DPUNode, {}, kubeNodeRef="b")

    assert [cause.field for cause in refused_changes(before, after)] == ["status.kubeNodeRef"]


def test_a_refusal_says_what_cannot_be_changed() -> None:
    before, after = stored(BFB, {"url": "http://a"}), stored(BFB, {"url": "http://b"})

    assert refused_changes(before, after) == (
        Cause("spec.url", "the URL of a BFB cannot be changed", "FieldValueInvalid"),
    )


def test_as_stored_fills_in_the_api_servers_defaults_and_nothing_else() -> None:
    node = DPUNode(metadata=ObjectMeta(name="x"))
    cluster = stored(DPUCluster, {"type": "static", "new": {"field": [1]}})

    assert as_stored(node)["metadata"] == {"name": "x"}
    assert as_stored(stored(DPUNode, {}).spec) == {"nodeRebootMethod": {"hostAgent": {}}}
    assert as_stored(cluster.spec) == {"type": "static", "maxNodes": 1000, "new": {"field": [1]}}
    assert as_stored(cluster)["status"] == {"phase": "Pending"}
