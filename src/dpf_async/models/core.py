"""Kubernetes' own kinds that this library uses: Secret, ConfigMap, Lease.

Source of the schemas: Kubernetes core/v1 and coordination.k8s.io/v1.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from typing import Annotated, ClassVar

from pydantic import Field

from dpf_async.models.constraints import Bool, Constraint, Int32, at_least, format_of
from dpf_async.models.meta import Resource
from dpf_async.models.wire import MapOf, StringMap, Wire

__all__ = ["ConfigMap", "Lease", "LeaseSpec", "Secret"]


def _is_base64(data: str) -> bool:
    try:
        b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


_Base64 = Annotated[str, Constraint({}, "must be base64", _is_base64)]
_MicroTime = Annotated[str, format_of("date-time")]


class Secret(Resource):
    """A Secret. Its values appear in no repr and in no message."""

    GROUP: ClassVar[str] = ""
    VERSION: ClassVar[str] = "v1"
    KIND: ClassVar[str] = "Secret"
    PLURAL: ClassVar[str] = "secrets"
    HAS_STATUS: ClassVar[bool] = False

    type: str = ""
    immutable: Bool | None = None
    data: MapOf[_Base64] = Field(default_factory=dict, repr=False)
    """Values in base64."""
    string_data: StringMap = Field(default_factory=dict, repr=False)
    """Values as text; the server moves them into data and never sends them."""

    def value(self, key: str) -> bytes | None:
        """The decoded value of a key of data; None if the key is absent or the value is not base64."""
        encoded = self.data.get(key)
        if encoded is None or not _is_base64(encoded):
            return None
        return b64decode(encoded)

    @staticmethod
    def encoded(value: bytes) -> str:
        """A value in the encoding of data."""
        return b64encode(value).decode("ascii")


class ConfigMap(Resource):
    """A ConfigMap. Its values appear in no repr: templates of bf.cfg contain passwords."""

    GROUP: ClassVar[str] = ""
    VERSION: ClassVar[str] = "v1"
    KIND: ClassVar[str] = "ConfigMap"
    PLURAL: ClassVar[str] = "configmaps"
    HAS_STATUS: ClassVar[bool] = False

    immutable: Bool | None = None
    data: StringMap = Field(default_factory=dict, repr=False)
    binary_data: MapOf[_Base64] = Field(default_factory=dict, repr=False)


class LeaseSpec(Wire):
    """The holder of the lease, and its times."""

    holder_identity: str | None = None
    lease_duration_seconds: Annotated[Int32, at_least(1)] | None = None
    acquire_time: _MicroTime | None = None
    renew_time: _MicroTime | None = None
    lease_transitions: Annotated[Int32, at_least(0)] | None = None
    """Number of changes of the holder."""


class Lease(Resource):
    """A lease: has one holder at a time, until the holder stops renewing it."""

    GROUP: ClassVar[str] = "coordination.k8s.io"
    VERSION: ClassVar[str] = "v1"
    KIND: ClassVar[str] = "Lease"
    PLURAL: ClassVar[str] = "leases"
    HAS_STATUS: ClassVar[bool] = False

    spec: LeaseSpec = Field(default_factory=LeaseSpec)
