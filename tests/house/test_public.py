"""What is public, and that the pages say the same as the code."""

from __future__ import annotations

import inspect
import re
import tomllib
import types
import typing
from pathlib import Path

import pytest

import dpf_async
from dpf_async import errors, models
from dpf_async._transitions.health_transitions import HealthTransition
from dpf_async._transitions.transitions import Transition

ROOT = Path(__file__).parents[2]
LAYERS = next(
    contract["layers"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    if contract["type"] == "layers"
)


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


PROMISED = words(
    """
    DPFClient provision reprovision HostSpec DeviceSpec SiteSpec PhaseChanged ConditionChanged
    ExternalRebootRequired NodeEffectHeld DPUReplaced DPUPhase APIError NotFound AlreadyExists Conflict
    Invalid Forbidden Unauthorized Gone TooManyRequests ServerError ConnectionFailed DecodeError WaitError
    WaitTimeout ObjectReplaced DPUFailed UsageError DPFError ready external_reboot_required
    """
)

METHODS = words(
    """
    create_initialization_objects create_dpu_node mark_dpu_node_ready_for_maintenance mark_dpu_node_rebooted
    reprovision_dpu is_dpu_node_waiting_for_reboot is_dpu_ready update_dpu_deployment_bfb
    update_dpu_deployment_configuration delete_dpu force_delete_dpu delete_dpu_node force_delete_dpu_node node
    dpu deployment resource transitions health_transitions
    """
)


def headings(page: str) -> set[str]:
    """The titles below the first on a page of the documentation."""
    return set(re.findall(r"^##+ (\S+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE))


def test_what_all_says_is_there_and_what_is_there_it_says() -> None:
    public = {
        name
        for name, value in vars(dpf_async).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }

    assert public == set(dpf_async.__all__) - {"__version__"}


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_name_is_public(name: str) -> None:
    assert name in dpf_async.__all__


@pytest.mark.parametrize("name", METHODS)
def test_a_promised_method_is_there_and_says_what_it_promises(name: str) -> None:
    method = getattr(dpf_async.DPFClient, name)

    assert inspect.getdoc(method)


def test_the_tree_at_the_top_of_errors_is_the_tree_of_the_classes() -> None:
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
    told = {*typing.get_args(Transition), *typing.get_args(HealthTransition)}

    assert headings("reference/transitions.md") == {kind.__name__ for kind in told}


def test_the_architecture_lists_the_stages_of_the_contract_in_their_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^- `(\w+)`:", page, re.MULTILINE)

    assert listed == [layer.removeprefix("dpf_async.") for layer in reversed(LAYERS)]


def test_every_module_begins_with_a_sentence_that_says_what_it_is() -> None:
    for path in sorted((ROOT / "src").rglob("*.py")):
        first = path.read_text().splitlines()[:1]
        assert first, path
        assert re.match(r'r?"""[A-Z`]', first[0]), path


def test_the_kinds_that_the_requirement_names_are_modelled() -> None:
    named = words(
        """
    BFB DPUFlavor DPUServiceTemplate DPUServiceConfiguration DPUDeployment DPUNode DPUDevice
    DPUServiceInterface DPU DPUSet DPUService DPUServiceChain DPUNodeMaintenance DPUCluster DPUServiceNAD
    DPUServiceIPAM DPFOperatorConfig
    """
    )

    assert sorted(kind.KIND for kind in models.KINDS) == sorted(named)


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == dpf_async.__version__


def test_the_package_is_typed_and_licensed() -> None:
    assert (ROOT / "src" / "dpf_async" / "py.typed").exists()
    assert "Apache License" in (ROOT / "LICENSE").read_text()
