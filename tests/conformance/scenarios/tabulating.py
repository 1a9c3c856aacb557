"""Tables, as kubectl requests them."""

from __future__ import annotations

from typing import Final

from tests.conformance.exchanges import TABLE, create, delete, get, merge, scenario
from tests.conformance.kinds import GADGETS, WIDGETS, gadget, widget

__all__ = ["SCENARIOS"]

_OLD: Final = "2020-01-01T00:00:00Z"

SCENARIOS: Final = (
    scenario(
        "table",
        get("empty", WIDGETS, accept=TABLE),
        create("made", WIDGETS, widget("a", {"size": 7, "ready": True, "weight": 1.5}), accept=TABLE),
        create(
            "parts",
            WIDGETS,
            widget(
                "b",
                {
                    "parts": [{"name": "first"}, {"name": "second", "note": "two"}],
                    "options": {"x": "y"},
                    "since": _OLD,
                },
            ),
        ),
        get("list", WIDGETS, accept=TABLE),
        get("item", f"{WIDGETS}/b", accept=TABLE),
        get("no-objects", WIDGETS, accept=TABLE, includeObject="None"),
        get("whole-objects", WIDGETS, accept=TABLE, includeObject="Object"),
        get("wrong-include", WIDGETS, accept=TABLE, includeObject="Some"),
        get("page", WIDGETS, accept=TABLE, limit=1),
        get("choice", WIDGETS, accept=f"{TABLE},application/json"),
        get("beta", WIDGETS, accept="application/json;as=Table;v=v1beta1;g=meta.k8s.io"),
        get("unknown", WIDGETS, accept="application/json;as=Table;v=v9;g=meta.k8s.io"),
        get(
            "unknown-choice",
            WIDGETS,
            accept="application/json;as=Nonsense;v=v1;g=meta.k8s.io,application/json",
        ),
        get("missing", f"{WIDGETS}/none", accept=TABLE),
        merge("patched", f"{WIDGETS}/a", {"spec": {"size": 8}}, accept=TABLE),
        delete("deleted", f"{WIDGETS}/a", accept=TABLE),
        create("gadget", GADGETS, gadget("{ns}-t")),
        get("gadget-row", f"{GADGETS}/{{ns}}-t", accept=TABLE),
        create(
            "config-map",
            "/api/v1/namespaces/{ns}/configmaps",
            {"metadata": {"name": "m"}, "data": {"a": "b"}},
        ),
        get("config-map-row", "/api/v1/namespaces/{ns}/configmaps/m", accept=TABLE),
        create(
            "secret", "/api/v1/namespaces/{ns}/secrets", {"metadata": {"name": "s"}, "data": {"a": "eA=="}}
        ),
        get("secret-row", "/api/v1/namespaces/{ns}/secrets/s", accept=TABLE),
        create("account", "/api/v1/namespaces/{ns}/serviceaccounts", {"metadata": {"name": "sa"}}),
        get("account-row", "/api/v1/namespaces/{ns}/serviceaccounts/sa", accept=TABLE),
        create(
            "lease",
            "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
            {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}},
        ),
        get("lease-row", "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/l", accept=TABLE),
        get("as-yaml", WIDGETS, accept="application/yaml;as=Table;v=v1;g=meta.k8s.io"),
        get("namespace-row", "/api/v1/namespaces/{ns}", accept=TABLE),
    ),
)
