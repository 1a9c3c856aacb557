"""Discovery of groups, versions and kinds; paths that do not exist."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.exchanges import ask, get, scenario
from tests.conformance.kinds import GROUP, WIDGETS

__all__ = ["SCENARIOS"]

_AGGREGATED: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
_OURS: Final = (GROUP, "provisioning.dpu.nvidia.com", "svc.dpu.nvidia.com", "operator.dpu.nvidia.com")
_CORE: Final = ("configmaps", "events", "namespaces", "secrets", "serviceaccounts")


def _our_groups(document: Any) -> Any:
    """Keep only the groups that both servers have."""
    return {**document, "groups": [group for group in document["groups"] if group["name"] in _OURS]}


def _our_items(document: Any) -> Any:
    return {
        **document,
        "items": [item for item in document["items"] if item["metadata"].get("name") in _OURS],
    }


def _resources(document: Any, *, of: tuple[str, ...] = ()) -> Any:
    """By name, because their order is that of a Go map; without the hash of the storage version."""
    return {
        **document,
        "resources": {
            resource["name"]: {
                name: value for name, value in resource.items() if name != "storageVersionHash"
            }
            for resource in document["resources"]
            if not of or resource["name"].partition("/")[0] in of
        },
    }


def _core_resources(document: Any) -> Any:
    """Keep only the core kinds that both servers have."""
    return _resources(document, of=_CORE)


def _version(document: Any) -> Any:
    return dict.fromkeys(document, "") | {name: document[name] for name in ("major", "minor")}


def _api(document: Any) -> Any:
    return {name: value for name, value in document.items() if name != "serverAddressByClientCIDRs"}


SCENARIOS: Final = (
    scenario(
        "discovery",
        get("api", "/api", view=_api),
        get("apis", "/apis", view=_our_groups),
        get("api-trailing", "/apis/", view=_our_groups),
        get("core", "/api/v1", view=_core_resources),
        get("group", f"/apis/{GROUP}"),
        get("version", f"/apis/{GROUP}/v1", view=_resources),
        get("beta", f"/apis/{GROUP}/v1beta1", view=_resources),
        get("dpf", "/apis/provisioning.dpu.nvidia.com/v1alpha1", view=_resources),
        get("leases", "/apis/coordination.k8s.io/v1", view=_resources),
        get("definitions", "/apis/apiextensions.k8s.io/v1", view=_resources),
        get("aggregated", "/apis", accept=_AGGREGATED, view=_our_items),
        get(
            "aggregated-core",
            "/api",
            accept=_AGGREGATED,
            view=lambda found: {**found, "items": len(found["items"])},
        ),
        get("server", "/version", view=_version),
        get("health", "/healthz"),
        get("alive", "/livez"),
        get("ready", "/readyz"),
        get("no-group", "/apis/no.such.group"),
        get("no-version", f"/apis/{GROUP}/v9"),
        get("no-core-version", "/api/v9"),
        get("no-path", "/no/such/path"),
        ask("post-discovery", "POST", "/apis", {}, view=_our_groups),
        ask("post-version", "POST", "/version", {}),
        ask("post-core", "POST", "/api/v1", {}),
        ask("post-kinds", "POST", f"/apis/{GROUP}/v1", {}, view=_resources),
        ask("post-health", "POST", "/healthz", {}),
        get("no-core-item", "/api/v1/namespaces/{ns}/configmaps/a/b"),
        ask("put-core-collection", "PUT", "/api/v1/namespaces/{ns}/configmaps", {}),
        ask("post-core-item", "POST", "/api/v1/namespaces/{ns}/configmaps/a", {}),
        ask("head-core", "HEAD", "/api/v1/namespaces/{ns}/configmaps"),
        get("core-kind-without-namespace", "/api/v1/configmaps/a"),
        get("no-lease-kind", "/apis/coordination.k8s.io/v1/nothings"),
        get("no-lease-version", "/apis/coordination.k8s.io/v9"),
        ask("delete-group", "DELETE", f"/apis/{GROUP}"),
        ask("head", "HEAD", WIDGETS),
        ask("options", "OPTIONS", WIDGETS),
        ask("post-item", "POST", f"{WIDGETS}/a", {}),
        get("four-deep", f"{WIDGETS}/a/b/c"),
        get("double-slash", f"/apis/{GROUP}/v1//widgets"),
        get("trailing-slash", f"{WIDGETS}/"),
        get("cluster-scope-in-namespace", f"/apis/{GROUP}/v1/namespaces/{{ns}}/gadgets"),
        get("item-without-namespace", f"/apis/{GROUP}/v1/widgets/a"),
    ),
)
