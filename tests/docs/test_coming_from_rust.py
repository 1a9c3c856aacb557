"""The page for who comes from the Rust SDK: nothing of that SDK is left out, and nothing is named that is not here."""

from __future__ import annotations

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

LEFT = """
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
"""What the SDK has, by paragraph; the first word is a prefix where it ends so."""


def left_names() -> list[str]:
    names: list[str] = []
    for paragraph in LEFT.strip().split("\n\n"):
        first, *others = paragraph.split()
        if first.endswith("::"):
            names += [first + name for name in others]
        elif first.endswith("_"):
            names += [first.replace("_", " ") + name for name in others]
        else:
            names += [first, *others]
    return names


def rows() -> list[tuple[list[str], list[str], str]]:
    """The names on the left, those on the right, and what stands on the right, of every row."""
    found = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            assert len(cells) == 3, line
            found.append((code_in(cells[0]), code_in(cells[1]), cells[1]))
    return found


def code_in(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def right_names() -> list[str]:
    return sorted({name for _, names, _ in rows() for name in names})


def exists(name: str) -> bool:
    if name.startswith("dpf-async "):
        return verb_exists(name.split()[1:])
    place: Any = dpf_async  # Any: whatever a name stands for
    for part in name.split("."):
        if part in getattr(place, "model_fields", {}):
            place = None  # a field of a model, which its class does not have
        elif hasattr(place, part):
            place = getattr(place, part)
        else:
            return False
    return True


def verb_exists(words: list[str]) -> bool:
    command: Any = typer.main.get_command(app)  # Any: a command of click's, or a group of them
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            return False
    return True


def test_everything_that_the_rust_sdk_has_stands_on_the_page_once() -> None:
    named = Counter(name for names, _, _ in rows() for name in names)

    assert named == Counter(left_names())


@pytest.mark.parametrize("name", right_names())
def test_what_stands_beside_it_exists(name: str) -> None:
    assert exists(name), f"{name} is in docs/coming-from-rust.md and not in dpf_async"


def test_and_is_public() -> None:
    modules = {"errors", "health", "levels", "models", "presets", "sim", "specs", "transitions", "watch"}
    public = {*dpf_async.__all__, *modules}

    assert {name.split(".")[0] for name in right_names() if " " not in name} <= public


def test_every_row_has_a_counterpart_or_says_why_there_is_none() -> None:
    for names, right, text in rows():
        assert right or text == "none needed", names


def test_a_name_that_there_is_not_is_noticed() -> None:
    assert exists("models.ConfigPort.protocol")
    assert exists("dpf-async status")
    assert not exists("DPFClient.reboot_complete")
    assert not exists("dpf-async force-delete")
    assert not exists("dpf-async status of")
