"""The phases of DPF, as open enumerations: a phase of another release is a valid value.

A phase is a `str`: it equals its text, has the same hash, and works in `case DPUPhase.READY:`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

__all__ = ["BFBPhase", "DPUClusterPhase", "DPUPhase", "OpenEnum"]

_EnumT = TypeVar("_EnumT")


class _Value:
    """Declares a named value in the body of an OpenEnum; the class attribute becomes an instance of that class.

    Args:
        text: the value on the wire.
        releases: the releases that have it, if v26.4 does not.
    """

    def __init__(self, text: str, *, releases: str = "") -> None:
        self.text = text
        self.releases = releases

    if TYPE_CHECKING:
        # For type checkers: DPUPhase.READY is a DPUPhase.
        def __get__(self, instance: object, owner: type[_EnumT]) -> _EnumT: ...


class OpenEnum(str):
    """Text with named values. Any text can be an instance; `known` is True for values of a known release."""

    __slots__ = ()

    VALUES: ClassVar[tuple[str, ...]] = ()
    """The values of DPF v26.4, in the order of its schema."""

    OTHER_RELEASES: ClassVar[dict[str, str]] = {}
    """The values of other releases: value to releases."""

    def __init_subclass__(cls) -> None:
        values = {name: value for name, value in vars(cls).items() if isinstance(value, _Value)}
        cls.VALUES = tuple(value.text for value in values.values() if not value.releases)
        cls.OTHER_RELEASES = {value.text: value.releases for value in values.values() if value.releases}
        for name, value in values.items():
            setattr(cls, name, cls(value.text))

    @property
    def known(self) -> bool:
        """Whether this is a value of any release that this library supports."""
        return self in self.VALUES or self in self.OTHER_RELEASES

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        named = {value: cls(value) for value in (*cls.VALUES, *cls.OTHER_RELEASES)}

        def read(text: str) -> OpenEnum:
            return named.get(text) or cls(text)

        return core_schema.no_info_after_validator_function(read, core_schema.str_schema())


class DPUPhase(OpenEnum):
    """`status.phase` of a DPU. The actions and the end of each phase: docs/dpf/phases.md#phase-steps.

    The values are in the order of the schema, which is not the order of progression (docs/dpf/phases.md#phase-order).
    """

    INITIALIZING = _Value("Initializing")
    """Reads its DPUNode and DPUDevice, and assigns a DPUCluster. The default of the CRD."""
    NODE_EFFECT = _Value("Node Effect")
    """Waits until the node effect permits disruption of the host: a hold, a drain or another effect."""
    PENDING = _Value("Pending")
    """Waits for the BFB, the DPUFlavor, and the limit of parallel installations."""
    CONFIG_FW_PARAMETERS = _Value("Config FW Parameters")
    """Sets the firmware parameters of the DPUFlavor."""
    PREPARE_BFB = _Value("Prepare BFB")
    """Writes the configuration that is installed together with the BFB."""
    OS_INSTALLING = _Value("OS Installing")
    """Transfers the BFB and boots it. DPF ignores deletion until it has succeeded or timed out."""
    DPU_CONFIG = _Value("DPU Config")
    """Waits until the agent on the DPU reports which reboot is required. New in v26.4."""
    DPU_CLUSTER_CONFIG = _Value("DPU Cluster Config")
    """Waits until the DPU is a ready Node of its DPUCluster."""
    HOST_NETWORK_CONFIGURATION = _Value("Host Network Configuration")
    """Configures the network of the host. Not entered when installing by Redfish."""
    READY = _Value("Ready")
    """Provisioned. Remains when services or the Node fail; the conditions show such failures.

    Source: docs/dpf/health.md#leaving-ready.
    """
    ERROR = _Value("Error")
    """Failed; only deletion ends this phase. The cause is in the condition of the previous phase."""
    DELETING = _Value("Deleting")
    """Deletes the objects of the DPU."""
    REBOOTING = _Value("Rebooting")
    """Waits for a reboot of the host, by the reboot method of the DPUNode."""
    PERFORM_ARM_FORCE_RESTART = _Value("Perform ARM Force Restart")
    """Restarts the cores of the DPU to set Secure Boot. Only when installing by Redfish."""
    INITIALIZE_INTERFACE = _Value("Initialize Interface")
    """Prepares the installation: DPU mode, Secure Boot, capacity."""
    NODE_EFFECT_REMOVAL = _Value("Node Effect Removal")
    """Waits until the DPUNodeMaintenance is deleted: every sibling DPU and service has to release it."""
    CHECKING_HOST_REBOOT_REQUIRED = _Value("Checking Host Reboot Required")
    """In the enumeration of v26.4, but no controller of v26.4 writes it (docs/dpf/phases.md#phase-values)."""

    DMS_DEPLOYMENT = _Value("DMS Deployment", releases="v24.10, v25.1")
    UPDATE_FIRMWARE = _Value("Update Firmware", releases="after v26.4")
    HOST_OS_INIT_RELEASE = _Value("Host OS Init Release", releases="after v26.4")
    SERVICE_READINESS = _Value("Service Readiness", releases="after v26.4")


class BFBPhase(OpenEnum):
    """`status.phase` of a BFB (docs/dpf/deployments.md#bfb)."""

    INITIALIZING = _Value("Initializing")
    """The default of the CRD."""
    DOWNLOADING = _Value("Downloading")
    READY = _Value("Ready")
    """Downloaded: DPUs can be installed with it."""
    DELETING = _Value("Deleting")
    ERROR = _Value("Error")


class DPUClusterPhase(OpenEnum):
    """`status.phase` of a DPUCluster. Source: DPF v26.4 dpuclusters CRD."""

    PENDING = _Value("Pending")
    """The default of the CRD."""
    CREATING = _Value("Creating")
    READY = _Value("Ready")
    NOT_READY = _Value("NotReady")
    FAILED = _Value("Failed")
