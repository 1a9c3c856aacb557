"""CRD manifests of the kinds, generated from the models: `python -m dpf_async.crds`.

For API servers on which the DPF operator does not install its own: the embedded one, and those that tests start.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from dpf_async.models import KINDS, Resource
from dpf_async.models.schema import schema_of

__all__ = ["main", "manifest", "manifests"]


def manifests(kinds: Iterable[type[Resource]] = KINDS) -> list[dict[str, Any]]:  # Any: JSON
    """The CustomResourceDefinitions (apiextensions.k8s.io/v1) of these kinds."""
    return [manifest(kind) for kind in kinds]


def manifest(kind: type[Resource]) -> dict[str, Any]:  # Any: JSON
    """The CustomResourceDefinition of one kind."""
    decoded: dict[str, Any] = json.loads(_encoded(kind))
    return decoded


@cache  # every simulated site in a process needs all of them
def _encoded(kind: type[Resource]) -> str:
    return json.dumps(_manifest(kind))


def _manifest(kind: type[Resource]) -> dict[str, Any]:  # Any: JSON
    version: dict[str, Any] = {
        "name": kind.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema_of(kind)},
    }
    if kind.HAS_STATUS:
        version["subresources"] = {"status": {}}
    if kind.PRINTER_COLUMNS:
        version["additionalPrinterColumns"] = [
            {"name": column.name, "jsonPath": column.json_path, "type": column.type}
            for column in kind.PRINTER_COLUMNS
        ]
    names: dict[str, Any] = {
        "kind": kind.KIND,
        "listKind": f"{kind.KIND}List",
        "plural": kind.PLURAL,
        "singular": kind.SINGULAR,
    }
    if kind.SHORT_NAMES:
        names["shortNames"] = list(kind.SHORT_NAMES)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.PLURAL}.{kind.GROUP}"},
        "spec": {"group": kind.GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the manifests; the exit code is 0."""
    by_name = {kind.KIND: kind for kind in KINDS}
    parser = argparse.ArgumentParser(
        prog="python -m dpf_async.crds",
        description="Print the CRDs of the DPF kinds, ready for `kubectl apply --server-side -f -`.",
    )
    parser.add_argument(
        "--kind",
        action="append",
        choices=sorted(by_name),
        metavar="KIND",
        help="only this kind, such as DPU; may be given more than once",
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON list, instead of one YAML document per kind"
    )
    options = parser.parse_args(arguments)
    wanted = manifests(by_name[name] for name in options.kind) if options.kind else manifests()
    if options.json:
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted}, indent=2))
    else:
        # JSON is valid YAML: writing it needs no YAML library.
        print("\n---\n".join(json.dumps(one, indent=2) for one in wanted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
