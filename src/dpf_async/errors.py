"""Every error this library raises on purpose, and nothing else.

DPFError
├── APIError                 the API server answered, and the answer is no
│   ├── BadRequest           400 405 406 413 415: the request itself was wrong
│   ├── Unauthorized         401
│   ├── Forbidden            403: .verb, .resource, .namespace
│   ├── NotFound             404: this object is not there
│   ├── KindNotServed        404: the kind itself is not there (CRD missing, or version not served)
│   ├── AlreadyExists        409
│   ├── Conflict             409: precondition failed, or another field manager owns the field
│   ├── Gone                 410: the resourceVersion or the continue token is too old
│   ├── Invalid              422: validation; .causes has field and rule of each
│   ├── TooManyRequests      429: .retry_after in seconds
│   └── ServerError          5xx: the server could not, for now
├── ConnectionFailed         the server could not be reached, or fell silent longer than the bound
├── DecodeError              an answer that is not what the model says: .kind, .name, .path
├── WaitError                a wait that cannot come true: .condition, .view, .waited
│   ├── WaitTimeout          also a TimeoutError
│   ├── ObjectReplaced       deleted or recreated meanwhile: .old_uid, .new_uid
│   ├── DPUFailed            a DPU entered phase Error: .dpu, .reason, .detail
│   ├── SiteFailed           the operator cannot take a site over: .kind, .name, .reason, .detail
│   └── DeviceFailed         a DPUDevice cannot be made Ready: .device, .reason, .detail
├── DPUInstalling            a DPU cannot be deleted while it is installed: .dpu, .phase
├── StaleRelease             a hold was released before this DPU asked: .node, .maintenance, .dpus
├── PasswordUnavailable      the caller's own provider could not tell the BMC password
├── UpgradeFailed            an upgrade came to a stop, and what was begun is done or failed: .report, .node
├── SiteDiffers              what is there differs from a site's description; nothing was changed: .plan
├── ClaimLost                another client has the claim on a node: .node, .holder, .taken_by
└── UsageError               the caller's mistake; nothing was sent
    └── SpecError            a site or host description with mistakes in it: .problems

Two families by whose fault it is: UsageError is yours, everything else is the world's.
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
    """Base of everything this library raises on purpose."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason inside a refusal: which field, and what is wrong with it (Kubernetes' StatusCause)."""

    field: str
    message: str
    type: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class APIError(DPFError):
    """The API server answered, and the answer is no.

    Attributes:
        status: HTTP status code.
        reason: Kubernetes' StatusReason, such as "NotFound"; empty when the server gave none.
        method: HTTP method of the request.
        path: path of the request, without the query.
        object: what was asked for, such as "DPU dpu-1" or "dpus"; never its content.
        server_message: the server's own sentence, with control characters escaped.
        causes: the single reasons inside the refusal, where the server told them.
        retry_after: seconds the server asked to wait; 0 if it did not ask.
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
    """The request itself was wrong: a bug here, or a server that does not know what we asked for."""


class Unauthorized(APIError):
    """The server does not know us: the credentials are missing, wrong or expired."""


class Forbidden(APIError):
    """The server knows us and does not let us: a Role or a RoleBinding is missing.

    Or a rule of the cluster is in the way, a quota for instance, which no permission helps against: the server's
    sentence says so.

    Attributes:
        verb: what we may not do, as a Role names it: "list", or "create" where an apply would have created.
        group: API group; empty for Kubernetes' own core.
        resource: what we may not do it to, as a Role names it: "dpus".
        namespace: where; empty for what is in none.
    """

    verb: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""


class NotFound(APIError):
    """The object is not there. The kind is."""


class KindNotServed(APIError):
    """The kind is not there: its CRD is missing, or this version of it is not served.

    Apart from NotFound on purpose: "already gone" is success for a deletion, a missing CRD never is.
    Source: a missing kind answers text/plain, a missing object a JSON Status (reliability 0.9).
    """


class AlreadyExists(APIError):
    """An object of that name is there already; `terminating` if it is on its way out."""

    @property
    def terminating(self) -> bool:
        """The object in the way has a deletionTimestamp and waits for its finalizers."""
        return "object is being deleted" in self.server_message


class Conflict(APIError):
    """A precondition (uid, resourceVersion) failed, or another field manager owns a field we apply."""


class Gone(APIError):
    """The resourceVersion or the continue token is older than the history the server keeps."""


class Invalid(APIError):
    """The object breaks a rule of its schema; each broken rule is one of `causes`."""


class TooManyRequests(APIError):
    """The server asks us to slow down; `retry_after` says by how many seconds."""


class ServerError(APIError):
    """The server could not do it now: its own fault, or that of something behind it."""


class ConnectionFailed(DPFError):
    """The server could not be reached, broke off, or fell silent longer than the bound."""


class DecodeError(DPFError):
    """An answer that is not what the model says.

    Attributes:
        kind: kind of the object.
        name: its name, as far as it could be read.
        path: where in the object, dotted.
    """

    def __init__(self, message: str, *, kind: str = "", name: str = "", path: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name
        self.path = path


class WaitError(DPFError):
    """A wait ended without its condition having been seen to hold.

    Attributes:
        condition: what was waited for, in words.
        view: the last view seen; None if there never was one.
        waited: seconds.
    """

    def __init__(self, message: str, *, condition: str = "", view: Any = None, waited: float = 0.0) -> None:
        # Any: a NodeView, a DPUView, or whatever view the handle gives; errors come before views in the corridor.
        super().__init__(message)
        self.condition = condition
        self.view = view
        self.waited = waited


class WaitTimeout(WaitError, TimeoutError):
    """The time given was over before the condition was seen to hold."""


class ObjectReplaced(WaitError):
    """The object waited for was deleted, or deleted and created again under the same name.

    Attributes:
        old_uid: the object that was waited for.
        new_uid: the one that has its name now; None if there is none.
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
    """A DPU entered phase Error, from which only its deletion leads.

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
    """The operator cannot take a site's definition over, and somebody has to do something about it.

    Attributes:
        kind: of the object that stands in the way: "BFB", "DPUDeployment".
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
    """The operator cannot make a DPUDevice Ready, and has not been able to for the grace that was given.

    Attributes:
        device: name of the DPUDevice.
        reason: reason of the condition that failed.
        detail: message of that condition: a refused password, another serial number.
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
    """A DPU is being installed, and the operator deletes none before that is over.

    Attributes:
        dpu: name of the DPU.
        phase: the phase it is in.
    """

    def __init__(self, message: str, *, dpu: str, phase: str) -> None:
        super().__init__(message)
        self.dpu = dpu
        self.phase = phase


class StaleRelease(DPFError):
    """A hold was released before a DPU asked, so that it would be provisioned without anybody's permission.

    Attributes:
        node: name of the DPUNode.
        maintenance: name of the DPUNodeMaintenance that was released.
        dpus: names of the DPUs that did not ask.
    """

    def __init__(self, message: str, *, node: str, maintenance: str, dpus: Sequence[str]) -> None:
        super().__init__(message)
        self.node = node
        self.maintenance = maintenance
        self.dpus: tuple[str, ...] = tuple(dpus)


class PasswordUnavailable(DPFError):
    """The provider of the BMC password raised something; the Secret stays as it is. The message has its type only."""


class SiteDiffers(DPFError):
    """Objects of a site are there and differ from its description, and nobody asked for them to be changed.

    Attributes:
        plan: the SitePlan, with every difference. Nothing was created or changed.
    """

    def __init__(self, message: str, *, plan: Any) -> None:  # Any: errors come before plans in the corridor
        super().__init__(message)
        self.plan = plan


class ClaimLost(DPFError):
    """The claim on a node was lost while its block ran, and the request was not answered: that is another's to do now.

    Attributes:
        node: name of the DPUNode.
        holder: who we were, as the Lease said it.
        taken_by: who took it; empty if it was given back since.
    """

    def __init__(self, message: str, *, node: str, holder: str, taken_by: str = "") -> None:
        super().__init__(message)
        self.node = node
        self.holder = holder
        self.taken_by = taken_by


class UpgradeFailed(DPFError):
    """An upgrade came to a stop: a host failed, or somebody else changed what it was for.

    Hosts that were in progress have been finished, and none was begun since. Called again, it goes on from there.

    Attributes:
        report: the UpgradeReport, with what became of each host.
        node: name of the DPUNode that failed first; empty if none did.
    """

    def __init__(self, message: str, *, report: Any, node: str = "") -> None:
        # Any: errors come before reports in the corridor
        super().__init__(message)
        self.report = report
        self.node = node


class UsageError(DPFError):
    """The caller's mistake, found before anything was sent."""


class SpecError(UsageError):
    """A site or host description with mistakes in it; nothing was created.

    Attributes:
        problems: one sentence per mistake, each naming file, path and rule.
    """

    def __init__(self, message: str, *, problems: Sequence[str] = ()) -> None:
        super().__init__("\n".join([message, *(f"  {problem}" for problem in problems)]))
        self.problems: tuple[str, ...] = tuple(problems)
