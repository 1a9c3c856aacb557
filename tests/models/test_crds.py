"""CRD manifests, with which any API server can store these kinds without DPF's own CRDs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from dpf_async import crds
from dpf_async.models import DPU, KINDS, DPUFlavor, DPUNode, Resource
from dpf_async.models.shape import ABSENT, fields_of
from dpf_async.models.wire import Wire
from tests.support.crd_compare import differences, schema_in

kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND)


def nodes(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, schema
    for name, value in schema.get("properties", {}).items():
        yield from nodes(value, f"{path}.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), Mapping):
            yield from nodes(schema[keyword], f"{path}[{keyword}]")


def models_in(model: type[Wire]) -> Iterator[type[Wire]]:
    yield model
    for field in fields_of(model):
        shape = field.shape
        while shape.items is not None:
            shape = shape.items
        if isinstance(shape.type, type) and issubclass(shape.type, Wire):
            yield from models_in(shape.type)


def test_there_is_a_manifest_for_every_kind() -> None:
    names = [manifest["metadata"]["name"] for manifest in crds.manifests()]

    assert names == [f"{kind.PLURAL}.{kind.GROUP}" for kind in KINDS]
    assert len(set(names)) == 17


@kinds
def test_a_schema_is_structural(kind: type[Resource]) -> None:
    # Source: Kubernetes' "Specifying a structural schema": a type everywhere, or int-or-string, or free-form.
    for path, schema in nodes(schema_in(crds.manifest(kind))):
        int_or_string = schema.get("x-kubernetes-int-or-string")
        assert schema.get("type") or int_or_string, path
        assert not {"$ref", "nullable", "definitions", "oneOf", "title"} & schema.keys(), path
        if schema.get("type") == "array":
            assert schema["items"], path
        if "anyOf" in schema:
            assert int_or_string, path


@kinds
def test_defaults_are_valid_in_their_schema(kind: type[Resource]) -> None:
    for model in models_in(kind):
        for field in fields_of(model):
            if field.default is ABSENT:
                continue
            default = model.model_fields[field.name].get_default(call_default_factory=True)

            wire = field.default if not isinstance(default, Wire) else default.from_wire(field.default)

            assert wire == default, f"{model.__name__}.{field.name}"


def test_a_phase_has_a_default_in_the_schema() -> None:
    status = schema_in(crds.manifest(DPU))["properties"]["status"]

    assert status["default"] == {"phase": "Initializing"}
    assert status["properties"]["phase"]["default"] == "Initializing"


def test_only_a_kind_with_a_status_has_the_subresource() -> None:
    def subresources(kind: type[Resource]) -> Any:
        return crds.manifest(kind)["spec"]["versions"][0].get("subresources")

    assert subresources(DPU) == {"status": {}}
    assert subresources(DPUFlavor) is None


def test_fields_have_descriptions_for_kubectl_explain() -> None:
    spec = schema_in(crds.manifest(DPUNode))["properties"]["spec"]

    script = spec["properties"]["nodeRebootMethod"]["properties"]["script"]
    assert "Job" in script["description"]
    assert "ConfigMap" in script["properties"]["name"]["description"]


def test_descriptions_have_no_citations() -> None:
    assert not re.search("docs/", json.dumps(crds.manifests()))


# --- The comparison itself: the upstream test depends on its finding each difference


@pytest.mark.parametrize(
    "change",
    [
        lambda schema: schema["properties"]["spec"]["properties"].pop("dpus"),
        lambda schema: schema["properties"]["spec"]["properties"].update(extra={"type": "string"}),
        lambda schema: schema["properties"]["spec"]["properties"]["dpus"]["items"].pop("required"),
        lambda schema: schema["properties"]["spec"]["properties"]["nodeRebootMethod"].pop("default"),
        lambda schema: schema["properties"]["spec"]["properties"]["dpus"].update(type="object"),
        lambda schema: schema["properties"]["spec"]["properties"]["dpus"].update(maxItems=3),
        lambda schema: schema["properties"]["status"]["properties"]["dpuInstallInterface"]["enum"].pop(),
        lambda schema: schema["properties"]["spec"].update({"x-kubernetes-preserve-unknown-fields": True}),
        lambda schema: schema.update(required=["spec"]),
    ],
)
def test_the_comparison_finds_a_change_in_either_direction(change: Any) -> None:
    changed = json.loads(json.dumps(crds.manifest(DPUNode)))
    change(schema_in(changed))

    assert list(differences(changed, crds.manifest(DPUNode)))
    assert list(differences(crds.manifest(DPUNode), changed))
    assert not list(differences(changed, changed))


# --- python -m dpf_async.crds


def test_the_command_prints_yaml_documents(capsys: pytest.CaptureFixture[str]) -> None:
    code = crds.main([])

    assert code == 0
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == crds.manifests()


def test_the_command_prints_only_the_requested_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    crds.main(["--kind", "DPU", "--kind", "DPUNode"])

    printed = [each["spec"]["names"]["kind"] for each in yaml.safe_load_all(capsys.readouterr().out)]
    assert printed == ["DPU", "DPUNode"]


def test_the_command_prints_one_json_list_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    crds.main(["--json", "--kind", "DPUFlavor"])

    printed = json.loads(capsys.readouterr().out)
    assert printed == {"apiVersion": "v1", "kind": "List", "items": crds.manifests([DPUFlavor])}


def test_the_error_for_an_unknown_kind_lists_the_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        crds.main(["--kind", "Pod"])

    assert ended.value.code == 2
    assert "DPUDeployment" in capsys.readouterr().err


def test_a_manifest_is_plain_json_without_types_of_this_library() -> None:
    def types_in(value: object) -> set[type]:
        if isinstance(value, dict):
            return set().union({str}, *(types_in(item) for item in value.values()), *map(types_in, value))
        if isinstance(value, list):
            return set().union(*map(types_in, value)) if value else set()
        return {type(value)}

    assert types_in(crds.manifests()) <= {str, int, float, bool, type(None)}
