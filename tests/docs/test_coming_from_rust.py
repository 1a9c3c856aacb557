"""docs/coming-from-rust.md has every name of the Rust SDK once, and only names and tests that exist."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import typer

import dpf_async
import dpf_async.models
import dpf_async.presets
import dpf_async.sim
from dpf_async.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "coming-from-rust.md"
TESTS = Path(__file__).parents[1]

RUST_NAMES = """
DpfSdkBuilder:: new with_labeler with_bmc_password_refresh_interval with_join_set build_without_resources initialize

DpfSdk:: namespace repo create_initialization_objects update_deployment_bfb register_dpu_device delete_dpu_device
register_dpu_node verify_node_labels is_reboot_required reboot_complete delete_dpu_node get_dpu_phase reprovision_dpu
find_outdated_dpus_dpf release_maintenance_hold force_delete_host force_delete_dpu force_delete_dpu_node snapshot_host
list_service_template_versions watcher

dpu_node_cr_name dpu_device_cr_name dpu_cr_name node_id_from_dpu_node_cr_name build_service_template
build_service_configuration build_service_nad build_deployment build_dpu_interfaces_vec build_service_interface
apply_service_interface_templates flavor::default_flavor services::dts_service services::default_services

ResourceLabeler BmcPasswordProvider DPUStateCallback DpfRepository KubeRepository

ResourceLabeler:: device_labels node_labels node_context_labels dpu_label_selector

KubeRepository:: new with_client client

BfbRepository DpuRepository DpuDeviceRepository DpuNodeRepository DpuNodeMaintenanceRepository DpuFlavorRepository
DpuSetRepository DpuClusterRepository DpuDeploymentRepository DpuServiceTemplateRepository
DpuServiceConfigurationRepository DpuServiceRepository DpuServiceNADRepository DpuServiceChainRepository
DpuServiceInterfaceRepository K8sConfigRepository DpfOperatorConfigRepository

DpuWatcherBuilder:: with_join_set with_label_selector on_dpu_event on_reboot_required on_dpu_ready
on_maintenance_needed on_error start

InitDpfResourcesConfig ServiceDefinition ServiceInterface ServiceNAD ServiceNADResourceType ServiceConfigPort
ServiceConfigPortProtocol ConfigPortsServiceType ServiceChainSwitch DpuServiceInterfaceTemplateDefinition
DpuServiceInterfaceTemplateType DpuFlavorBridgeDefinition DpuDeviceInfo DpuNodeInfo DpuPhase DpuEvent
RebootRequiredEvent MaintenanceEvent DpuReadyEvent DpuErrorEvent DpuMismatch HostDpfSnapshot DpuNodeSummary
DpuDeviceSummary DpuSummary ServiceTemplateVersion DpfError

DpuPhase:: Provisioning NodeEffect Rebooting Ready Error Deleting

DpfError:: KubeError NotFound AlreadyExists Timeout InvalidState ConfigError WatcherError

api-harness_ provision reprovision cleanup status watch update-bfb get-phase delete-dpu force-delete-dpu
force-delete-node delete-node is-reboot-required clear-reboot release-hold delete-device reboot-host

admin-cli_dpf_ enable disable show snapshot service-version sv
"""
"""The names of the SDK by paragraph. The first of a paragraph is a prefix if it ends with `::` or `_`."""


def rust_names() -> list[str]:
    names: list[str] = []
    for paragraph in RUST_NAMES.strip().split("\n\n"):
        first, *others = paragraph.split()
        if first.endswith("::"):
            names += [first + name for name in others]
        elif first.endswith("_"):
            names += [first.replace("_", " ") + name for name in others]
        else:
            names += [first, *others]
    return names


def rows() -> list[tuple[list[str], list[str], str]]:
    """For every row: the names of the SDK, the names of this library, and the text of the second cell."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            assert len(cells) == 3, line
            found.append((code_in(cells[0]), code_in(cells[1]), cells[1]))
    return found


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def own_names() -> list[str]:
    return sorted({name for _, names, _ in rows() for name in names})


def exists(name: str) -> bool:
    if name.startswith("dpf-async "):
        return verb_exists(name.split()[1:])
    target: Any = dpf_async  # Any: a module, class, function or attribute
    for part in name.split("."):
        if part in getattr(target, "model_fields", {}):
            target = None  # a field of a model is not an attribute of its class
        elif hasattr(target, part):
            target = getattr(target, part)
        else:
            return False
    return True


def verb_exists(verb: list[str]) -> bool:
    command: Any = typer.main.get_command(app)  # Any: a command or a group of click
    for part in verb:
        command = getattr(command, "commands", {}).get(part)
        if command is None:
            return False
    return True


def test_the_page_has_every_name_of_the_rust_sdk_once() -> None:
    named = Counter(name for names, _, _ in rows() for name in names)

    assert named == Counter(rust_names())


@pytest.mark.parametrize("name", own_names())
def test_every_counterpart_exists(name: str) -> None:
    assert exists(name), f"{name} is in docs/coming-from-rust.md and not in dpf_async"


def test_every_counterpart_is_public() -> None:
    modules = {"errors", "health", "levels", "models", "presets", "sim", "specs", "transitions", "watch"}
    public = {*dpf_async.__all__, *modules}

    assert {name.split(".")[0] for name in own_names() if " " not in name} <= public


def test_every_row_has_a_counterpart_or_needs_none() -> None:
    for names, counterparts, text in rows():
        assert counterparts or text == "none needed", names


def defects() -> dict[int, list[str]]:
    """The tests that the page names for each defect of the SDK."""
    found = re.findall(r"^\| (\d+) \|[^|]+\|([^|]+)\|$", PAGE.read_text(), re.MULTILINE)
    return {int(number): code_in(tests) for number, tests in found}


def functions_in(module: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {
        node.name: node
        for node in ast.parse((TESTS / module).read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize("number", range(1, 23))
def test_each_defect_has_existing_tests(number: int) -> None:
    named = defects()[number]

    assert named
    for name in named:
        module, _, function = name.partition("::")
        found = functions_in(module)
        assert function in found, f"{PAGE.name} names {name}, which does not exist"
        assert not any("skip" in ast.unparse(each) for each in found[function].decorator_list)


def test_the_page_has_exactly_the_defects_and_every_numbered_test() -> None:
    module = "integration/test_rust_sdk_defects.py"
    numbered = {f"{module}::{name}" for name in functions_in(module) if re.match(r"test_\d", name)}

    assert numbered
    assert set(defects()) == set(range(1, 23))
    assert numbered <= {name for names in defects().values() for name in names}


def test_a_name_that_does_not_exist_is_detected() -> None:
    assert exists("models.ConfigPort.protocol")
    assert exists("dpf-async status")
    assert not exists("DPFClient.reboot_complete")
    assert not exists("dpf-async force-delete")
    assert not exists("dpf-async status of")
