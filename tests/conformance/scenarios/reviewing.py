"""Access reviews; the user of the comparison has every permission."""

from __future__ import annotations

from typing import Final

from tests.conformance.exchanges import ask, create, get, scenario

__all__ = ["SCENARIOS"]

_ACCESS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def _review(**spec: object) -> dict[str, object]:
    return {"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec}


SCENARIOS: Final = (
    scenario(
        "review-access",
        create(
            "resource",
            _ACCESS,
            _review(resourceAttributes={"verb": "get", "resource": "pods", "namespace": "{ns}"}),
        ),
        create("path", _ACCESS, _review(nonResourceAttributes={"verb": "get", "path": "/healthz"})),
        create("both", _ACCESS, _review(nonResourceAttributes={}, resourceAttributes={})),
        create("neither", _ACCESS, _review()),
        create("no-type", _ACCESS, {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}),
        get("not-stored", _ACCESS),
        ask("not-deleted", "DELETE", f"{_ACCESS}/x"),
    ),
    scenario(
        "review-who",
        get("no-token", "/api/v1/namespaces/{ns}", headers={"Authorization": ""}),
        get("bad-token", "/api/v1/namespaces/{ns}", headers={"Authorization": "Bearer nonsense"}),
        get("bad-scheme", "/api/v1/namespaces/{ns}", headers={"Authorization": "Basic eDp5"}),
        get("discovery-bad-token", "/apis", headers={"Authorization": "Bearer nonsense"}),
        get("health-bad-token", "/healthz", headers={"Authorization": "Bearer nonsense"}),
    ),
)
