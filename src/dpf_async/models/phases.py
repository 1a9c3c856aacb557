"""The phases DPF writes, as open enumerations: a phase from another release is a value like any other.

A phase is a `str`: it equals its text, hashes like it, and works in `case DPUPhase.READY:`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

__all__ = ["BFBPhase", "DPUClusterPhase", "DPUPhase", "OpenEnum"]

_EnumT = TypeVar("_EnumT")


class _Value:
    """Names a value in the body of an OpenEnum; the class attribute becomes an instance of that class.

    Args:
        text: the value on the wire.
        releases: the releases that have it, if v26.4 does not.
    """

    def __init__(self, text: str, *, releases: str = "") -> None:
        self.text = text
        self.releases = releases

    if TYPE_CHECKING:
        # What a type checker sees: DPUPhase.READY is a DPUPhase.
        def __get__(self, instance: object, owner: type[_EnumT]) -> _EnumT: ...


class OpenEnum(str):
    """Text of which some values have names. Any text can be an instance; `known` says if it has one."""

    __slots__ = ()

    VALUES: ClassVar[tuple[str, ...]] = ()
    """What DPF v26.4 can write, in its schema's order."""

    OTHER_RELEASES: ClassVar[dict[str, str]] = {}
    """What other releases write: the value, and which releases."""

    def __init_subclass__(cls) -> None:
        values = {name: value for name, value in vars(cls).items() if isinstance(value, _Value)}
        cls.VALUES = tuple(value.text for value in values.values() if not value.releases)
        cls.OTHER_RELEASES = {value.text: value.releases for value in values.values() if value.releases}
        for name, value in values.items():
            setattr(cls, name, cls(value.text))

    @property
    def known(self) -> bool:
        """Whether any release this library knows of writes this value."""
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
    """`status.phase` of a DPU. What each phase does, and how it ends: dpf-facts 2.3.

    The values are in the order of the schema, which is not the order of progression (dpf-facts 2.2).
    """

    INITIALIZING = _Value("Initializing")
    """Finding its DPUNode and DPUDevice, being given a DPUCluster. The CRD's default, before any controller."""
    NODE_EFFECT = _Value("Node Effect")
    """Waiting until the host may be disturbed: a hold, a drain, or whatever the node effect says."""
    PENDING = _Value("Pending")
    """Waiting for the BFB, the DPUFlavor and a place among the parallel installations."""
    CONFIG_FW_PARAMETERS = _Value("Config FW Parameters")
    """Setting the firmware parameters of the DPUFlavor."""
    PREPARE_BFB = _Value("Prepare BFB")
    """Writing the configuration that is installed together with the BFB."""
    OS_INSTALLING = _Value("OS Installing")
    """Sending the BFB and booting it. Refuses deletion until it is done or has timed out."""
    DPU_CONFIG = _Value("DPU Config")
    """Waiting for the agent on the DPU to say which reboot it needs. New in v26.4."""
    DPU_CLUSTER_CONFIG = _Value("DPU Cluster Config")
    """Waiting for the DPU to be a ready Node of its DPUCluster."""
    HOST_NETWORK_CONFIGURATION = _Value("Host Network Configuration")
    """Setting up the host's network. Never entered when installing by Redfish."""
    READY = _Value("Ready")
    """Provisioned. Stays so when services or the Node fail; that shows in the conditions (dpf-facts 11)."""
    ERROR = _Value("Error")
    """Failed for good: only deletion leads out. The cause is in the condition of the phase before."""
    DELETING = _Value("Deleting")
    """Being taken apart."""
    REBOOTING = _Value("Rebooting")
    """Waiting for a reboot of the host; whose, depends on the DPUNode's reboot method."""
    PERFORM_ARM_FORCE_RESTART = _Value("Perform ARM Force Restart")
    """Restarting the DPU's own cores to set Secure Boot. Only when installing by Redfish."""
    INITIALIZE_INTERFACE = _Value("Initialize Interface")
    """Making the way of installing ready: DPU mode, Secure Boot, capacity."""
    NODE_EFFECT_REMOVAL = _Value("Node Effect Removal")
    """Waiting until the DPUNodeMaintenance is gone: every sibling and every service must be done."""
    CHECKING_HOST_REBOOT_REQUIRED = _Value("Checking Host Reboot Required")
    """In v26.4's enumeration, but no v26.4 controller writes it (dpf-facts 2.1)."""

    DMS_DEPLOYMENT = _Value("DMS Deployment", releases="v24.10, v25.1")
    UPDATE_FIRMWARE = _Value("Update Firmware", releases="after v26.4")
    HOST_OS_INIT_RELEASE = _Value("Host OS Init Release", releases="after v26.4")
    SERVICE_READINESS = _Value("Service Readiness", releases="after v26.4")


class BFBPhase(OpenEnum):
    """`status.phase` of a BFB (dpf-facts 7.3)."""

    INITIALIZING = _Value("Initializing")
    """The CRD's default, before any controller."""
    DOWNLOADING = _Value("Downloading")
    READY = _Value("Ready")
    """Downloaded: DPUs can be installed from it."""
    DELETING = _Value("Deleting")
    ERROR = _Value("Error")


class DPUClusterPhase(OpenEnum):
    """`status.phase` of a DPUCluster. Source: DPF v26.4 dpuclusters CRD."""

    PENDING = _Value("Pending")
    """The CRD's default, before any controller."""
    CREATING = _Value("Creating")
    READY = _Value("Ready")
    NOT_READY = _Value("NotReady")
    FAILED = _Value("Failed")
