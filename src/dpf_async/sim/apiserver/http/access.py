"""Who may ask what: bearer tokens, and refusals in Kubernetes' words.

Both are asked once, when a request begins: a watch outlives its token and its permission (reliability notes 1.4).
"""

from __future__ import annotations

from collections.abc import Mapping

from dpf_async.sim.apiserver.faults import Faults, Request
from dpf_async.sim.apiserver.wire import field_errors, status
from dpf_async.sim.apiserver.wire.codec import Obj
from dpf_async.sim.apiserver.wire.status import GroupResource, StatusError

ANONYMOUS = "system:anonymous"
ADMIN = "kubernetes-admin"
_PUBLIC = ("healthz", "livez", "readyz", "version")
"""Source: the cluster role system:public-info-viewer of Kubernetes."""


class Access:
    """The tokens a server knows; without any, everybody is the administrator."""

    def __init__(self, tokens: Mapping[str, str] | None, faults: Faults) -> None:
        self._tokens = dict(tokens) if tokens is not None else None
        self._faults = faults

    @property
    def first_token(self) -> str | None:
        """A token to put into a kubeconfig."""
        return next(iter(self._tokens), None) if self._tokens else None

    def add(self, token: str, user: str) -> None:
        """Accept a token from now on; the first one makes tokens necessary."""
        self._tokens = {**(self._tokens or {}), token: user}

    def revoke(self, token: str) -> None:
        """Accept a token no longer."""
        if self._tokens is not None:
            self._tokens.pop(token, None)

    def user_of(self, authorization: str) -> str:
        """Name the user of a request; who shows no bearer token is anonymous.

        Raises:
            StatusError: 401, the token is none.
        """
        if self._tokens is None:
            return ADMIN
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return ANONYMOUS
        user = self._tokens.get(token.strip())
        if user is None:
            raise status.unauthorized()
        return user

    def check(self, request: Request, group: str, path: str) -> None:
        """Refuse a request that is denied; to the anonymous, everything but health and version.

        Raises:
            StatusError: 403.
        """
        if request.user == ANONYMOUS and path.strip("/").partition("/")[0] not in _PUBLIC:
            raise _refusal(request, group, path)
        if self._faults.denies(request):
            raise _refusal(request, group, path)


def reviewed(review: Obj, user: str, faults: Faults) -> Obj:
    """A SelfSubjectAccessReview with its answer: whether this user may do what its spec says.

    Source: Kubernetes authorization.k8s.io/v1.

    Raises:
        StatusError: 422, it asks about nothing, or about two things.
    """
    spec = review.get("spec") or {}
    asked, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (asked is None) == (path is None):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        value = {"Path": path.get("path", ""), "Verb": path.get("verb", "")} if path is not None else None
        group = GroupResource("authorization.k8s.io", "")
        raise status.invalid_object(group, "", [field_errors.invalid("spec", value, text)])
    if asked is None:
        request = Request(user, (path or {}).get("verb", ""), "")
    else:
        resource = asked.get("resource", "")
        if asked.get("subresource"):
            resource += f"/{asked['subresource']}"
        request = Request(
            user, asked.get("verb", ""), resource, asked.get("namespace", ""), asked.get("name", "")
        )
    allowed = not faults.denies(request)
    return {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": review.get("metadata") or {},
        "spec": spec,
        "status": {"allowed": allowed},
    }


def _refusal(request: Request, group: str, path: str) -> StatusError:
    if not request.resource:
        why = f'User "{request.user}" cannot {request.verb} path "{path}"'
        refusal = status.forbidden(GroupResource("", ""), "", why)
    else:
        plural = request.resource.split("/")[0]
        # A namespace is in itself.
        namespace = request.name if (group, plural) == ("", "namespaces") else request.namespace
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        why = (
            f'User "{request.user}" cannot {request.verb} resource "{request.resource}" '
            f'in API group "{group}" {where}'
        )
        refusal = status.forbidden(GroupResource(group, plural), request.name, why)
    refusal.headers["X-Content-Type-Options"] = "nosniff"
    return refusal
