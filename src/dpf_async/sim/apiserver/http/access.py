"""Authentication and authorization: bearer tokens, denied requests, access reviews.

Both are checked once, when a request begins: a watch outlives its token and its permission (docs/watching.md#refusals).
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
    """The bearer tokens of a server; without tokens, every user is the administrator."""

    def __init__(self, tokens: Mapping[str, str] | None, faults: Faults) -> None:
        self._tokens = dict(tokens) if tokens is not None else None
        self._faults = faults

    @property
    def first_token(self) -> str | None:
        """The default token of a kubeconfig."""
        return next(iter(self._tokens), None) if self._tokens else None

    def add(self, token: str, user: str) -> None:
        """Accept a token; once a token was added, requests need one."""
        self._tokens = {**(self._tokens or {}), token: user}

    def revoke(self, token: str) -> None:
        """Reject a token from now on."""
        if self._tokens is not None:
            self._tokens.pop(token, None)

    def user_of(self, authorization: str) -> str:
        """Return the user of a request; without a bearer token it is anonymous.

        Raises:
            StatusError: 401, the token is unknown.
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
        """Reject a denied request; anonymous users can read only health and version.

        Raises:
            StatusError: 403.
        """
        if request.user == ANONYMOUS and path.strip("/").partition("/")[0] not in _PUBLIC:
            raise _forbidden(request, group, path)
        if self._faults.denies(request):
            raise _forbidden(request, group, path)


def reviewed(review: Obj, user: str, faults: Faults) -> Obj:
    """Answer a SelfSubjectAccessReview: whether the user has the permission in its spec.

    Source: Kubernetes authorization.k8s.io/v1.

    Raises:
        StatusError: 422, the spec names no permission, or two.
    """
    spec = review.get("spec") or {}
    attributes, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (attributes is None) == (path is None):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        value = {"Path": path.get("path", ""), "Verb": path.get("verb", "")} if path is not None else None
        group = GroupResource("authorization.k8s.io", "")
        raise status.invalid_object(group, "", [field_errors.invalid("spec", value, text)])
    if attributes is None:
        request = Request(user, (path or {}).get("verb", ""), "")
    else:
        resource = attributes.get("resource", "")
        if attributes.get("subresource"):
            resource += f"/{attributes['subresource']}"
        where = (attributes.get("namespace", ""), attributes.get("name", ""))
        request = Request(user, attributes.get("verb", ""), resource, *where)
    allowed = not faults.denies(request)
    return {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": review.get("metadata") or {},
        "spec": spec,
        "status": {"allowed": allowed},
    }


def _forbidden(request: Request, group: str, path: str) -> StatusError:
    if not request.resource:
        why = f'User "{request.user}" cannot {request.verb} path "{path}"'
        error = status.forbidden(GroupResource("", ""), "", why)
    else:
        plural = request.resource.split("/")[0]
        # The namespace of a namespace is itself.
        namespace = request.name if (group, plural) == ("", "namespaces") else request.namespace
        where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        why = (
            f'User "{request.user}" cannot {request.verb} resource "{request.resource}" '
            f'in API group "{group}" {where}'
        )
        error = status.forbidden(GroupResource(group, plural), request.name, why)
    error.headers["X-Content-Type-Options"] = "nosniff"
    return error
