"""Values that describe the hardware at one moment, as the operator reads them; `hardware` computes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

NEVER: Final = math.inf
"""Seconds until something that will not happen without an action."""

DPU_MODE: Final = "dpu"
NIC_MODE: Final = "nic"


@dataclass(frozen=True, slots=True)
class Work:
    """The state of an activity that takes time.

    Attributes:
        left: seconds until it is done; NEVER if it cannot complete.
        failure: why it failed; empty if it did not.
    """

    left: float = 0.0
    failure: str = ""

    @property
    def done(self) -> bool:
        """Whether it completed without a failure."""
        return self.left <= 0 and not self.failure


@dataclass(frozen=True, slots=True)
class Found:
    """The data that a BMC reports about its DPU."""

    serial_number: str
    opn: str
    pf0_mac: str
    dpu_type: str
    mode: str
    secure_boot: bool


@dataclass(slots=True)
class ClusterNode:
    """A DPU as a Node of its DPUCluster.

    Attributes:
        uid: of the DPU that created it; another DPU of that name joins again.
        labels: as last written.
        ready: condition Ready of the Node.
    """

    uid: str
    labels: dict[str, str]
    ready: bool = True


@dataclass(frozen=True, slots=True)
class HardwareView:
    """The state of the hardware of one DPU.

    Attributes:
        worked: seconds since the DPU entered its present phase.
        percent: of the image transferred.
        transferred: the image is transferred.
        install_failure: why the installation failed; empty if it did not.
        os_running: the OS runs.
        os_reported: the BMC reports that the OS runs; never where the agent reports without delay.
        next_step: seconds until the next change of the installation.
        mode: DPU_MODE or NIC_MODE.
        secure_boot: whether Secure Boot is enabled.
        node: its Node in the DPUCluster.
        address: of that Node.
        remains: objects of the DPU remain in the DPUCluster.
        unreachable: the DPUCluster does not respond.
        newer: the DPU goes through a phase of a later release.
    """

    worked: float = 0.0
    percent: int = 0
    transferred: bool = True
    install_failure: str = ""
    os_running: bool = True
    os_reported: bool = True
    next_step: float = NEVER
    mode: str = DPU_MODE
    secure_boot: bool = True
    node: ClusterNode | None = None
    address: str = ""
    remains: bool = False
    unreachable: bool = False
    newer: bool = False


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a service on a DPU."""

    name: str
    service: str
    ready: bool
