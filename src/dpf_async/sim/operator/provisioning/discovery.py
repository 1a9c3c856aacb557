"""The steps of a DPUDevice: attached to a node, initialized, discovered, ready. Pure.

A reconcile completes as many steps as possible and writes once at its end: the label of the node, without which no DPU
is created, is written together with the discovered data (docs/dpf/discovery.md#registration-order,
docs/dpf/discovery.md#device-steps).
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
"""The pattern of a PSID in the schema; the operator writes the serial number there (docs/dpf/discovery.md#psid)."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The observed state that a step of a device depends on.

    Attributes:
        node: name of the DPUNode that lists the device.
        work: initialization of the BMC.
        found: data that the BMC reports.
    """

    node: str | None
    work: Work
    found: Found


@dataclass(frozen=True, slots=True)
class Step:
    """The writes for a device.

    Attributes:
        status: to write.
        labels: to write before the status.
        left: seconds until the state will have changed; infinite if only an event can change it.
    """

    status: DPUDeviceStatus
    labels: Mapping[str, str] = field(default_factory=dict)
    left: float = math.inf


def next_step(device: DPUDevice, observed: Observed, *, now: str) -> Step:
    """Attach the device, copy the address, log in, read the data of the BMC, compare serial numbers."""
    spec, status, found = device.spec, device.status, observed.found
    labels: dict[str, str] = {}
    if not conditions.is_true(status.conditions, _Condition.NODE_ATTACHED):
        # DPF checks this only until the device is attached.
        if observed.node is None:
            return Step(
                _false(status, _Condition.NODE_ATTACHED, conditions.PENDING, "No DPUNode found", now=now)
            )
        labels[known.DPUNODE_NAME_LABEL] = observed.node
        status = _true(status, _Condition.NODE_ATTACHED, now=now)
    if spec.bmc_ip is None:
        return Step(_without_address(status, now=now), labels)
    status = changed(status, bmc_ip=spec.bmc_ip, bmc_port=spec.bmc_port)
    if not conditions.is_true(status.conditions, _Condition.INITIALIZED):
        if observed.work.failure:
            # DPF overwrites the specific reason with Error in the same reconcile (docs/dpf/discovery.md#lost-reasons).
            return Step(
                _false(status, _Condition.INITIALIZED, _ERROR, observed.work.failure, now=now), labels
            )
        if not observed.work.done:
            return Step(device.status, left=observed.work.left)
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
        # DPF writes the serial number as PSID by mistake; the schema rejects one that does not match the pattern.
        labels[known.PSID_LABEL] = found.serial_number
        status = changed(status, psid=found.serial_number)
    if conditions.is_true(status.conditions, _Condition.ERROR):
        status = _false(status, _Condition.ERROR, conditions.SUCCESS, "", now=now)
    status = _true(status, _Condition.DISCOVERED, now=now)
    return Step(_true(status, _Condition.READY, now=now), labels)


def _without_address(status: DPUDeviceStatus, *, now: str) -> DPUDeviceStatus:
    message = "BMCIP is required but not set"
    error = conditions.with_condition(
        status.conditions, _Condition.ERROR, conditions.TRUE, _ERROR, message, now=now
    )
    return _false(changed(status, conditions=error), _Condition.READY, _ERROR, message, now=now)


def _true(status: DPUDeviceStatus, type_: str, *, now: str) -> DPUDeviceStatus:
    updated = conditions.with_condition(
        status.conditions, type_, conditions.TRUE, conditions.SUCCESS, now=now
    )
    return changed(status, conditions=updated)


def _false(status: DPUDeviceStatus, type_: str, reason: str, message: str, *, now: str) -> DPUDeviceStatus:
    updated = conditions.with_condition(status.conditions, type_, conditions.FALSE, reason, message, now=now)
    return changed(status, conditions=updated)
