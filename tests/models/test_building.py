"""Writing is strict: an object is validated when it is built, and mistakes are reported with their path."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from dpf_async.models import (
    KINDS,
    ConfigMap,
    DeviceName,
    DPUDeployment,
    DPUDevice,
    DPUDeviceSpec,
    DPUFlavor,
    DPUNode,
    DPUNodeMaintenance,
    DPUNodeSpec,
    DPURef,
    NodeEffect,
    NodeRebootMethod,
    ObjectMeta,
    RebootByExternal,
    Resource,
    Secret,
)
from dpf_async.models.constraints import (
    Bool,
    Int,
    Int32,
    Int64,
    Quantity,
    at_least,
    at_most,
    format_of,
    max_items,
    max_length,
    max_properties,
    min_items,
    min_length,
    min_properties,
    one_of,
    pattern,
)
from dpf_async.models.wire import ListOf, StringMap


def mistakes(error: ValidationError) -> dict[tuple[str | int, ...], str]:
    return {each["loc"]: each["msg"] for each in error.errors()}


# --- Each kind of constraint


@pytest.mark.parametrize(
    ("annotation", "good", "bad"),
    [
        (Annotated[str, pattern("^a+$")], ["a", "aa"], ["", "b", "aab", "a\n"]),
        (Annotated[str, pattern("b")], ["abc"], ["a"]),
        (Annotated[str, pattern(r"^\d$")], ["7"], ["٧"]),
        (Annotated[str, one_of("x", "y")], ["x", "y"], ["", "X", "xy"]),
        (Annotated[str, min_length(2)], ["ab"], ["", "a"]),
        (Annotated[str, max_length(2)], ["", "ab", "äö"], ["abc"]),
        (Annotated[Int, at_least(3)], [3, 4], [2]),
        (Annotated[Int, at_most(3)], [3, -4], [4]),
        (Annotated[ListOf[str], min_items(1)], [("a",), ["a", "b"]], [(), []]),
        (Annotated[ListOf[str], max_items(1)], [(), ["a"]], [["a", "b"]]),
        (Annotated[StringMap, min_properties(1)], [{"a": "b"}], [{}]),
        (Annotated[StringMap, max_properties(1)], [{}, {"a": "b"}], [{"a": "b", "c": "d"}]),
        (Annotated[str, format_of("ipv4")], ["10.0.0.1"], ["", "10.0.0", "10.0.0.256", "::1", "10.0.0.1/8"]),
        (
            Annotated[str, format_of("date-time")],
            ["2026-06-01T10:07:00Z", "2026-06-01T10:07:00.123456+02:00"],
            ["", "2026-06-01", "2026-13-01T10:07:00Z", "2026-06-01T10:07:00", "2026-06-01 10:07:00Z"],
        ),
        (Annotated[str, format_of("duration")], ["30s", "1h30m", "0s"], ["", "30", "s", "1d"]),
        (Int32, [0, 2**31 - 1, -(2**31)], [2**31, -(2**31) - 1]),
        (Int64, [2**63 - 1], [2**63]),
        (Int, [1], ["1", 1.0, True, None]),
        (Bool, [True, False], [1, 0, "true"]),
        (Quantity, [8, "8", "1.5Gi", "-3e2", ".5m"], ["", "8 Gi", "Gi", "1.5gi", 1.5, None]),
    ],
)
def test_a_constraint_accepts_valid_and_rejects_invalid_values(
    annotation: Any, good: list[Any], bad: list[Any]
) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    for value in good:
        adapter.validate_python(value)

    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


def test_all_constraints_of_a_value_are_checked() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(
        Annotated[str, min_length(2), max_length(3), pattern("^a")] | None,
    )

    assert adapter.validate_python("ab") == "ab"
    assert adapter.validate_python(None) is None
    for value in ("a", "aaaa", "bb"):
        with pytest.raises(ValidationError):
            adapter.validate_python(value)


# --- Paths of mistakes


def test_every_mistake_is_reported_with_its_path() -> None:
    with pytest.raises(ValidationError) as refused:
        DPUNode.model_validate(
            {
                "metadata": {"name": "Node_1", "namespace": "N"},
                "spec": {
                    "dpus": [{"name": "ok"}, {"name": ""}],
                    "nodeDMSAddress": {"ip": "10.0.0.256", "port": 0},
                    "nodeRebootMethod": {"external": {}, "script": {"name": "s"}},
                },
            }
        )

    assert set(mistakes(refused.value)) == {
        ("metadata", "name"),
        ("metadata", "namespace"),
        ("spec", "dpus", 1, "name"),
        ("spec", "nodeDMSAddress", "ip"),
        ("spec", "nodeDMSAddress", "port"),
        ("spec", "nodeRebootMethod"),
    }


def test_a_mistake_is_reported_with_the_name_that_the_caller_used() -> None:
    with pytest.raises(ValidationError) as refused:
        DPUDeviceSpec(serial_number="s", number_of_pfs=0, bmc_ip="no address")

    assert set(mistakes(refused.value)) == {("number_of_pfs",), ("bmc_ip",)}


def test_a_message_has_the_rule_and_never_the_value() -> None:
    with pytest.raises(ValidationError) as refused:
        DPUDeviceSpec(serial_number="s", bmc_ip="hunter2", psid="hunter2")

    assert "must be of format ipv4" in str(refused.value)
    assert "must match ^MT_?[A-Z0-9]+$" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_violated_rule_between_fields_is_reported_at_their_object() -> None:
    with pytest.raises(ValidationError) as refused:
        DPUNodeMaintenance.model_validate(
            {
                "metadata": {"name": "m"},
                "spec": {"dpuNodeName": "n", "nodeEffect": {"hold": True, "drain": True}},
            }
        )

    assert mistakes(refused.value) == {
        ("spec", "nodeEffect"): "set exactly one of taint, noEffect, customLabel, drain, customAction, hold"
    }


def test_a_violated_rule_of_a_list_is_reported_at_the_list() -> None:
    with pytest.raises(ValidationError) as refused:
        DPUFlavor.model_validate(
            {
                "metadata": {"name": "f"},
                "spec": {
                    "nvconfig": [
                        {"device": "p0", "parameters": ["A=1"]},
                        {"device": "P0", "parameters": ["B=1"]},
                    ]
                },
            }
        )

    assert list(mistakes(refused.value)) == [("spec", "nvconfig")]


# --- Required fields


def test_required_fields_must_be_set_although_they_may_be_absent_when_read() -> None:
    with pytest.raises(ValidationError) as refused:
        DPUDeployment.model_validate(
            {
                "metadata": {"name": "d"},
                "spec": {
                    "dpus": {"flavor": "f"},
                    "services": {"a": {"serviceTemplate": "t", "serviceConfiguration": "c"}},
                },
            }
        )

    assert mistakes(refused.value) == {
        ("spec", "dpus", field): "Field required" for field in ("bfb", "dpuSetStrategy", "nodeEffect")
    }


def test_fields_with_a_default_of_the_api_server_are_optional() -> None:
    spec = {"deploymentServiceName": "s", "serviceConfiguration": {"configPorts": {"ports": []}}}
    kind = next(kind for kind in KINDS if kind.KIND == "DPUServiceConfiguration")

    built: Any = kind.model_validate({"metadata": {"name": "c"}, "spec": spec})

    assert built.spec.service_configuration.config_ports.service_type == "NodePort"
    assert built.spec.upgrade_policy.apply_node_effect is True
    assert built.to_wire()["spec"] == spec


def test_an_object_needs_a_name() -> None:
    with pytest.raises(ValidationError) as refused:
        DPUNode(metadata=ObjectMeta(namespace="n"))

    assert set(mistakes(refused.value)) == {("name",)}


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("BFB", 187),
        ("DPUDeployment", 20),
        ("DPUNode", 48),
        *(
            (kind, 63)
            for kind in ("DPUCluster", "DPUDevice", "DPUNodeMaintenance", "DPUService", "DPUServiceChain")
        ),
        *((kind, 63) for kind in ("DPUServiceIPAM", "DPUServiceInterface", "DPUServiceNAD", "DPUSet")),
        ("DPU", 253),
        ("DPUFlavor", 253),
    ],
)
def test_the_length_of_a_name_is_limited_by_its_kind(kind: str, limit: int) -> None:
    model = next(each for each in KINDS if kind == each.KIND)

    def is_rejected(length: int) -> bool:
        candidate = model.model_construct(metadata=ObjectMeta.model_construct(name="n" * length))
        too_long_for_kind = bool(candidate._mistakes())
        try:
            ObjectMeta(name="n" * length)
        except ValidationError:
            return True
        return too_long_for_kind

    assert not is_rejected(limit)
    assert is_rejected(limit + 1)


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"a/b/c": "x"}},
        {"labels": {"Upper.Case/name": "x"}},
        {"labels": {"/name": "x"}},
        {"labels": {"prefix/": "x"}},
        {"labels": {"name": "not a label value"}},
        {"labels": {"name": "x" * 64}},
        {"labels": {"x" * 64: ""}},
        {"annotations": {"not a key": "x"}},
    ],
)
def test_labels_and_annotations_have_kubernetes_syntax(metadata: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ObjectMeta.model_validate({"name": "x", **metadata})


def test_labels_and_annotations_of_dpf_are_valid() -> None:
    meta = ObjectMeta(
        name="x",
        labels={"provisioning.dpu.nvidia.com/dpudevice-pciAddress": "0000-03-00", "a": "", "b": "x_Y.z-1"},
        annotations={"svc.dpu.nvidia.com/x": 'any text, { "even": 1 }', "plain": ""},
    )

    assert meta.labels["a"] == ""


# --- The JSON of a write


def test_only_fields_that_were_set_are_sent() -> None:
    node = DPUNode(
        metadata=ObjectMeta(name="node-1", labels={"a": "b"}),
        spec=DPUNodeSpec(
            dpus=(DPURef(name=DeviceName("device-1")),),
            node_reboot_method=NodeRebootMethod(external=RebootByExternal()),
        ),
    )

    wire = node.to_wire()

    assert wire == {
        "apiVersion": "provisioning.dpu.nvidia.com/v1alpha1",
        "kind": "DPUNode",
        "metadata": {"name": "node-1", "labels": {"a": "b"}},
        "spec": {"dpus": [{"name": "device-1"}], "nodeRebootMethod": {"external": {}}},
    }


def test_none_means_not_set() -> None:
    spec = DPUDeviceSpec(serial_number="s", bmc_ip=None, psid=None)

    assert spec.to_wire() == {"serialNumber": "s"}


def test_an_effect_with_value_none_is_not_set() -> None:
    effect = NodeEffect(hold=True, drain=None)

    assert effect.to_wire() == {"hold": True}


def test_an_effect_with_value_false_is_set() -> None:
    with pytest.raises(ValidationError):
        NodeEffect(hold=True, drain=False)


def test_fields_of_a_newer_release_can_be_sent() -> None:
    device = DPUDevice.model_validate(
        {"metadata": {"name": "d"}, "spec": {"serialNumber": "s", "bmcCredentials": {"secretName": "x"}}}
    )

    assert device.to_wire()["spec"]["bmcCredentials"] == {"secretName": "x"}


def test_an_object_can_be_built_from_parts_that_were_read_and_violate_a_rule() -> None:
    newer = DPUNode.from_wire({"metadata": {"name": "n"}, "spec": {"nodeRebootMethod": {"telepathy": {}}}})

    copy = DPUNode(metadata=ObjectMeta(name="m"), spec=newer.spec)

    assert copy.to_wire()["spec"] == {"nodeRebootMethod": {"telepathy": {}}}


@pytest.mark.parametrize(("field", "value"), [("kind", "DPUDevice"), ("apiVersion", "v1")])
def test_a_manifest_of_another_kind_is_rejected(field: str, value: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DPUNode.model_validate({"apiVersion": DPUNode.API_VERSION, "metadata": {"name": "n"}, field: value})

    assert list(mistakes(refused.value)) == [(field,)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)
def test_a_kind_has_its_names(kind: type[Resource]) -> None:
    assert f"{kind.GROUP}/v1alpha1" == kind.API_VERSION
    assert kind.__name__ == kind.KIND
    assert kind.PLURAL == f"{kind.SINGULAR}s" == f"{kind.KIND.lower()}s"


# --- Secrets


def test_values_of_a_secret_appear_in_no_repr_and_no_message() -> None:
    secret = Secret(
        metadata=ObjectMeta(name="s"),
        data={"password": Secret.encoded(b"hunter2")},
        string_data={"other": "hunter3"},
    )

    shown = repr(secret) + str(secret)
    with pytest.raises(ValidationError) as refused:
        Secret.model_validate({"metadata": {"name": "s"}, "data": {"password": "hunter2!"}})

    assert "hunter" not in shown
    assert Secret.encoded(b"hunter2") not in shown
    assert "hunter" not in str(refused.value)


def test_value_of_a_secret_returns_the_bytes_of_a_key() -> None:
    secret = Secret(metadata=ObjectMeta(name="s"), data={"password": "aHVudGVyMg=="})
    broken = Secret.from_wire({"metadata": {"name": "s"}, "data": {"password": "?"}})

    assert secret.value("password") == b"hunter2"
    assert secret.value("absent") is None
    assert broken.value("password") is None


def test_passwords_in_a_flavor_or_a_configmap_appear_in_no_repr() -> None:
    flavor = DPUFlavor.model_validate(
        {
            "metadata": {"name": "f"},
            "spec": {"bfcfgParameters": ["ubuntu_PASSWORD=hunter2"], "configFiles": [{"raw": "hunter2"}]},
        }
    )
    config = ConfigMap(metadata=ObjectMeta(name="c"), data={"bf.cfg": "hunter2"})

    assert "hunter2" not in repr(flavor) + repr(config)
