"""How far a DPUDevice is: attached to a node, initialised, discovered, ready. Pure.

A look goes as far as it can and writes once, at its end: so a device gets the label of its node, without which it has
no DPU, together with everything else that was found out (dpf-facts 4, 14.5).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from dpf_async.models import DPUDevice, DPUDeviceStatus, SecureBoot, known
from dpf_async.sim.operator.hardware.hardware_view import Found, Work
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.patches import changed

_Condition = known.DPUDeviceCondition
_ERROR: Final = known.CommonReason.ERROR

_PSID: Final = re.compile("MT_?[A-Z0-9]+")
"""The schema's form of a PSID; the operator puts the serial number there (dpf-facts 4)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known when a device is looked at.

    Attributes:
        node: name of the DPUNode that lists it.
        work: getting the BMC ready.
        found: what the BMC says.
    """

    node: str | None
    work: Work
    found: Found


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done about a device.

    Attributes:
        status: to be written.
        labels: to be put on before.
        left: seconds until something will have happened; infinite if only news lead on.
    """

    status: DPUDeviceStatus
    labels: Mapping[str, str] = field(default_factory=dict)
    left: float = math.inf


def look(device: DPUDevice, seen: Seen, *, now: str) -> Step:
    """Attach, take the address over, log in, read what the BMC knows, compare serial numbers."""
    spec, status, found = device.spec, device.status, seen.found
    labels: dict[str, str] = {}
    if not conditions.is_true(status.conditions, _Condition.NODE_ATTACHED):
        # Once attached, a device is never looked at in this respect again.
        if seen.node is None:
            return Step(
                _false(status, _Condition.NODE_ATTACHED, conditions.PENDING, "No DPUNode found", now=now)
            )
        labels[known.DPUNODE_NAME_LABEL] = seen.node
        status = _true(status, _Condition.NODE_ATTACHED, now=now)
    if spec.bmc_ip is None:
        return Step(_without_address(status, now=now), labels)
    status = changed(status, bmc_ip=spec.bmc_ip, bmc_port=spec.bmc_port)
    if not conditions.is_true(status.conditions, _Condition.INITIALIZED):
        if seen.work.failure:
            # The specific reason is lost: the caller writes Error over it in the same look (dpf-facts 4).
            return Step(_false(status, _Condition.INITIALIZED, _ERROR, seen.work.failure, now=now), labels)
        if not seen.work.done:
            return Step(device.status, left=seen.work.left)
        status = _true(status, _Condition.INITIALIZED, now=now)
    if found.serial_number != spec.serial_number:
        message = f"serial number mismatch, expected: {spec.serial_number}, actual: {found.serial_number}"
        return Step(_false(status, _Condition.DISCOVERED, _ERROR, message, now=now), labels)
    labels |= {known.BMC_IP_LABEL: spec.bmc_ip, known.OPN_LABEL: found.opn}
    status = changed(
        status,
        dpu_type=found.dpu_type,
        dpu_mode=found.mode,
        serial_number=found.serial_number,
        opn=found.opn,
        pf0_mac=found.pf0_mac,
        secure_boot=SecureBoot(enabled=found.secure_boot),
    )
    if _PSID.fullmatch(found.serial_number):
        # The serial number in the place of the PSID is DPF's own mistake. One that is no PSID would be refused.
        labels[known.PSID_LABEL] = found.serial_number
        status = changed(status, psid=found.serial_number)
    if conditions.is_true(status.conditions, _Condition.ERROR):
        status = _false(status, _Condition.ERROR, conditions.SUCCESS, "", now=now)
    status = _true(status, _Condition.DISCOVERED, now=now)
    return Step(_true(status, _Condition.READY, now=now), labels)


def _without_address(status: DPUDeviceStatus, *, now: str) -> DPUDeviceStatus:
    message = "BMCIP is required but not set"
    error = conditions.said(status.conditions, _Condition.ERROR, conditions.TRUE, _ERROR, message, now=now)
    return _false(changed(status, conditions=error), _Condition.READY, _ERROR, message, now=now)


def _true(status: DPUDeviceStatus, type_: str, *, now: str) -> DPUDeviceStatus:
    said = conditions.said(status.conditions, type_, conditions.TRUE, conditions.SUCCESS, now=now)
    return changed(status, conditions=said)


def _false(status: DPUDeviceStatus, type_: str, reason: str, message: str, *, now: str) -> DPUDeviceStatus:
    said = conditions.said(status.conditions, type_, conditions.FALSE, reason, message, now=now)
    return changed(status, conditions=said)
