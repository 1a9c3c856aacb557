"""Health: problems of DPUs, whether a host is usable, and the transitions between those states."""

from __future__ import annotations

from dpf_async._diagnostics.monitor import HealthPolicy
from dpf_async._readers.health_stream import HealthStream
from dpf_async._transitions.health import (
    CriticalServicesDown,
    DPUHealth,
    DPUNotReady,
    HealthProblem,
    HealthUnknown,
    KubeNodeNotReady,
    NodeHealth,
    NonCriticalServicesDown,
    NotReadyBecause,
    OperationalConditionFalse,
)
from dpf_async._transitions.health_transitions import (
    DPUHealthy,
    HealthTransition,
    NodeUnusable,
    NodeUsable,
    Recovered,
    StillUnhealthy,
)

__all__ = [
    "CriticalServicesDown",
    "DPUHealth",
    "DPUHealthy",
    "DPUNotReady",
    "HealthPolicy",
    "HealthProblem",
    "HealthStream",
    "HealthTransition",
    "HealthUnknown",
    "KubeNodeNotReady",
    "NodeHealth",
    "NodeUnusable",
    "NodeUsable",
    "NonCriticalServicesDown",
    "NotReadyBecause",
    "OperationalConditionFalse",
    "Recovered",
    "StillUnhealthy",
]
