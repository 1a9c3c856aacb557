"""DPUs as lightkube declares built-in kinds, with manually written types: the fastest way to use lightkube."""

# No `from __future__ import annotations`: lightkube reads the annotations of these classes at run time.

from typing import Any

from lightkube.core import resource
from lightkube.core.dictmixin import DictMixin
from lightkube.models import meta_v1

from benchmarks import dpus


class Status(DictMixin):
    phase: str | None = None
    conditions: list[meta_v1.Condition] | None = None
    operationalConditions: list[meta_v1.Condition] | None = None
    observedGeneration: int | None = None


class Model(DictMixin):
    apiVersion: str | None = None
    kind: str | None = None
    metadata: meta_v1.ObjectMeta | None = None
    spec: dict[str, Any] | None = None
    status: Status | None = None


class TypedDPU(resource.NamespacedResourceG, Model):
    _api_info = resource.ApiInfo(
        resource.ResourceDef(dpus.GROUP, dpus.VERSION, dpus.KIND), dpus.PLURAL, ["list", "watch"]
    )
