"""Well-known strings of DPF: annotations, labels, finalizers, and names of objects.

Condition types and reasons, by kind, are defined in `conditions` and exported here as well. The text below each key
says which objects have it, which component writes it, and whether its value or only its presence matters.
"""

from __future__ import annotations

from typing import Final

from dpf_async.models.conditions import (
    AgentCondition,
    CommonReason,
    DPUCondition,
    DPUDeploymentCondition,
    DPUDeviceCondition,
    DPUDeviceReason,
    DPUNodeCondition,
    DPUNodeMaintenanceCondition,
    DPUNodeMaintenanceReason,
    DPUNodeReason,
    DPUReason,
    DPUServiceCondition,
    DPUSetCondition,
    OperationalCondition,
    OperationalReason,
    RebootMethod,
)

__all__ = [
    "ARM_RESTART_TRACKER",
    "BFB_FINALIZER",
    "BMC_IP_LABEL",
    "BMC_PASSWORD_KEY",
    "BMC_PASSWORD_SECRET",
    "CARBIDE_CONTROLLED_DEVICE_LABEL",
    "CARBIDE_CONTROLLED_NODE_LABEL",
    "CARBIDE_DPU_MACHINE_ID_LABEL",
    "CARBIDE_HOST_BMC_IP_LABEL",
    "CARBIDE_IS_PRIMARY_DPU_LABEL",
    "CONSUMED_BY_LABEL_PREFIX",
    "CRITICAL_SERVICE_LABEL",
    "DPF_NAMESPACE",
    "DPUDEPLOYMENT_FINALIZER",
    "DPUDEVICE_FINALIZER",
    "DPUDEVICE_NAME_LABEL",
    "DPUNODEMAINTENANCE_FINALIZER",
    "DPUNODE_FINALIZER",
    "DPUNODE_NAME_LABEL",
    "DPUSET_FINALIZER",
    "DPUSET_NAMESPACE_LABEL",
    "DPUSET_NAME_LABEL",
    "DPUSET_TEMPLATE_HASH_LABEL",
    "DPU_ENABLED_LABEL",
    "DPU_FINALIZER",
    "DPU_READY_TAINT",
    "EXTERNAL_REBOOT_REQUIRED",
    "HOLD_SUFFIX",
    "HOST_POWER_CYCLE_REQUIRED",
    "LAST_APPLIED_LABELS",
    "LAST_APPLIED_REQUESTORS_PREFIX",
    "NUM_OF_PFS_LABEL",
    "OPERATOR_CONFIG_NAME",
    "OPN_LABEL",
    "OWNED_BY_DPUDEPLOYMENT_LABEL",
    "PCI_ADDRESS_LABEL",
    "PF0_NAME_LABEL",
    "PSID_LABEL",
    "REDFISH_CLIENT_SECRET",
    "SCRIPT_CONFIGMAP_VERSION",
    "SKIP_CHAIN_REQUESTOR",
    "SKIP_PROVISIONING_LABEL",
    "WAIT_FOR_EXTERNAL_NODE_EFFECT",
    "AgentCondition",
    "CommonReason",
    "DPUCondition",
    "DPUDeploymentCondition",
    "DPUDeviceCondition",
    "DPUDeviceReason",
    "DPUNodeCondition",
    "DPUNodeMaintenanceCondition",
    "DPUNodeMaintenanceReason",
    "DPUNodeReason",
    "DPUReason",
    "DPUServiceCondition",
    "DPUSetCondition",
    "OperationalCondition",
    "OperationalReason",
    "RebootMethod",
]

# --- The annotations of the two handshakes.

EXTERNAL_REBOOT_REQUIRED: Final = "provisioning.dpu.nvidia.com/dpunode-external-reboot-required"
"""DPUNode annotation: an external reboot of the host is requested.

The operator adds it, and treats the host as rebooted when the key is removed. Only its presence matters: the value
"false" has no effect (docs/dpf/keys.md#reboot-annotation).
"""

WAIT_FOR_EXTERNAL_NODE_EFFECT: Final = "provisioning.dpu.nvidia.com/wait-for-external-nodeeffect"
"""DPUNodeMaintenance annotation: whether the hold is set.

The operator adds it with "true"; "false" releases the hold and permits disruption of the host. Go's other truth
values are valid as well. A removed key is added again: removal does not release the hold
(docs/dpf/keys.md#hold-annotation).
"""

HOLD_SUFFIX: Final = "-hold"
"""The name of the DPUNodeMaintenance of a hold is that of its DPUNode with this suffix.

Source: docs/dpf/hold.md#maintenance-name.
"""

# --- Other annotations.

HOST_POWER_CYCLE_REQUIRED: Final = "provisioning.dpu.nvidia.com/host-power-cycle-required"
"""DPU annotation, by the user through the DPUSet's template: the host agent power-cycles the host.

Source: docs/dpf/keys.md#other-annotations.
"""

LAST_APPLIED_REQUESTORS_PREFIX: Final = "provisioning.dpu.nvidia.com/last-applied-additional-requestors-on-"
"""DPUNodeMaintenance annotation, by the operator: the services that requested it for one DPU, as a JSON list.

The key ends with 16 hex digits: the first 8 bytes of the SHA-256 of the DPU's name (docs/dpf/keys.md#digests).
"""

LAST_APPLIED_LABELS: Final = "provisioning.dpu.nvidia.com/last-applied-labels-on-dpu"
"""Annotation of a DPUSet and of a Node in the DPUCluster, by the operator: labels as JSON.

Source: docs/dpf/keys.md#other-annotations.
"""

ARM_RESTART_TRACKER: Final = "provisioning.dpu.nvidia.com/arm-restart-tracker"
"""DPU annotation, by the operator: its counter of restarts for Secure Boot.

Source: docs/dpf/phases.md#perform-arm-force-restart.
"""

SCRIPT_CONFIGMAP_VERSION: Final = "provisioning.dpu.nvidia.com/dpunode-script-configmap-version"
"""Annotation, by the operator: version of the ConfigMap of a failed reboot script.

Source: docs/dpf/reboot.md#reboot-methods.
"""

SKIP_CHAIN_REQUESTOR: Final = "svc.dpu.nvidia.com/dpudeployment-skip-chain-requestor"
"""DPUDeployment annotation, by Carbide, with value "".

By its name it excludes service chains from the requestors; it was not found in any operator source
(docs/dpf/keys.md#other-annotations).
"""

# --- Labels with references between objects.

DPUNODE_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpunode-name"
"""Label of DPUDevice, DPU, DPUNodeMaintenance, and Node in the DPUCluster: name of the DPUNode.

Source: docs/dpf/keys.md#reference-labels.
"""

DPUDEVICE_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-name"
"""DPU label: name of the DPUDevice (docs/dpf/keys.md#reference-labels)."""

DPUSET_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpuset-name"
"""DPU label: name of the DPUSet that it was created from (docs/dpf/keys.md#reference-labels)."""

DPUSET_NAMESPACE_LABEL: Final = "provisioning.dpu.nvidia.com/dpuset-namespace"
"""DPU label: namespace of the DPUSet (docs/dpf/keys.md#reference-labels)."""

DPUSET_TEMPLATE_HASH_LABEL: Final = "provisioning.dpu.nvidia.com/dpuset-dpu-template-spec-hash"
"""Label of DPU and DPUSet: ten hex digits that change with the template (docs/dpf/keys.md#digests)."""

OWNED_BY_DPUDEPLOYMENT_LABEL: Final = "svc.dpu.nvidia.com/owned-by-dpudeployment"
"""Label of all objects of a DPUDeployment, DPUs and their Nodes included: `<namespace>_<name>`.

Source: docs/dpf/keys.md#reference-labels.
"""

CONSUMED_BY_LABEL_PREFIX: Final = "svc.dpu.nvidia.com/consumed-by-dpudeployment-"
"""Label of dependencies of a DPUDeployment, with value ""; the key ends with ten hex digits.

Source: docs/dpf/keys.md#reference-labels.
"""

# --- Labels with hardware properties, by the operator: on DPUDevice, and copied to its DPU
# (docs/dpf/keys.md#reference-labels).

BMC_IP_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-bmc-ip"
"""Address of the DPU's BMC."""

OPN_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-opn"
"""Ordering part number."""

PSID_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-psid"
"""PSID; the serial number with some operators (docs/dpf/discovery.md#psid)."""

PCI_ADDRESS_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-pciAddress"
"""PCI address, if it is known."""

NUM_OF_PFS_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-num-of-pfs"
"""Number of physical functions; not with Redfish."""

PF0_NAME_LABEL: Final = "provisioning.dpu.nvidia.com/dpudevice-pf0-name"
"""Name of the first physical function; not with Redfish."""

# --- Labels by users.

SKIP_PROVISIONING_LABEL: Final = "provisioning.dpu.nvidia.com/skip-dpu-provisioning"
"""DPUDevice label, any value: the DPU becomes Ready without an installation (docs/dpf/phases.md#skip-label)."""

DPU_ENABLED_LABEL: Final = "feature.node.kubernetes.io/dpu-enabled"
"""DPUNode label with value "true": the host has DPUs; deployments select hosts by it (docs/dpf/keys.md#user-labels)."""

CRITICAL_SERVICE_LABEL: Final = "svc.dpu.nvidia.com/critical"
"""DPUService label, any value: the service is critical.

Source: docs/dpf/keys.md#user-labels, docs/dpf/health.md#critical-services.
"""

CARBIDE_CONTROLLED_NODE_LABEL: Final = "carbide.nvidia.com/controlled.node.v2"
"""DPUNode label with value "true", by Carbide: Carbide manages the host (docs/dpf/keys.md#carbide-labels)."""

CARBIDE_CONTROLLED_DEVICE_LABEL: Final = "carbide.nvidia.com/controlled.device"
"""Label of DPUDevice and DPU with value "true", by Carbide: Carbide manages the DPU.

Source: docs/dpf/keys.md#carbide-labels.
"""

CARBIDE_HOST_BMC_IP_LABEL: Final = "carbide.nvidia.com/host-bmc-ip"
"""Label of DPUNode, DPUDevice and DPU, by Carbide: address of the host's BMC (docs/dpf/keys.md#carbide-labels)."""

CARBIDE_IS_PRIMARY_DPU_LABEL: Final = "carbide.nvidia.com/is-primary-dpu"
"""Label of DPUDevice and DPU, by Carbide (docs/dpf/keys.md#carbide-labels)."""

CARBIDE_DPU_MACHINE_ID_LABEL: Final = "carbide.nvidia.com/dpu-machine-id"
"""Label of DPUDevice and DPU, by Carbide: Carbide's identifier of the DPU (docs/dpf/keys.md#carbide-labels)."""

# --- Finalizers (docs/dpf/keys.md#finalizers).

BFB_FINALIZER: Final = "provisioning.dpu.nvidia.com/bfb-protection"
"""Removed when the image file is deleted."""

DPU_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpu-protection"
"""Removed when the objects of the DPU in the DPUCluster are deleted."""

DPUDEVICE_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpudevice-protection"
"""Set by the controller of the DPU while the DPU exists; a device without a DPU has none."""

DPUNODE_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpunode-protection"
"""Removed when the DPUs and DPUDevices of the host, which the operator deletes as well, are gone."""

DPUNODEMAINTENANCE_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpunodemaintenance-protection"
"""Removed after the last requestor; its removal needs an existing DPUNode."""

DPUSET_FINALIZER: Final = "provisioning.dpu.nvidia.com/dpuset-protection"
"""Removed when its DPUs, which the operator deletes as well, are gone."""

DPUDEPLOYMENT_FINALIZER: Final = "dpu.nvidia.com/dpudeployment"
"""On a DPUDeployment until the objects created from it are gone; on its dependencies while it depends on them."""

# --- Names of objects, and other conventions.

DPF_NAMESPACE: Final = "dpf-operator-system"
"""Default namespace of DPF and of all its objects (docs/dpf/bmc.md#password-secret, docs/dpf/carbide.md#defaults)."""

OPERATOR_CONFIG_NAME: Final = "dpfoperatorconfig"
"""Name of the DPFOperatorConfig (docs/dpf/carbide.md#defaults)."""

BMC_PASSWORD_SECRET: Final = "bmc-shared-password"  # noqa: S105  a name
"""Name of the Secret with the password of all DPU BMCs (docs/dpf/bmc.md#password-secret)."""

BMC_PASSWORD_KEY: Final = "password"  # noqa: S105  a name
"""Key of the password in that Secret (docs/dpf/bmc.md#password-secret)."""

REDFISH_CLIENT_SECRET: Final = "dpf-provisioning-redfish-client-secret"  # noqa: S105  a name
"""Name of the Secret with the client certificate of the operator for BMCs (docs/dpf/bmc.md#client-certificate)."""

DPU_READY_TAINT: Final = "dpu.nvidia.com/dpu-ready"
"""Taint, effect NoSchedule, of a host that is a Kubernetes node while a DPU is not operational.

Source: docs/dpf/health.md#node-taint.
"""
