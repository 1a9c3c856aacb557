"""Access reviews: request whether this client has a permission (SelfSubjectAccessReview, which stores nothing).

Source: Kubernetes authorization.k8s.io/v1. Every authenticated client may create one without a Role (ClusterRole
system:basic-user).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from dpf_async._api.codec import UNREADABLE
from dpf_async._api.resource import NOT_JSON, retry_throttled
from dpf_async._api.text import printable
from dpf_async._api.transport import is_json
from dpf_async.errors import ConnectionFailed, DecodeError

if TYPE_CHECKING:
    from dpf_async._api.transport import Answer, Transport

_PATH: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True, order=True)
class Permission:
    """One verb on one resource, as a rule of a Role has it.

    Attributes:
        group: API group; empty for Kubernetes' own core.
        resource: as in a URL: "dpus".
        verb: as RBAC names it: "get", "list", "watch", "create", "update", "patch", "delete".
        name: of the only object that it applies to (resourceNames); empty for any object.
    """

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {resource}" + (f" {self.name}" if self.name else "")


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """The result of an access review for one permission.

    Attributes:
        allowed: this client has the permission.
        reason: why it does not, if the server reports it; for instance a binding to a Role that does not exist.
    """

    allowed: bool
    reason: str


class _Status(msgspec.Struct, rename="camel"):
    allowed: bool
    reason: str = ""
    evaluation_error: str = ""


class _Review(msgspec.Struct):
    status: _Status


async def review(transport: Transport, permission: Permission, namespace: str) -> ReviewResult:
    """Request whether this client has a permission in a namespace; repeat the request if the server throttles it.

    Raises:
        Unauthorized: the server does not accept the credentials.
        Forbidden: this client may not create access reviews.
        APIError, ConnectionFailed, DecodeError: the review failed.
    """
    attributes = {
        "namespace": namespace,
        "verb": permission.verb,
        "group": permission.group,
        "resource": permission.resource,
        "name": permission.name,
    }
    body = msgspec.json.encode(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
    )
    target = f"SelfSubjectAccessReview of {permission} in namespace {namespace}"

    async def call() -> Answer:
        answer = await transport.request("POST", _PATH, body=body)
        if answer.status >= 300:
            raise transport.refusal(
                answer.status, answer.headers, answer.body, method="POST", path=_PATH, target=target
            )
        if not is_json(answer.headers):
            raise ConnectionFailed(f"POST {target}: {NOT_JSON}")
        return answer

    answer = await retry_throttled(call)
    try:
        status = msgspec.json.decode(answer.body, type=_Review).status
    except UNREADABLE as error:
        raise DecodeError(f"the answer to POST {target} cannot be read: {error}") from error
    return ReviewResult(status.allowed, printable(status.reason or status.evaluation_error))
