"""The OpenAPI parts that a real API server publishes for all kinds: the source of openapi_kubernetes.json.

`python -m tests.apiserver.published` starts a kube-apiserver and writes the file, for a new release of Kubernetes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import anyio

import dpf_async.sim.apiserver
from tests.apiserver.admin import Admin
from tests.apiserver.build import find
from tests.apiserver.cluster import RealCluster
from tests.conformance.kinds import GROUP, definitions

__all__ = ["CORE", "collected", "document", "main"]

JSON = dict[str, Any]  # Any: it is JSON

_FILE: Final = Path(dpf_async.sim.apiserver.__file__).with_name("openapi") / "openapi_kubernetes.json"
_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
_SHARED: Final = ("DeleteOptions", "ListMeta", "ObjectMeta", "Patch", "Status")
_CUSTOM: Final = f"apis/{GROUP}/v1"
CORE: Final[Mapping[str, tuple[str, ...]]] = {
    "api/v1": ("ConfigMap", "Event", "Namespace", "Node", "Secret", "ServiceAccount"),
    "apis/apiextensions.k8s.io/v1": ("CustomResourceDefinition",),
    "apis/authorization.k8s.io/v1": ("SelfSubjectAccessReview",),
    "apis/coordination.k8s.io/v1": ("Lease",),
}
"""The core kinds of the embedded server, by document."""


async def document(cluster: Admin, name: str) -> JSON:
    """The document of one group version, such as apis/coordination.k8s.io/v1."""
    return await cluster.ask("GET", f"/openapi/v3/{name}")


async def collected(cluster: Admin) -> JSON:
    """The content of the file: query parameters, and the schemas that documents share.

    The cluster must have the kinds of the conformance scenarios.
    """
    custom = await document(cluster, _CUSTOM)
    schemas = _with_references(custom, (f"{_META}{name}" for name in _SHARED))
    for name, kinds in CORE.items():
        core = await document(cluster, name)
        wanted = {*kinds, *(f"{kind}List" for kind in kinds)}
        # Meta kinds come from the custom document; core documents list other groups for DeleteOptions.
        schemas = (
            _with_references(core, (each for each in _kinds_of(core) if _last(each) in wanted)) | schemas
        )
    return {"parameters": _parameters(custom), "schemas": schemas}


def _kinds_of(document: JSON) -> Iterable[str]:
    schemas: JSON = document["components"]["schemas"]
    own = (name for name, schema in schemas.items() if "x-kubernetes-group-version-kind" in schema)
    return (name for name in own if not name.startswith(_META))


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _with_references(document: JSON, names: Iterable[str]) -> JSON:
    found: JSON = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = document["components"]["schemas"][name]
            todo += re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(found[name]))
    return found


def _parameters(document: JSON) -> JSON:
    found: JSON = {}
    for path in document["paths"].values():
        operations = [operation for operation in path.values() if isinstance(operation, dict)]
        for each in [path, *operations]:
            for parameter in each.get("parameters", ()):
                if parameter["in"] == "query":
                    entry = {"description": parameter["description"], "type": parameter["schema"]["type"]}
                    # fieldManager has two descriptions; the one for patches is longer.
                    name = parameter["name"]
                    if name == "fieldManager" and each.get("x-kubernetes-action") == "patch":
                        name = "fieldManager of a patch"
                    found[name] = entry
    return found


async def main() -> None:
    """Write the file."""
    async with RealCluster(find()) as cluster:
        await cluster.install_crds(definitions())
        content = await collected(cluster)
    parts = ",\n".join(f"{json.dumps(part)}: {{\n{_lines(values)}\n}}" for part, values in content.items())
    await anyio.Path(_FILE).write_text(f"{{\n{parts}\n}}\n", encoding="utf-8")


def _lines(values: JSON) -> str:
    """One entry per line, so that releases can be compared."""
    return ",\n".join(
        f"{json.dumps(name)}: {json.dumps(value, sort_keys=True)}" for name, value in sorted(values.items())
    )


if __name__ == "__main__":
    anyio.run(main)
