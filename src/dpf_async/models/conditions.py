"""Condition types and reasons that DPF writes, by kind, with their meaning.

Conditions show users the details of a phase; decisions about a DPU depend on its phase, uid and deletionTimestamp
(docs/dpf/conditions.md#what-to-trust). The lists are open: other releases write other values. Unless the text of a type
says otherwise, its status is True after the step that it names has completed, and its reason is then the type itself.
"""

from __future__ import annotations

from typing import Final

__all__ = [
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

READY: Final = "Ready"
"""The summary condition of most kinds."""


class CommonReason:
    """Reasons of the kinds without reasons of their own (docs/dpf/conditions.md#common-reasons)."""

    SUCCESS: Final = "Success"
    """True."""
    PENDING: Final = "Pending"
    """False: in progress."""
    ERROR: Final = "Error"
    """False: it failed, and the operator retries it."""
    FAILURE: Final = "Failure"
    """False: it failed, and a user must correct the cause."""
    AWAITING_DELETION: Final = "AwaitingDeletion"
    """False: waits for the deletion of another object."""


class DPUCondition:
    """`status.conditions` of a DPU, in the order of progression (docs/dpf/conditions.md#dpu-conditions)."""

    INITIALIZED: Final = "Initialized"
    """Its DPUNode and DPUDevice exist, and a DPUCluster is assigned."""
    BFB_READY: Final = "BFBReady"
    """The BFB is downloaded."""
    BLUE_FIELD_SOFTWARE_READY: Final = "BlueFieldSoftwareReady"
    """The same for BlueField-4, in later releases."""
    DPU_FLAVOR_EXISTS: Final = "DPUFlavorExists"
    PENDING: Final = "Pending"
    """True when the limit of parallel installations permits the installation."""
    NODE_EFFECT_READY: Final = "NodeEffectReady"
    """Disruption of the host is permitted."""
    INTERFACE_INITIALIZED: Final = "InterfaceInitialized"
    """The install interface is ready. Also True with other reasons before that: see DPUReason."""
    HOST_POWER_CYCLE: Final = "HostPowerCycle"
    """A DPU in NIC mode changes its mode, which takes a power cycle of the host."""
    ARM_FORCE_RESTARTED: Final = "ArmForceRestarted"
    FW_CONFIGURED: Final = "FWConfigured"
    BFB_PREPARED: Final = "BFBPrepared"
    """bf.cfg was generated. Its transition starts the timeout of the installation."""
    BFB_TRANSFERRED: Final = "BFBTransferred"
    """The BMC has the image; before that False, with the progress in its message."""
    OS_INSTALLED: Final = "OSInstalled"
    """Also True while the OS boots: completed only with reason BFBInstalled."""
    DPU_CONFIG: Final = "DPUConfig"
    REBOOTED: Final = "Rebooted"
    """False while a reboot of the host is required; removed when another one becomes required."""
    HOST_NETWORK_READY: Final = "HostNetworkReady"
    DPU_CLUSTER_READY: Final = "DPUClusterReady"
    """It is a ready Node of its DPUCluster."""
    NODE_EFFECT_REMOVED: Final = "NodeEffectRemoved"
    """The node effect of the host has ended."""
    READY: Final = READY
    """Remains True in later phases; False, in phase Ready, while its Node is not ready."""
    DELETING: Final = "Deleting"
    """False with the reason for which deletion is not complete."""
    ERROR: Final = "Error"
    """The cause of phase Error is not here but in the condition of the phase that failed."""
    DMS_RUNNING: Final = "DMSRunning"
    """Releases v24.10 and v25.1."""


class DPUReason:
    """Reasons in `status.conditions` of a DPU, by the phase that writes them (docs/dpf/conditions.md#dpu-reasons).

    Unless the text says otherwise, the status is False, and the phase waits or retries.
    """

    # Several phases
    DPU_NODE_NOT_FOUND: Final = "DPUNodeNotFound"
    GET_DPU_NODE_ERROR: Final = "GetDPUNodeError"
    DPU_DEVICE_NOT_FOUND: Final = "DPUDeviceNotFound"
    FAILED_TO_GET_DPU_DEVICE: Final = "FailedToGetDPUDevice"
    DPU_FLAVOR_NOT_FOUND: Final = "DPUFlavorNotFound"
    DPU_CLUSTER_NOT_FOUND: Final = "DPUClusterNotFound"
    GET_DPU_CLUSTER_ERROR: Final = "GetDPUClusterError"
    NODE_NOT_FOUND: Final = "NodeNotFound"
    GET_NODE_ERROR: Final = "GetNodeError"
    NODE_NOT_READY: Final = "NodeNotReady"
    """Its Node in the DPUCluster is not ready; in phase Ready, the phase stays."""
    GET_NODE_FROM_DPU_CLUSTER_ERROR: Final = "GetNodeFromDPUClusterError"
    INVALID_DPU_INSTALL_INTERFACE: Final = "InvalidDPUInstallInterface"
    """Initializing: results in phase Error."""
    REMOVE_REQUESTOR_ERROR: Final = "RemoveRequestorFromDPUNodeMaintenanceError"
    """Error and Deleting: the DPU could not be removed from the requestors of the DPUNodeMaintenance."""

    # Initializing
    INITIALIZED: Final = "Initialized"
    """True."""
    SKIPPED: Final = "Skipped"
    """True: the DPUDevice has the label to skip provisioning, and the DPU is Ready at once."""
    GET_DPU_DEVICE_ERROR: Final = "GetDPUDeviceError"
    DPU_OOB_BRIDGE_NOT_CONFIGURED: Final = "DPUOOBBridgeNotConfigured"
    """Not with Redfish."""
    DPU_INSTALL_INTERFACE_NOT_PROVIDED: Final = "DPUInstallInterfaceNotProvided"
    PCI_ADDRESS_NOT_PROVIDED: Final = "PCIAddressNotProvided"
    """Host agent only."""
    BMC_IP_NOT_VALID: Final = "BMCIPNotValid"
    """Results in phase Error."""
    DPU_CLUSTER_NOT_ALLOCATED: Final = "DPUClusterNotAllocated"
    DPU_CLUSTER_DELETING: Final = "DPUClusterDeleting"

    # Pending
    BFB_NOT_FOUND: Final = "BFBNotFound"
    GET_BFB_ERROR: Final = "GetBFBError"
    BFB_IS_NOT_READY: Final = "BFBIsNotReady"
    DPU_FLAVOR_NOT_SPECIFIED: Final = "DPUFlavorNotSpecified"
    GET_DPU_FLAVOR_ERROR: Final = "GetDPUFlavorError"
    CANNOT_PROCEED: Final = "CannotProceed"
    """The limit of parallel installations is reached."""

    # Node Effect
    NODE_EFFECT_COMPLETED: Final = "NodeEffectCompleted"
    """True."""
    NODE_EFFECT_IN_PROGRESS: Final = "NodeEffectInProgress"
    """The DPUNodeMaintenance exists, and its node effect is not applied: a hold is set."""
    CREATED_DPU_NODE_MAINTENANCE: Final = "CreatedDPUNodeMaintenance"
    INVALID_NODE_EFFECT: Final = "InvalidNodeEffect"
    """taint, drain or customLabel for a host that is not a Kubernetes node."""
    FAILED_CREATE_DPU_NODE_MAINTENANCE: Final = "FailedCreateDPUNodeMaintenance"
    FAILED_GET_DPU_NODE_MAINTENANCE: Final = "FailedGetDPUNodeMaintenance"
    DPU_NODE_MAINTENANCE_DELETING: Final = "DPUNodeMaintenanceDeleting"
    """Waits until the previous one is deleted."""
    FAILED_ADD_REQUESTOR: Final = "FailedAddRequestor"

    # Initialize Interface
    DPU_DEVICE_NOT_READY: Final = "DPUDeviceNotReady"
    SECURE_BOOT_CONFIGURATION_STAGED: Final = "SecureBootConfigurationStaged"
    """True, although the phase is not complete."""
    UNABLE_TO_CHECK_RESOURCES: Final = "UnableToCheckResources"
    """True."""
    FAILED_TO_REQUEST_MODE_CHANGE: Final = "FailedToRequestModeChange"
    FAILED_TO_GET_SECURE_BOOT_STATUS: Final = "FailedToGetSecureBootStatus"
    FAILED_TO_STAGE_SECURE_BOOT: Final = "FailedToStageSecureBoot"
    SECURE_BOOT_CONFIGURATION_FAILED: Final = "SecureBootConfigurationFailed"
    """Results in phase Error."""
    FAILED_TO_GET_CHASSIS_INFO: Final = "FailedToGetChassisInfo"
    FAILED_TO_GET_DPU_TYPE: Final = "FailedToGetDPUType"
    FAILED_TO_CHECK_CAPACITY: Final = "FailedToCheckCapacity"
    FAILED_TO_CHECK_RESOURCES: Final = "FailedToCheckResources"
    """Results in phase Error."""

    # Perform ARM Force Restart
    IN_PROGRESS: Final = "InProgress"
    RESTART_TRIGGERED: Final = "RestartTriggered"
    FAILED_TO_CREATE_REDFISH_CLIENT: Final = "FailedToCreateRedfishClient"
    FAILED_TO_REBOOT_DPU_ARM: Final = "FailedToRebootDPUArm"
    MAX_SAFETY_LIMIT_EXCEEDED: Final = "MaxSafetyLimitExceeded"
    """After ten restarts; results in phase Error."""

    # Config FW Parameters
    FAILED_TO_GET_DPU_FLAVOR: Final = "FailedToGetDpuFlavor"
    FAILED_TO_DISABLE_HOST_RSHIM: Final = "FailedToDisableHostRshim"
    FAILED_TO_ENABLE_BMC_RSHIM: Final = "FailedToEnableBMCRshim"
    WAITING_FOR_BMC_RSHIM: Final = "WaitingForBMCRShim"
    """Later releases."""
    WAITING_FOR_DPU_ARM_POWER_ON: Final = "WaitingForDPUArmPowerOn"
    """Later releases."""
    DPU_ARM_POWER_ON_TIMEOUT: Final = "DPUArmPowerOnTimeout"
    """Later releases; results in phase Error."""

    # Prepare BFB
    FAILED_TO_GET_FLAVOR: Final = "FailedToGetFlavor"
    FAILED_TO_GET_DPU_CLUSTER: Final = "FailedToGetDPUCluster"
    FAILED_TO_GET_DPU_NODE: Final = "FailedToGetDPUNode"
    FAILED_TO_CREATE_DIRECTORY: Final = "FailedToCreateDirectory"
    FAILED_TO_GENERATE_JOIN_COMMAND: Final = "FailedToGenerateJoinCommand"
    FAILED_TO_CREATE_KUBEADM_SECRET: Final = "FailedToCreateKubeadmSecret"  # noqa: S105  a reason
    FAILED_TO_GENERATE_BF_CONFIG: Final = "FailedToGenerateBFConfig"
    FAILED_TO_PUSH_BF_CFG: Final = "FailedToPushBFCFG"

    # OS Installing
    TASK_PROGRESS: Final = "TaskProgress"
    """The image is being transferred; the message has the percentage."""
    FAIL_TO_INSTALL: Final = "FailToInstall"
    """Results in phase Error."""
    FAIL_TO_GET_BFB_REGISTRY_ADDRESS: Final = "FailToGetBFBRegistryAddress"
    FAIL_TO_CHECK_PROGRESS: Final = "FailToCheckProgress"
    OEM_LAST_STATE: Final = "OemLastState"
    """True, although the OS is booting; the message is the boot state of the BMC."""
    BFB_INSTALLED: Final = "BFBInstalled"
    """True: the OS is running."""
    CANNOT_DELETE_WHILE_INSTALLING: Final = "CannotDeleteWhileInstalling"
    """True: deletion was requested, and waits until the installation ends."""
    INSTALLATION_TIMEOUT: Final = "InstallationTimeout"
    """Results in phase Error."""
    DPU_AGENT_NOT_STARTED: Final = "DPUAgentNotStarted"
    """Results in phase Error, 20 minutes after the OS was installed."""
    FAILED_TO_CREATE_CLIENT: Final = "FailedToCreateClient"
    FAIL_TO_GET_SYSTEM: Final = "FailToGetSystem"

    # Rebooting
    REBOOTED: Final = "Rebooted"
    """True."""
    WAITING_FOR_MANUAL_POWER_CYCLE_OR_REBOOT: Final = "WaitingForManualPowerCycleOrReboot"
    """An external reboot of the host is required."""
    FAILED_TO_PROCESS_EXTERNAL_REBOOT: Final = "FailedToProcessExternalReboot"
    WAITING_FOR_SCRIPT_TO_REBOOT_NODE: Final = "WaitingForScriptToRebootNode"
    JOB_NOT_FOUND: Final = "JobNotFound"
    FAILED_TO_FETCH_JOB: Final = "FailedToFetchJob"
    REBOOT_FAILED: Final = "RebootFailed"
    """The Job of the script failed; the documentation of v26.4 names it RebootScriptFailed."""
    REBOOT_SCRIPT_FAILED: Final = "RebootScriptFailed"
    FAILED_TO_CREATE_SCRIPT_JOB: Final = "FailedToCreateScriptJob"
    INVALID_STATE: Final = "InvalidState"
    GENERATE_IPMI_TOOL_COMMAND_ERROR: Final = "GenerateIPMIToolCommandError"

    # DPU Cluster Config
    DPU_CLUSTER_READY: Final = "DPUClusterReady"
    """True."""
    CHECK_FW_VERSION_ERROR: Final = "CheckFwVersionError"
    """The versions on the DPU differ from those of the BFB."""
    NEW_CONFIG_ERROR: Final = "NewConfigError"
    ADD_LABELS_TO_OBJECT_ERROR: Final = "AddLabelsToObjectError"

    # Node Effect Removal
    NODE_EFFECT_REMOVED: Final = "NodeEffectRemoved"
    """True."""
    NODE_EFFECT_REMOVAL_IN_PROGRESS: Final = "NodeEffectRemovalInProgress"
    """The DPUNodeMaintenance exists: sibling DPUs or services have not released it."""
    NODE_EFFECT_REMOVAL_TIMEOUT: Final = "NodeEffectRemovalTimeout"
    """Results in phase Error; the timeout is disabled by default."""
    UPDATE_LABELS_ON_NODE_ERROR: Final = "UpdateLabelsOnNodeInDPUClusterError"
    FAILED_GET_DPU_NODE_MAINTENANCE_OBJECT: Final = "FailedGetDPUNodeMaintenanceObject"
    FAILED_REMOVE_REQUESTOR: Final = "FailedRemoveRequestor"

    # Ready
    DPU_READY: Final = "DPUReady"
    """True."""

    # Deleting
    REMOVE_DPU_DEVICE_FINALIZER_ERROR: Final = "RemoveDpuDeviceFinalizerError"
    DELETE_BFB_CFG_FILE_ERROR: Final = "DeleteBFBCFGFileError"
    GET_OBJECTS_ERROR: Final = "GetObjectsError"
    DELETE_OBJECTS_ERROR: Final = "DeleteObjectsError"
    DELETE_BOOTSTRAP_TOKENS_ERROR: Final = "DeleteBootstrapTokensError"
    DELETE_NODE_ERROR: Final = "DeleteNodeError"
    """The DPUCluster could not be reached to delete the Node."""
    UPDATE_ERROR: Final = "UpdateError"


class AgentCondition:
    """`status.agentStatus.conditions` of a DPU: the report of its agent (docs/dpf/conditions.md#agent-conditions)."""

    REBOOT_METHOD_DISCOVERY: Final = "RebootMethodDiscovery"
    """True: the agent determines which reboot is required; the reason is the RebootMethod."""


class RebootMethod:
    """`status.agentStatus.rebootMethod` of a DPU.

    Source: docs/dpf/conditions.md#agent-conditions, docs/dpf/reboot.md#reboot-kinds.
    """

    UNKNOWN: Final = "Unknown"
    NO_ACTION: Final = "NoAction"
    """No reboot is needed, or no further one."""
    POWER_CYCLE: Final = "PowerCycle"
    """The host must lose power."""
    SYSTEM_REBOOT: Final = "SystemReboot"
    """The host must reboot."""
    SYSTEM_LEVEL_RESET: Final = "SystemLevelReset"
    """The host must reboot."""
    FIRMWARE_RESET: Final = "FirmwareReset"
    """The DPU performs it itself."""
    DPU_WARM_REBOOT: Final = "DPUWarmReboot"
    """The DPU performs it itself."""


class OperationalCondition:
    """`status.operationalConditions` of a DPU: health, independent of the phase.

    Source: docs/dpf/health.md#operational-conditions.
    """

    OPERATIONAL_READY: Final = "OperationalReady"
    """The summary of the others."""
    NODE_PROBLEMS_READY: Final = "NodeProblemsReady"
    """The Node in the DPUCluster reports no problems."""
    CRITICAL_PODS_READY: Final = "DPUServiceCriticalPodsReady"
    """The pods of services labelled critical run."""
    NON_CRITICAL_PODS_READY: Final = "DPUServiceNonCriticalPodsReady"
    """The pods of the other services run."""
    INTERFACES_READY: Final = "DPUServiceInterfacesReady"
    CHAINS_READY: Final = "DPUServiceChainsReady"


class OperationalReason:
    """Reasons in `status.operationalConditions` of a DPU (docs/dpf/health.md#operational-conditions)."""

    ALL_READY: Final = "AllReady"
    """True."""
    NOT_READY: Final = "NotReady"
    NOT_READY_AND_UNKNOWN: Final = "NotReadyAndUnknown"
    UNKNOWN: Final = "Unknown"
    NO_PROBLEMS_DETECTED: Final = "NoProblemsDetected"
    """True."""
    NODE_PROBLEM_DETECTOR_NOT_READY: Final = "NodeProblemDetectorNotReady"
    ALL_PODS_READY: Final = "AllPodsReady"
    """True."""
    PODS_NOT_READY: Final = "PodsNotReady"
    """The message has the names."""
    INTERNAL_ERROR: Final = "InternalError"
    """Status Unknown."""


class DPUNodeCondition:
    """`status.conditions` of a DPUNode (docs/dpf/conditions.md#dpunode-conditions)."""

    READY: Final = READY
    """No node effect and no reboot is in progress; independent of the DPUs. The reason is also Ready if False."""
    REBOOT_IN_PROGRESS: Final = "DPUNodeRebootInProgress"
    """True while an external or scripted reboot is required; absent while the host has no DPUs."""
    NODE_EFFECT_IN_PROGRESS: Final = "DPUNodeNodeEffectInProgress"
    """True from the start of a node effect, hold included; removed with the last DPUNodeMaintenance."""
    NEED_HOST_AGENT_UPGRADE: Final = "NeedHostAgentUpgrade"
    """True: an administrator must upgrade the host agent. Never with Redfish."""
    OOB_BRIDGE_CONFIGURED: Final = "OOBBridgeConfigured"
    """Host agent only."""
    RSHIM_AVAILABLE: Final = "RshimAvailable"
    """Host agent only."""
    INVALID_DPU_DETAILS: Final = "InvalidDPUDetails"
    """Defined by DPF; no writer is known."""
    DPU_UPDATE_IN_PROGRESS: Final = "DPUUpdateInProgress"
    """Defined by DPF; no writer is known."""


class DPUNodeReason:
    """Reasons in `status.conditions` of a DPUNode (docs/dpf/conditions.md#dpunode-conditions)."""

    READY: Final = READY
    """Of Ready, for True and False."""
    WAIT_FOR_EXTERNAL_REBOOT: Final = "WaitForExternalReboot"
    """DPUNodeRebootInProgress True: an external reboot of the host is required, then removal of the annotation."""
    REBOOT_IN_PROGRESS: Final = "DPUNodeRebootInProgress"
    """DPUNodeRebootInProgress True at the start; False when the reboot has completed."""
    NODE_EFFECT_IN_PROGRESS: Final = "NodeEffectInProgress"
    """DPUNodeNodeEffectInProgress True."""


class DPUDeviceCondition:
    """`status.conditions` of a DPUDevice, in the order of progression (docs/dpf/conditions.md#dpudevice-conditions)."""

    NODE_ATTACHED: Final = "NodeAttached"
    """A DPUNode lists it; never reset."""
    INITIALIZED: Final = "Initialized"
    """The BMC accepts the credentials, and its firmware is new enough."""
    RESETTING_BMC: Final = "ResettingBMC"
    """True while the BMC is reset to its factory state."""
    DISCOVERED: Final = "Discovered"
    """The serial number of the hardware matches the spec."""
    READY: Final = READY
    ERROR: Final = "Error"
    """True: its spec is incomplete, for instance without the address of the BMC."""


class DPUDeviceReason:
    """Reasons of Initialized of a DPUDevice; most are replaced by Error at once.

    Source: docs/dpf/discovery.md#lost-reasons.
    """

    MISSING_BMC_IP: Final = "MissingBMCIP"
    FAILED_TO_INITIALIZE_PASSWORD: Final = "FailedToInitializePassword"  # noqa: S105  a reason
    FAILED_TO_CHECK_BMC_FW: Final = "FailedToCheckBMCFW"
    FAIL_TO_CHECK_PROGRESS: Final = "FailToCheckProgress"
    FAIL_TO_RESET_BMC: Final = "FailToResetBMC"
    FAILED_TO_OPEN_BMC_FIRMWARE: Final = "FailedToOpenBMCFirmware"
    FAIL_TO_UPDATE_BMC_FW: Final = "FailToUpdateBMCFW"
    FAILED_TO_SET_UP_MTLS: Final = "FailedToSetUpMTLS"
    FAIL_TO_INSTALL: Final = "FailToInstall"
    """Written with status True, although the update of the firmware of the BMC failed."""


class DPUNodeMaintenanceCondition:
    """`status.conditions` of a DPUNodeMaintenance (docs/dpf/conditions.md#maintenance-conditions)."""

    NODE_EFFECT_APPLIED: Final = "NodeEffectApplied"
    """Never reset after it was True: a released hold cannot be set again."""
    NODE_EFFECT_REMOVED: Final = "NodeEffectRemoved"
    """Defined by DPF; no writer is known."""


class DPUNodeMaintenanceReason:
    """Reasons of NodeEffectApplied of a DPUNodeMaintenance (docs/dpf/conditions.md#maintenance-conditions)."""

    SUCCESS: Final = CommonReason.SUCCESS
    """True."""
    PENDING: Final = CommonReason.PENDING
    """The limit of unavailable hosts is reached."""
    NODE_EFFECT_SYNC_IN_PROGRESS: Final = "NodeEffectSyncInProgress"
    """Waits for sibling DPUs to join."""
    NODE_EFFECT_IS_PROCESSING: Final = "NodeEffectIsProcessing"
    """The node effect is being applied; a hold waits for its release."""
    ERROR: Final = CommonReason.ERROR
    """For instance an annotation whose value is not a truth value."""


class DPUSetCondition:
    """`status.conditions` of a DPUSet; reasons are CommonReason's (docs/dpf/conditions.md#deployment-conditions)."""

    READY: Final = READY
    PREREQS_RECONCILED: Final = "DPUSetPrereqsReconciled"
    """False with reason Error for a node effect that the install interface does not support.

    Source: docs/dpf/hold.md#node-effects.
    """


class DPUDeploymentCondition:
    """`status.conditions` of a DPUDeployment; reasons are CommonReason's.

    Each has an observedGeneration, and is outdated while that is lower than the generation of the object.

    Source: docs/dpf/conditions.md#deployment-conditions.
    """

    READY: Final = READY
    """The summary of the others."""
    PREREQUISITES_READY: Final = "PrerequisitesReady"
    """The BFB is Ready, and flavor, templates and configurations exist and are consistent."""
    RESOURCE_FITTING_READY: Final = "ResourceFittingReady"
    """The services fit on the DPUs."""
    VERSION_MATCHING_READY: Final = "VersionMatchingReady"
    """The services support the versions on the DPUs."""
    DPU_SETS_RECONCILED: Final = "DPUSetsReconciled"
    """The DPUSets are created and up to date."""
    DPU_SETS_READY: Final = "DPUSetsReady"
    """Their DPUs are Ready; also True if there are none."""
    DPU_SERVICES_RECONCILED: Final = "DPUServicesReconciled"
    DPU_SERVICES_READY: Final = "DPUServicesReady"
    DPU_SERVICE_CHAINS_RECONCILED: Final = "DPUServiceChainsReconciled"
    DPU_SERVICE_CHAINS_READY: Final = "DPUServiceChainsReady"
    DPU_SERVICE_INTERFACES_RECONCILED: Final = "DPUServiceInterfacesReconciled"
    DPU_SERVICE_INTERFACES_READY: Final = "DPUServiceInterfacesReady"


class DPUServiceCondition:
    """`status.conditions` of a DPUService; reasons are CommonReason's.

    Source: docs/dpf/conditions.md#deployment-conditions.
    """

    READY: Final = READY
    APPLICATION_PREREQS_RECONCILED: Final = "ApplicationPrereqsReconciled"
    APPLICATIONS_RECONCILED: Final = "ApplicationsReconciled"
    CONFIG_PORTS_RECONCILED: Final = "ConfigPortsReconciled"
    APPLICATIONS_READY: Final = "ApplicationsReady"
