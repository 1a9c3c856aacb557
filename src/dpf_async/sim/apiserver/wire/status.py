"""Status objects: failures with the codes, reasons and messages of Kubernetes.

Source: apimachinery pkg/api/errors; clients parse some of these messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dpf_async.sim.apiserver.wire.codec import Obj
from dpf_async.sim.apiserver.wire.field_errors import FieldError


class GroupResource(NamedTuple):
    """A resource (or kind) and its group, such as dpus.provisioning.dpu.nvidia.com."""

    group: str
    resource: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


class StatusError(Exception):
    """A failure of a request, answered with a Status object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Obj | None = None,
        continue_token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.continue_token = continue_token
        self.headers: dict[str, str] = headers or {}
        self.warnings: list[str] = []
        """Warnings collected before the failure; sent with it."""
        retry_after = (details or {}).get("retryAfterSeconds")
        if retry_after:
            self.headers.setdefault("Retry-After", str(retry_after))

    @property
    def status(self) -> Obj:
        """The Status object, with its fields in Go's order."""
        status: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def success(details: Obj) -> Obj:
    """The answer to a deletion that removed the object."""
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def not_found(resource: GroupResource, name: str) -> StatusError:
    """Answer 404 for an object that does not exist."""
    return StatusError(404, "NotFound", f'{resource} "{name}" not found', details=_details(resource, name))


def already_exists(resource: GroupResource, name: str, *, being_deleted: bool = False) -> StatusError:
    """Answer 409 to a create of an object that exists."""
    prefix = "object is being deleted: " if being_deleted else ""
    message = f'{prefix}{resource} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, details=_details(resource, name))


def name_not_generated(resource: GroupResource, name: str) -> StatusError:
    """Answer 409 when no free name could be generated."""
    message = f'{resource} "{name}" already exists, the server was not able to generate a unique name for the object'
    details = {**_details(resource, name), "retryAfterSeconds": 1}
    return StatusError(409, "AlreadyExists", message, details=details)


def conflict(resource: GroupResource, name: str, why: str) -> StatusError:
    """Answer 409 to a write that conflicts with the stored object."""
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return StatusError(409, "Conflict", message, details=_details(resource, name))


def forbidden(
    resource: GroupResource, name: str, why: str, *, causes: Sequence[Obj] | None = None
) -> StatusError:
    """Answer 403."""
    subject = f'{resource} "{name}"' if name else str(resource)
    message = f"{subject} is forbidden: {why}" if resource.resource else f"forbidden: {why}"
    details = _details(resource, name)
    if causes:
        details["causes"] = list(causes)
    return StatusError(403, "Forbidden", message, details=details)


def unauthorized() -> StatusError:
    """Answer 401."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> StatusError:
    """Answer 400."""
    return StatusError(400, "BadRequest", message)


def expired(message: str, *, continue_token: str | None = None) -> StatusError:
    """Answer 410: the resourceVersion has expired."""
    return StatusError(410, "Expired", message, continue_token=continue_token)


def too_large_resource_version(wanted: int, current: int) -> StatusError:
    """Answer 504: the requested resourceVersion does not exist yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return StatusError(504, "Timeout", message, details={"causes": [cause], "retryAfterSeconds": 1})


def method_not_supported(resource: GroupResource, verb: str) -> StatusError:
    """Answer 405 for a verb a custom resource does not have."""
    message = f'{verb} is not supported on resources of kind "{resource}"'
    return StatusError(405, "MethodNotAllowed", message, details=_details(resource, ""))


def method_not_allowed() -> StatusError:
    """Answer 405 for a method a path does not have."""
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, details={})


def no_such_path() -> StatusError:
    """Answer 404 for a path below a group of core kinds."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", details={})


def unsupported_media_type(accepted: Iterable[str]) -> StatusError:
    """Answer 415."""
    message = "the body of the request was in an unknown format - accepted media types include: " + ", ".join(
        accepted
    )
    return StatusError(415, "UnsupportedMediaType", message)


def not_acceptable(accepted: Iterable[str]) -> StatusError:
    """Answer 406."""
    message = "only the following media types are accepted: " + ", ".join(accepted)
    return StatusError(406, "NotAcceptable", message)


def request_too_large(message: str) -> StatusError:
    """Answer 413."""
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")


def internal(message: str) -> StatusError:
    """Answer 500 for an error that has no Status of its own."""
    return StatusError(500, "", message)


def unprocessable() -> StatusError:
    """Answer 422 to a JSON patch that cannot be applied to the object; Kubernetes does not report the reason."""
    message = "the server rejected our request due to an error in our request"
    return StatusError(422, "Invalid", message, details={})


def _details(resource: GroupResource, name: str) -> Obj:
    details: Obj = {}
    if name:
        details["name"] = name
    if resource.group:
        details["group"] = resource.group
    if resource.resource:
        details["kind"] = resource.resource
    return details


def invalid_object(kind: GroupResource, name: str, errors: Sequence[FieldError]) -> StatusError:
    """Answer 422; the causes list every error, the message lists each text once."""
    texts = list(dict.fromkeys(str(error) for error in errors))
    listed = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = {**_details(kind, name), "causes": [error.cause for error in errors]}
    return StatusError(422, "Invalid", f'{kind} "{name}" is invalid: {listed}', details=details)
