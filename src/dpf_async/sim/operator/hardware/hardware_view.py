"""What the operator can see of hardware: values, each as it is at one moment. Where they come from: `hardware`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

NEVER: Final = math.inf
"""Seconds until something that will not happen by itself."""

DPU_MODE: Final = "dpu"
NIC_MODE: Final = "nic"


@dataclass(frozen=True, slots=True)
class Work:
    """Something that takes time.

    Attributes:
        left: seconds until it is done; NEVER if it will not be by itself.
        failure: what went wrong, in words; empty if nothing did.
    """

    left: float = 0.0
    failure: str = ""

    @property
    def done(self) -> bool:
        """It is over, and went well."""
        return self.left <= 0 and not self.failure


@dataclass(frozen=True, slots=True)
class Found:
    """What a BMC says about its DPU."""

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
        uid: of the DPU it was made by; another DPU of that name joins anew.
        labels: as they were last put on.
    """

    uid: str
    labels: dict[str, str]
    ready: bool = True


@dataclass(frozen=True, slots=True)
class Board:
    """What can be seen of one DPU's hardware.

    Attributes:
        worked: seconds for which it has worked on the DPU's present phase.
        percent: of the image that has arrived.
        os_running: the OS is up.
        os_reported: the BMC says so. It never does before an agent that reports at once.
        next_step: seconds until something about the installation changes.
        node: its Node in the DPUCluster.
        address: of that Node.
        remains: something of it is left in the DPUCluster.
        unreachable: the DPUCluster does not answer.
        newer: it takes a road that only later releases know.
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
