"""Differences between the kinds of a cluster and the models: each with its effect and the affected operations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from dpf_async import Compatibility, Effect, Finding
from dpf_async._diagnostics.compatibility import findings_about
from dpf_async.models import BFB, DPU, KINDS, DPFOperatorConfig, DPUDeployment, DPUNode, DPUSet, Resource
from dpf_async.models.schema import schema_of
from tests.support.crd_sets import manifests_of

Schema = dict[str, Any]  # Any: the values of a JSON schema's keywords


def published(kind: type[Resource]) -> Schema:
    """The schema of a kind as a server of this release publishes it."""
    return copy.deepcopy(dict(schema_of(kind)))


def at(schema: Schema, *path: str) -> Schema:
    for name in path:
        schema = schema["properties"][name] if name != "[]" else schema["items"]
    return schema


def found(kind: type[Resource], change: Callable[[Schema], object]) -> list[Finding]:
    theirs = published(kind)
    change(theirs)
    return list(findings_about(kind, theirs))


def require(schema: Schema, name: str, **property_: Any) -> None:
    schema["properties"].setdefault(name, property_)
    schema["required"] = [*schema.get("required", []), name]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_of_this_release_has_no_differences(kind: type[Resource]) -> None:
    assert found(kind, lambda _: None) == []


def test_removal_of_a_written_field_breaks_the_operations_that_write_it() -> None:
    (finding,) = found(DPUDeployment, lambda theirs: at(theirs, "spec", "dpus")["properties"].pop("bfb"))

    assert (finding.kind, finding.path, finding.effect) == ("DPUDeployment", ".spec.dpus.bfb", Effect.BREAKS)
    assert "update_dpu_deployment_bfb" in finding.operations
    assert "create_initialization_objects" in finding.operations


def test_removal_of_a_field_that_decisions_depend_on_breaks() -> None:
    (finding,) = found(DPU, lambda theirs: at(theirs, "status")["properties"].pop("phase"))

    assert (finding.path, finding.effect) == (".status.phase", Effect.BREAKS)
    assert "is_dpu_ready" in finding.operations


def test_removal_of_a_field_that_the_library_does_not_read_may_break() -> None:
    (finding,) = found(DPU, lambda theirs: at(theirs, "status")["properties"].pop("dpfVersion"))

    assert finding.effect == Effect.MAY_BREAK


def test_a_new_field_is_harmless_and_affects_no_operation() -> None:
    (finding,) = found(DPU, lambda theirs: at(theirs, "spec")["properties"].update(tray={"type": "string"}))

    assert (finding.path, finding.effect, finding.operations) == (".spec.tray", Effect.HARMLESS, ())


def test_a_newly_required_field_breaks_the_operations_that_create_the_kind() -> None:
    findings = found(DPUNode, lambda theirs: require(at(theirs, "spec"), "rack", type="string"))

    (broken,) = (finding for finding in findings if finding.effect == Effect.BREAKS)
    assert broken.path == ".spec.rack"
    assert "create_dpu_node" in broken.operations


def test_a_required_field_with_a_default_is_harmless() -> None:
    findings = found(DPUNode, lambda theirs: require(at(theirs, "spec"), "rack", type="string", default="a"))

    assert [finding.effect for finding in findings] == [Effect.HARMLESS]


def test_a_required_field_of_a_kind_that_only_dpf_creates_is_harmless() -> None:
    findings = found(DPUSet, lambda theirs: require(at(theirs, "spec"), "rack", type="string"))

    assert {finding.effect for finding in findings} == {Effect.HARMLESS}


def test_added_and_removed_phases_are_harmless() -> None:
    def rename(theirs: Schema) -> None:
        phase = at(theirs, "status", "phase")
        phase["enum"] = [*(value for value in phase["enum"] if value != "Rebooting"), "Updating Firmware"]

    findings = found(DPU, rename)

    assert {finding.effect for finding in findings} == {Effect.HARMLESS}
    assert any("'Updating Firmware'" in finding.text for finding in findings)
    assert any("'Rebooting' do not occur any more" in finding.text for finding in findings)


def test_rejection_of_a_written_value_breaks_the_operations_that_write_it() -> None:
    def strict(theirs: Schema) -> None:
        at(theirs, "spec", "dpus", "dpuSetStrategy", "type")["enum"] = ["RollingUpdate"]

    (finding,) = found(DPUDeployment, strict)

    assert (finding.effect, finding.text) == (Effect.BREAKS, "values 'OnDelete' are rejected now")


def test_another_type_breaks_and_a_stricter_limit_may_break() -> None:
    def change(theirs: Schema) -> None:
        at(theirs, "spec", "url")["type"] = "object"
        at(theirs, "spec", "url")["maxLength"] = 10

    effects = {finding.text.split()[0]: finding.effect for finding in found(BFB, change)}

    assert effects["type"] == Effect.BREAKS
    assert effects["maxLength"] == Effect.MAY_BREAK


def test_differences_in_open_parts_of_a_model_are_ignored() -> None:
    def closed(theirs: Schema) -> None:
        spec = at(theirs, "spec")
        del spec["x-kubernetes-preserve-unknown-fields"]
        spec["properties"]["flannel"] = {"type": "object"}

    def opened(theirs: Schema) -> None:
        at(theirs, "spec")["x-kubernetes-preserve-unknown-fields"] = True

    (finding,) = found(DPU, opened)

    assert found(DPFOperatorConfig, closed) == []
    assert finding.effect == Effect.HARMLESS


def test_the_text_begins_with_the_verdict_and_lists_the_most_severe_findings_first() -> None:
    bad = Finding(
        "DPU", ".status.phase", Effect.BREAKS, "removed: this version depends on it", ("is_dpu_ready",)
    )
    good = Finding("DPU", ".spec.tray", Effect.HARMLESS, "new")
    compatibility = Compatibility((bad, good), unpublished=("svc.dpu.nvidia.com/v1alpha1",))

    assert not compatibility.compatible
    assert str(compatibility).splitlines() == [
        "not compatible: 1 breaks, 1 harmless",
        "  breaks: DPU.status.phase: removed: this version depends on it (used by is_dpu_ready)",
        "  harmless: DPU.spec.tray: new",
        "  not checked: the server publishes no schemas of svc.dpu.nvidia.com/v1alpha1",
    ]


def test_the_crds_of_upstream_break_no_operation() -> None:
    schemas = {
        manifest["spec"]["names"]["kind"]: manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for manifest in manifests_of("upstream")
    }

    breaking = [
        finding
        for kind in KINDS
        for finding in findings_about(kind, schemas[kind.KIND])
        if finding.effect == Effect.BREAKS
    ]

    assert breaking == []
