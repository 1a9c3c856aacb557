"""The public names, and that the documentation lists the same names as the code."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
import re
import tomllib
import types
import typing
from collections import Counter
from pathlib import Path

import anyio
import msgspec
import pydantic
import pytest

import dpf_async
import dpf_async.sim
from dpf_async import errors, health, models, specs, transitions
from dpf_async._transitions.health_transitions import HealthTransition
from dpf_async._transitions.transitions import Transition

ROOT = Path(__file__).parents[2]
LAYERS = next(
    contract["layers"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    if contract["name"] == "A layer imports only the layers below it"
)

MODULES = {
    "dpf_async": dpf_async,
    "dpf_async.errors": dpf_async.errors,
    "dpf_async.health": dpf_async.health,
    "dpf_async.levels": dpf_async.levels,
    "dpf_async.models": dpf_async.models,
    "dpf_async.presets": dpf_async.presets,
    "dpf_async.sim": dpf_async.sim,
    "dpf_async.specs": dpf_async.specs,
    "dpf_async.transitions": dpf_async.transitions,
    "dpf_async.watch": dpf_async.watch,
}

FACADES = (
    "dpf_async.health",
    "dpf_async.levels",
    "dpf_async.specs",
    "dpf_async.transitions",
    "dpf_async.watch",
)
"""Modules that only re-export names of private modules."""

PROMISED = {
    "dpf_async": "DPFClient provision reprovision HostSpec DeviceSpec SiteSpec",
    "dpf_async.transitions": "PhaseChanged ConditionChanged ExternalRebootRequired NodeEffectHeld DPUReplaced",
    "dpf_async.models": "DPUPhase DPU DPUNode",
    "dpf_async.levels": "ready external_reboot_required",
    "dpf_async.errors": """
    APIError NotFound AlreadyExists Conflict Invalid Forbidden Unauthorized Gone TooManyRequests ServerError
    ConnectionFailed DecodeError WaitError WaitTimeout ObjectReplaced DPUFailed UsageError DPFError
    """,
    "dpf_async.sim": "Simulator",
}

METHODS = (
    "create_initialization_objects",
    "create_dpu_node",
    "mark_dpu_node_ready_for_maintenance",
    "mark_dpu_node_rebooted",
    "reprovision_dpu",
    "is_dpu_node_waiting_for_reboot",
    "is_dpu_ready",
    "update_dpu_deployment_bfb",
    "update_dpu_deployment_configuration",
    "delete_dpu",
    "force_delete_dpu",
    "delete_dpu_node",
    "force_delete_dpu_node",
    "node",
    "dpu",
    "deployment",
    "resource",
    "transitions",
    "health_transitions",
)


def headings(page: str) -> set[str]:
    """The headings of a page of the documentation, without its title."""
    return set(re.findall(r"^##+ (\S+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE))


def classes_and_functions(module: str) -> list[type | types.FunctionType]:
    """The public classes and functions of a module."""
    public = [getattr(MODULES[module], name) for name in MODULES[module].__all__]
    return [each for each in public if isinstance(each, type | types.FunctionType)]


def issubclass_of_anyio_mixin(public: object) -> bool:
    """Whether anyio's base class makes get_type_hints fail: it annotates an attribute for type checkers only."""
    return isinstance(public, type) and issubclass(public, anyio.AsyncContextManagerMixin)


@pytest.mark.parametrize("module", ["dpf_async", "dpf_async.errors", *FACADES])
def test_all_lists_exactly_the_public_names_of_a_module(module: str) -> None:
    listed = set(MODULES[module].__all__) - {"__version__"}
    present = {
        name
        for name, value in vars(MODULES[module]).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }

    present -= {"FunctionType", "ModuleType", "get_type_hints", "TYPE_CHECKING"}
    if module == "dpf_async.errors":
        present = {name for name in present if inspect.isclass(getattr(errors, name)) and name[0].isupper()}
        present = {name for name in present if getattr(errors, name).__module__ == module}
    assert present == listed


def test_a_public_name_is_in_exactly_one_module() -> None:
    places = Counter(name for module in MODULES.values() for name in module.__all__)

    assert [name for name, count in places.items() if count > 1] == []


def test_the_top_level_package_stays_navigable() -> None:
    assert len(dpf_async.__all__) <= 70


@pytest.mark.parametrize("module", MODULES)
def test_a_public_object_gives_its_public_path(module: str) -> None:
    for name in MODULES[module].__all__:
        public = getattr(MODULES[module], name)
        if inspect.isclass(public) or inspect.isfunction(public):
            assert public.__module__.startswith(module), name


@pytest.mark.parametrize("module", MODULES)
def test_type_hints_of_public_classes_and_functions_can_be_evaluated(module: str) -> None:
    for public in classes_and_functions(module):
        if not issubclass_of_anyio_mixin(public):
            typing.get_type_hints(public, include_extras=True)


@pytest.mark.parametrize("module", MODULES)
def test_public_classes_and_functions_are_pickled_by_their_public_path(module: str) -> None:
    for public in classes_and_functions(module):
        assert pickle.loads(pickle.dumps(public)) is public


@pytest.mark.parametrize("module", MODULES)
def test_msgspec_reads_the_fields_of_public_structs(module: str) -> None:
    for public in classes_and_functions(module):
        if isinstance(public, type) and issubclass(public, msgspec.Struct):
            msgspec.structs.fields(public)


@pytest.mark.parametrize(
    "public",
    [
        dpf_async.FieldDifference,
        dpf_async.Permission,
        health.CriticalServicesDown,
        health.DPUNotReady,
        transitions.DPUReplaced,
        transitions.PhaseChanged,
    ],
)
def test_pydantic_reads_the_fields_of_a_public_dataclass(public: type) -> None:
    schema = pydantic.TypeAdapter(public).json_schema()

    assert [*schema["properties"]] == [field.name for field in dataclasses.fields(public)]


def test_pydantic_validates_the_arguments_of_a_public_function() -> None:
    name_of = pydantic.validate_call(specs.node_name)

    assert name_of("00:11:22:33:44:55") == specs.node_name("00:11:22:33:44:55")
    with pytest.raises(pydantic.ValidationError):
        name_of(1)  # type: ignore[arg-type]


def test_a_subclass_of_a_public_pydantic_model_has_the_fields_of_its_base() -> None:
    class RackHost(dpf_async.HostSpec):
        rack: str = ""

    assert set(RackHost.model_fields) == {*dpf_async.HostSpec.model_fields, "rack"}


@pytest.mark.parametrize("module", PROMISED)
def test_a_promised_name_is_public(module: str) -> None:
    assert set(PROMISED[module].split()) <= set(MODULES[module].__all__)


@pytest.mark.parametrize("name", METHODS)
def test_a_promised_method_has_a_docstring(name: str) -> None:
    method = getattr(dpf_async.DPFClient, name)

    assert inspect.getdoc(method)


def test_the_tree_in_the_docstring_of_errors_lists_its_classes() -> None:
    drawn = re.findall(
        r"([A-Z]\w+)", "\n".join(re.findall(r"^[│├└─ ]*[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE))
    )
    classes = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }

    assert set(drawn) | {"DPFError"} == classes
    assert set(errors.__all__) == classes | {"Cause"}


def test_every_error_has_a_heading() -> None:
    classes = {name for name in errors.__all__ if name != "Cause"}

    assert headings("reference/errors.md") == classes


def test_every_transition_has_a_heading() -> None:
    kinds = {*typing.get_args(Transition), *typing.get_args(HealthTransition)}

    assert headings("reference/transitions.md") == {kind.__name__ for kind in kinds}


def test_the_architecture_page_lists_the_layers_of_the_import_contract_in_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^- `(\w+)`", page, re.MULTILINE)

    assert listed == [name for layer in reversed(LAYERS) for name in layer.split(" | ")]


def test_every_module_has_a_docstring() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        first = path.read_text().splitlines()[:1]
        assert first, path
        assert re.match(r'r?"""[A-Z`]', first[0]), path


def test_every_kind_of_the_requirement_has_a_model() -> None:
    named = """
    BFB DPUFlavor DPUServiceTemplate DPUServiceConfiguration DPUDeployment DPUNode DPUDevice
    DPUServiceInterface DPU DPUSet DPUService DPUServiceChain DPUNodeMaintenance DPUCluster DPUServiceNAD
    DPUServiceIPAM DPFOperatorConfig
    """.split()  # noqa: SIM905  as above

    assert sorted(kind.KIND for kind in models.KINDS) == sorted(named)


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == dpf_async.__version__


def test_the_package_is_typed_and_licensed() -> None:
    assert (ROOT / "src" / "dpf_async" / "py.typed").exists()
    assert "Apache License" in (ROOT / "LICENSE").read_text()
