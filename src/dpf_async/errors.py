"""The exceptions that this library raises.

DPFError
├── APIError                 the API server rejected the request
│   ├── BadRequest           400 405 406 413 415: the request is not valid
│   ├── Unauthorized         401
│   ├── Forbidden            403: .verb, .resource, .namespace
│   ├── NotFound             404: the object does not exist
│   ├── KindNotServed        404: the server does not serve the kind (CRD missing, or version not served)
│   ├── AlreadyExists        409
│   ├── Conflict             409: precondition failed, or another field manager owns the field
│   ├── Gone                 410: the resourceVersion or the continue token expired
│   ├── Invalid              422: validation; .causes has field and rule of each
│   ├── TooManyRequests      429: .retry_after in seconds
│   └── ServerError          5xx: the server cannot process the request at the moment
├── ConnectionFailed         the server cannot be reached, or sent no data for longer than the limit
├── DecodeError              an answer does not match the model: .kind, .name, .path
├── WaitError                a wait ended before its condition held: .condition, .view, .waited
│   ├── WaitTimeout          also a TimeoutError
│   ├── ObjectReplaced       deleted or re-created during the wait: .old_uid, .new_uid
│   ├── DPUFailed            a DPU entered phase Error: .dpu, .reason, .detail
│   ├── SiteFailed           the operator cannot accept a site: .kind, .name, .reason, .detail
│   └── DeviceFailed         a DPUDevice does not become Ready: .device, .reason, .detail
├── DPUInstalling            a DPU cannot be deleted during its installation: .dpu, .phase
├── StaleRelease             a hold was released before this DPU requested it: .node, .maintenance, .dpus
├── PasswordUnavailable      the caller's password provider did not return the BMC password
├── UpgradeFailed            an upgrade stopped; no host is in progress: .report, .node
├── SiteDiffers              existing objects differ from the site description; nothing was changed: .plan
├── ClaimLost                another client acquired the claim on a node: .node, .holder, .taken_by
└── UsageError               the caller's mistake; nothing was sent
    └── SpecError            a site or host description has mistakes: .problems

UsageError is a mistake of the caller; every other exception results from the state of the cluster or the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "APIError",
    "AlreadyExists",
    "BadRequest",
    "Cause",
    "ClaimLost",
    "Conflict",
    "ConnectionFailed",
    "DPFError",
    "DPUFailed",
    "DPUInstalling",
    "DecodeError",
    "DeviceFailed",
    "Forbidden",
    "Gone",
    "Invalid",
    "KindNotServed",
    "NotFound",
    "ObjectReplaced",
    "PasswordUnavailable",
    "ServerError",
    "SiteDiffers",
    "SiteFailed",
    "SpecError",
    "StaleRelease",
    "TooManyRequests",
    "Unauthorized",
    "UpgradeFailed",
    "UsageError",
    "WaitError",
    "WaitTimeout",
]


class DPFError(Exception):
    """Base of all exceptions that this library raises."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of a rejected request: the field, and what is wrong with it (Kubernetes' StatusCause)."""

    field: str
    message: str
    type: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class APIError(DPFError):
    """The API server rejected the request.

    Attributes:
        status: HTTP status code.
        reason: Kubernetes' StatusReason, such as "NotFound"; empty if the server sent none.
        method: HTTP method of the request.
        path: path of the request, without the query.
        object: target of the request, such as "DPU dpu-1" or "dpus"; never its content.
        server_message: message of the server, with control characters escaped.
        causes: the single causes, if the server sent them.
        retry_after: seconds for which the server asks the client to wait; 0 if it does not.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        method: str = "",
        path: str = "",
        object: str = "",  # noqa: A002  Kubernetes' word
        server_message: str = "",
        causes: Sequence[Cause] = (),
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.method = method
        self.path = path
        self.object = object
        self.server_message = server_message
        self.causes: tuple[Cause, ...] = tuple(causes)
        self.retry_after = retry_after


class BadRequest(APIError):
    """The request is not valid: a bug of this library, or an option that this server does not support."""


class Unauthorized(APIError):
    """The server did not accept the credentials: they are missing, wrong or expired."""


class Forbidden(APIError):
    """The client lacks a permission: a Role or a RoleBinding is missing.

    Or a rule of the cluster, such as a quota, forbids the request regardless of permissions; the server's message
    then names that rule.

    Attributes:
        verb: the missing verb, as a Role names it: "list", or "create" for an apply of an object that does not exist.
        group: API group; empty for Kubernetes' own core.
        resource: as a Role names it: "dpus".
        namespace: of the request; empty for cluster-scoped resources.
    """

    verb: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""


class NotFound(APIError):
    """The object does not exist; its kind is served."""


class KindNotServed(APIError):
    """The server does not serve the kind: its CRD is missing, or this version of it is not served.

    Not a NotFound: for a deletion, an object that does not exist is success, and a missing CRD never is.
    Source: the 404 for a kind is text/plain, the 404 for an object is a JSON Status (docs/watching.md#not-found).
    """


class AlreadyExists(APIError):
    """An object of this name exists; `terminating` if it is being deleted."""

    @property
    def terminating(self) -> bool:
        """The existing object has a deletionTimestamp, and finalizers remain."""
        return "object is being deleted" in self.server_message


class Conflict(APIError):
    """A precondition (uid, resourceVersion) failed, or another field manager owns an applied field."""


class Gone(APIError):
    """The resourceVersion or the continue token is older than the server's history."""


class Invalid(APIError):
    """The object violates rules of its schema; each violation is one of `causes`."""


class TooManyRequests(APIError):
    """The server throttles the client; `retry_after` has the seconds to wait."""


class ServerError(APIError):
    """The server cannot process the request at the moment: a fault of its own, or of a component that it depends on."""


class ConnectionFailed(DPFError):
    """The server cannot be reached, closed the connection, or sent no data for longer than the limit."""


class DecodeError(DPFError):
    """An answer does not match the model.

    Attributes:
        kind: kind of the object.
        name: its name; empty if it could not be read.
        path: of the field in the object, dotted.
    """

    def __init__(self, message: str, *, kind: str = "", name: str = "", path: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name
        self.path = path


class WaitError(DPFError):
    """A wait ended before its condition held.

    Attributes:
        condition: description of the condition.
        view: the last view; None if there was none.
        waited: seconds.
    """

    def __init__(self, message: str, *, condition: str = "", view: Any = None, waited: float = 0.0) -> None:
        # Any: a NodeView, a DPUView or another view; this layer must not import views.
        super().__init__(message)
        self.condition = condition
        self.view = view
        self.waited = waited


class WaitTimeout(WaitError, TimeoutError):
    """The timeout elapsed before the condition held."""


class ObjectReplaced(WaitError):
    """The object was deleted, or re-created under the same name, during the wait.

    Attributes:
        old_uid: uid of the object that the wait began with.
        new_uid: uid of the object that has its name now; None if there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        old_uid: str,
        new_uid: str | None = None,
        condition: str = "",
        view: Any = None,  # see WaitError
        waited: float = 0.0,
    ) -> None:
        super().__init__(message, condition=condition, view=view, waited=waited)
        self.old_uid = old_uid
        self.new_uid = new_uid


class DPUFailed(WaitError):
    """A DPU entered phase Error, which only its deletion ends.

    Attributes:
        dpu: name of the DPU.
        reason: reason of the condition that failed.
        detail: message of that condition.
    """

    def __init__(
        self,
        message: str,
        *,
        dpu: str,
        reason: str = "",
        detail: str = "",
        condition: str = "",
        view: Any = None,  # see WaitError
        waited: float = 0.0,
    ) -> None:
        super().__init__(message, condition=condition, view=view, waited=waited)
        self.dpu = dpu
        self.reason = reason
        self.detail = detail


class SiteFailed(WaitError):
    """The operator cannot accept a site's definition until an administrator corrects it.

    Attributes:
        kind: of the object that prevents it: "BFB", "DPUDeployment".
        name: its name.
        reason: its phase, or type and reason of its condition.
        detail: message of that condition.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        name: str,
        reason: str = "",
        detail: str = "",
        condition: str = "",
        view: Any = None,  # see WaitError
        waited: float = 0.0,
    ) -> None:
        super().__init__(message, condition=condition, view=view, waited=waited)
        self.kind = kind
        self.name = name
        self.reason = reason
        self.detail = detail


class DeviceFailed(WaitError):
    """A DPUDevice reports a fault and did not become Ready within the grace period.

    Attributes:
        device: name of the DPUDevice.
        reason: reason of the condition that failed.
        detail: message of that condition, such as a rejected password or another serial number.
    """

    def __init__(
        self,
        message: str,
        *,
        device: str,
        reason: str = "",
        detail: str = "",
        condition: str = "",
        view: Any = None,  # see WaitError
        waited: float = 0.0,
    ) -> None:
        super().__init__(message, condition=condition, view=view, waited=waited)
        self.device = device
        self.reason = reason
        self.detail = detail


class DPUInstalling(DPFError):
    """A DPU is in a phase of its installation, in which DPF ignores deletion.

    Attributes:
        dpu: name of the DPU.
        phase: its phase.
    """

    def __init__(self, message: str, *, dpu: str, phase: str) -> None:
        super().__init__(message)
        self.dpu = dpu
        self.phase = phase


class StaleRelease(DPFError):
    """A hold was released before a DPU requested it, so DPF would provision the DPU without a new approval.

    Attributes:
        node: name of the DPUNode.
        maintenance: name of the DPUNodeMaintenance that was released.
        dpus: names of the DPUs that had not requested the node effect.
    """

    def __init__(self, message: str, *, node: str, maintenance: str, dpus: Sequence[str]) -> None:
        super().__init__(message)
        self.node = node
        self.maintenance = maintenance
        self.dpus: tuple[str, ...] = tuple(dpus)


class PasswordUnavailable(DPFError):
    """The provider of the BMC password raised an exception; the Secret is unchanged. The message has its type only."""


class SiteDiffers(DPFError):
    """Existing objects of a site differ from its description, and `update=True` was not passed.

    Attributes:
        plan: the SitePlan, with every difference. Nothing was created or changed.
    """

    def __init__(self, message: str, *, plan: Any) -> None:  # Any: this layer must not import plans
        super().__init__(message)
        self.plan = plan


class ClaimLost(DPFError):
    """The claim on a node was lost while its block ran; the request was not answered, which its new holder has to do.

    Attributes:
        node: name of the DPUNode.
        holder: holder identity of this client in the Lease.
        taken_by: holder identity of the client that acquired it; empty if it was released since.
    """

    def __init__(self, message: str, *, node: str, holder: str, taken_by: str = "") -> None:
        super().__init__(message)
        self.node = node
        self.holder = holder
        self.taken_by = taken_by


class UpgradeFailed(DPFError):
    """An upgrade stopped: a host failed, or another client changed the DPUDeployment.

    Hosts that were in progress were completed, and no further host was started. Another call resumes the upgrade.

    Attributes:
        report: the UpgradeReport, with the outcome of each host.
        node: name of the DPUNode that failed first; empty if none did.
    """

    def __init__(self, message: str, *, report: Any, node: str = "") -> None:
        # Any: this layer must not import reports
        super().__init__(message)
        self.report = report
        self.node = node


class UsageError(DPFError):
    """A mistake of the caller, detected before a request was sent."""


class SpecError(UsageError):
    """A site or host description has mistakes; nothing was created.

    Attributes:
        problems: one sentence per mistake, each naming file, path and rule.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__("\n".join([message, *(f"  {problem}" for problem in problems)]))
        self.problems: tuple[str, ...] = tuple(problems)
