"""Faults of DPUDevices: why the operator does not report a device Ready."""

from __future__ import annotations

from typing import Final, NamedTuple

from dpf_async._api.codec import ObjectState
from dpf_async.models import DPUDevice, known


class DeviceFault(NamedTuple):
    """Why the operator cannot make a DPUDevice Ready, as its conditions report it. It keeps retrying.

    `type` is the condition that reports the fault, such as Initialized for a BMC that rejects the password, or
    Discovered for a device with another serial number.

    Source: docs/dpf/discovery.md#retries.
    """

    device: str
    type: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"DPUDevice {self.device}: {self.type} failed, {self.reason}: {self.message}"


def device_ready(state: ObjectState[DPUDevice]) -> bool:
    """Condition Ready is True: the operator found the device as registered and can use its BMC."""
    condition = state.condition(known.DPUDeviceCondition.READY)
    return condition is not None and condition.status == "True" and not state.terminating


def device_fault(state: ObjectState[DPUDevice]) -> DeviceFault | None:
    """The fault of a DPUDevice that is not Ready; None while its conditions are only pending."""
    if device_ready(state) or state.terminating:
        return None
    for type_, bad in _FAULTS:
        condition = state.condition(type_)
        if (
            condition is not None
            and condition.status == bad
            and condition.reason != known.CommonReason.PENDING
        ):
            return DeviceFault(state.name, type_, condition.reason or "", condition.message or "")
    return None


_FAULTS: Final = (
    (known.DPUDeviceCondition.INITIALIZED, "False"),
    (known.DPUDeviceCondition.DISCOVERED, "False"),
    (known.DPUDeviceCondition.ERROR, "True"),
    (known.DPUDeviceCondition.READY, "False"),
)
"""Conditions that report a fault, the most specific first, each with the status that reports it."""
