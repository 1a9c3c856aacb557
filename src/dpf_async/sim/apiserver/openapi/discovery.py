"""Discovery: which groups, versions and resources there are, plain and aggregated."""

from __future__ import annotations

from typing import Any

from dpf_async.sim.apiserver.storage.kinds import Kind, Registry
from dpf_async.sim.apiserver.wire.codec import Obj

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
AGGREGATED_HEADERS = {"Content-Type": AGGREGATED, "Cache-Control": "public", "Vary": "Accept"}
_CUSTOM_VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
_CORE_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_NAMESPACE_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_STATUS_VERBS = ["get", "patch", "update"]


def wants_aggregated(accept: str) -> bool:
    """Whether a client prefers aggregated discovery."""
    for part in accept.split(","):
        parameters = {parameter.strip() for parameter in part.split(";")}
        if {"g=apidiscovery.k8s.io", "v=v2", "as=APIGroupDiscoveryList"} <= parameters:
            return True
    return False


def version_document(minor: int) -> Obj:
    """What /version says."""
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
    """What /api says."""
    addresses = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}


def group_list(registry: Registry) -> Obj:
    """What /apis says."""
    groups = [_group(name, versions) for name, versions in registry.groups().items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(registry: Registry, name: str) -> Obj | None:
    """What /apis/{group} says."""
    versions = registry.groups().get(name)
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions and name else None


def _group(name: str, versions: list[str]) -> Obj:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def resource_list(registry: Registry, name: str, version: str) -> Obj | None:
    """What /api/v1 and /apis/{group}/{version} say."""
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
    """The verbs that a kind has."""
    if kind.verbs:
        return list(kind.verbs)
    if kind.custom:
        return _CUSTOM_VERBS
    return _NAMESPACE_VERBS if kind.plural == "namespaces" else _CORE_VERBS


def _resource(kind: Kind) -> Obj:
    resource: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs_of(kind),
    }
    if kind.short_names:
        resource["shortNames"] = list(kind.short_names)
    if kind.categories:
        resource["categories"] = list(kind.categories)
    return resource


def aggregated(registry: Registry, *, legacy: bool) -> Obj:
    """What /api (legacy) and /apis say to a client that takes everything at once."""
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
        }
        if kind.short_names:
            resource["shortNames"] = list(kind.short_names)
        if kind.categories:
            resource["categories"] = list(kind.categories)
        if kind.versions[version].has_status:
            resource["subresources"] = [
                {"subresource": "status", "responseKind": response, "verbs": _STATUS_VERBS}
            ]
        found.append(resource)
    return found
