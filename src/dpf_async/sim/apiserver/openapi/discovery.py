"""Discovery: the served groups, versions and resources, unaggregated and aggregated."""

from __future__ import annotations

from dpf_async.sim.apiserver.storage.kinds import Kind, Registry
from dpf_async.sim.apiserver.wire.codec import Obj

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
AGGREGATED_HEADERS = {"Content-Type": AGGREGATED, "Cache-Control": "public", "Vary": "Accept"}
_CUSTOM_VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
_CORE_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_NAMESPACE_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_STATUS_VERBS = ["get", "patch", "update"]


def wants_aggregated(accept: str) -> bool:
    """Whether a client accepts aggregated discovery."""
    for part in accept.split(","):
        parameters = {parameter.strip() for parameter in part.split(";")}
        if {"g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"} <= parameters:
            return True
    return False


def version_document(minor: int) -> Obj:
    """The document of /version."""
    return {
        "major": "1",
        "minor": str(minor),
        "emulationMajor": "1",
        "emulationMinor": str(minor),
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": str(minor - 1),
        "gitVersion": f"v1.{minor}.0",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "go1.24",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def legacy_versions(address: str) -> Obj:
    """The document of /api."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_list(registry: Registry) -> Obj:
    """The document of /apis."""
    groups = [_group(name, versions) for name, versions in registry.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Obj | None:
    """The document of /apis/{group}."""
    versions = registry.groups().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions and name else None


def _group(name: str, versions: list[str]) -> Obj:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(registry: Registry, name: str, version: str) -> Obj | None:
    """The document of /api/v1 and /apis/{group}/{version}."""
    resources: list[Obj] = []
    for kind in registry.of(name, version):
        resources.append(_resource(kind))
        if kind.versions[version].has_status:
            resources.append(
                {
                    "name": f"{kind.plural}/status",
                    "singularName": "",
                    "namespaced": kind.namespaced,
                    "kind": kind.kind,
                    "verbs": _STATUS_VERBS,
                }
            )
    if not resources:
        return None
    document: Obj = {"kind": "APIResourceList"}
    if name:
        document["apiVersion"] = "v1"
    return {**document, "groupVersion": f"{name}/{version}" if name else version, "resources": resources}


def verbs_of(kind: Kind) -> list[str]:
    """The verbs of a kind."""
    if kind.verbs:
        return list(kind.verbs)
    if kind.custom:
        return _CUSTOM_VERBS
    return _NAMESPACE_VERBS if kind.plural == "namespaces" else _CORE_VERBS


def _resource(kind: Kind) -> Obj:
    resource: Obj = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs_of(kind),
    }
    return resource | _aliases(kind)


def _aliases(kind: Kind) -> Obj:
    lists = {"shortNames": list(kind.short_names), "categories": list(kind.categories)}
    return {name: values for name, values in lists.items() if values}


def aggregated(registry: Registry, *, legacy: bool) -> Obj:
    """The aggregated document of /api (legacy) and /apis."""
    items = []
    for name, versions in registry.groups().items():
        if bool(name) == legacy:
            continue
        served = [
            {"version": version, "resources": _discovered(registry, name, version), "freshness": "Current"}
            for version in versions
        ]
        items.append({"metadata": {"name": name} if name else {}, "versions": served})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _discovered(registry: Registry, name: str, version: str) -> list[Obj]:
    found = []
    for kind in registry.of(name, version):
        response = {"group": name, "version": version, "kind": kind.kind}
        resource: Obj = {
            "resource": kind.plural,
            "responseKind": response,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "singularResource": kind.singular,
            "verbs": verbs_of(kind),
            **_aliases(kind),
        }
        if kind.versions[version].has_status:
            resource["subresources"] = [
                {"subresource": "status", "responseKind": response, "verbs": _STATUS_VERBS}
            ]
        found.append(resource)
    return found
