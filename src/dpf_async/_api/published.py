"""Reads the schemas that the API server publishes: OpenAPI v3, which every authenticated client may read.

CustomResourceDefinitions contain the same schemas, but reading them takes a ClusterRole that workers do not have.
Source: Kubernetes' "The Kubernetes API", OpenAPI V3; ClusterRole system:discovery.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from dpf_async._api.codec import UNREADABLE
from dpf_async._api.resource import NOT_JSON, retry_throttled
from dpf_async._api.transport import is_json
from dpf_async.errors import ConnectionFailed, DecodeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dpf_async._api.transport import Answer, Transport

T = TypeVar("T")
JSONSchema = dict[str, Any]  # Any: the values of a JSON schema's keywords

_KIND: Final = "x-kubernetes-group-version-kind"


class _Components(msgspec.Struct):
    schemas: dict[str, JSONSchema] = {}


class _Document(msgspec.Struct):
    components: _Components = msgspec.field(default_factory=_Components)


class _Version(msgspec.Struct, rename="camel"):
    version: str


class _Group(msgspec.Struct):
    name: str
    versions: list[_Version] = []


class _Groups(msgspec.Struct):
    groups: list[_Group] = []


async def versions_served(transport: Transport) -> Mapping[str, tuple[str, ...]]:
    """The served versions of every API group, such as {"svc.dpu.nvidia.com": ("v1alpha1",)}.

    Raises:
        APIError, ConnectionFailed, DecodeError: they could not be read.
    """
    answer = await _read(transport, "/apis", "the API groups")
    groups = _decode(answer.body, _Groups, "the API groups").groups
    return {group.name: tuple(each.version for each in group.versions) for group in groups}


async def schemas_published(transport: Transport, group: str, version: str) -> Mapping[str, JSONSchema]:
    """The schema of every kind in one served version of an API group, by kind.

    Raises:
        NotFound: the server does not publish OpenAPI v3, or does not publish it for this version yet.
        APIError, ConnectionFailed, DecodeError: they could not be read.
    """
    target = f"the OpenAPI document of {group}/{version}"
    answer = await _read(transport, f"/openapi/v3/apis/{group}/{version}", target)
    schemas = _decode(answer.body, _Document, target).components.schemas
    return {
        gvk["kind"]: schema
        for schema in schemas.values()
        for gvk in schema.get(_KIND, ())
        if (gvk.get("group"), gvk.get("version")) == (group, version)
    }


async def _read(transport: Transport, path: str, target: str) -> Answer:
    async def call() -> Answer:
        answer = await transport.request("GET", path)
        if answer.status >= 300:
            raise transport.refusal(
                answer.status, answer.headers, answer.body, method="GET", path=path, target=target
            )
        if not is_json(answer.headers):
            raise ConnectionFailed(f"GET {path}: {NOT_JSON}")
        return answer

    return await retry_throttled(call)


def _decode(body: bytes, into: type[T], target: str) -> T:
    try:
        return msgspec.json.decode(body, type=into)
    except UNREADABLE as error:
        raise DecodeError(f"{target} cannot be read: {error}") from error
