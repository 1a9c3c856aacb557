"""The operational conditions of a DPU, which do not depend on its phase. Pure.

Source: docs/dpf/health.md#operational-conditions, docs/dpf/hold.md#removal, docs/dpf/timings.md#sample-values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from dpf_async.models import known
from dpf_async.sim.operator.hardware.hardware_view import Pod
from dpf_async.sim.operator.runtime import conditions
from dpf_async.sim.operator.runtime.conditions import Conditions

_Condition = known.OperationalCondition
_Reason = known.OperationalReason

_SUMMARY: Final = _Condition.OPERATIONAL_READY
_NOT_LISTED: Final = "the Pods of the DPUCluster cannot be listed"


def health(
    before: Conditions, pods: Iterable[Pod] | None, critical: Mapping[str, bool], *, now: str
) -> Conditions:
    """The operational conditions of a DPU.

    Args:
        before: the present conditions.
        pods: of all services on the DPU; None if they cannot be listed.
        critical: by service, whether it has the label of critical services.
        now: current time in RFC 3339.
    """
    present = None if pods is None else tuple(pods)
    updated = before or conditions.with_condition((), _SUMMARY, conditions.UNKNOWN, _Reason.UNKNOWN, now=now)
    updated = conditions.with_condition(
        updated,
        _Condition.NODE_PROBLEMS_READY,
        conditions.TRUE,
        _Reason.NO_PROBLEMS_DETECTED,
        "All node health checks passing (Ready=5)",
        now=now,
    )
    for type_, wanted, name in (
        (_Condition.CRITICAL_PODS_READY, True, "critical Pods"),
        (_Condition.NON_CRITICAL_PODS_READY, False, "Pods"),
    ):
        if present is None:
            updated = conditions.with_condition(
                updated, type_, conditions.UNKNOWN, _Reason.INTERNAL_ERROR, _NOT_LISTED, now=now
            )
            continue
        of_these = [pod for pod in present if critical.get(pod.service, False) is wanted]
        updated = _pods(updated, type_, of_these, name, now)
    for type_ in (_Condition.INTERFACES_READY, _Condition.CHAINS_READY):
        updated = conditions.with_condition(updated, type_, conditions.TRUE, _Reason.ALL_READY, now=now)
    return _summary(updated, now)


def _pods(updated: Conditions, type_: str, pods: list[Pod], name: str, now: str) -> Conditions:
    missing = [pod.name for pod in pods if not pod.ready]
    if not missing:
        message = f"All {name} are ready ({len(pods)} Pods)"
        return conditions.with_condition(
            updated, type_, conditions.TRUE, _Reason.ALL_PODS_READY, message, now=now
        )
    ready = len(pods) - len(missing)
    message = f"{name[0].upper()}{name[1:]} not ready ({ready}/{len(pods)} Pods): {', '.join(missing)}"
    return conditions.with_condition(
        updated, type_, conditions.FALSE, _Reason.PODS_NOT_READY, message, now=now
    )


def _summary(updated: Conditions, now: str) -> Conditions:
    missing = [one.type for one in updated if one.type != _SUMMARY and one.status == conditions.FALSE]
    unknown = [one.type for one in updated if one.type != _SUMMARY and one.status == conditions.UNKNOWN]
    if not missing and not unknown:
        message = "All operational conditions are ready"
        return conditions.with_condition(
            updated, _SUMMARY, conditions.TRUE, _Reason.ALL_READY, message, now=now
        )
    parts = (("Not ready", missing), ("Unknown", unknown))
    message = "; ".join(f"{word} conditions: {', '.join(types)}" for word, types in parts if types)
    if not missing:
        return conditions.with_condition(
            updated, _SUMMARY, conditions.UNKNOWN, _Reason.UNKNOWN, message, now=now
        )
    reason = _Reason.NOT_READY_AND_UNKNOWN if unknown else _Reason.NOT_READY
    return conditions.with_condition(updated, _SUMMARY, conditions.FALSE, reason, message, now=now)
