"""The CRDs that test servers start with: those generated from the models, or upstream's own if they are available."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from dpf_async import crds
from tests.support.shared import shared_path

__all__ = ["CRD_SETS", "chosen_set", "manifests_of", "with_newer_phases"]

Manifest = dict[str, Any]  # Any: it is JSON

CRD_SETS: Final = ("generated", "upstream")
_CHOSEN: Final = "DPF_TEST_CRDS"


def chosen_set() -> str:
    """The set of $DPF_TEST_CRDS; by default upstream's if they are available, else the generated ones."""
    if chosen := os.environ.get(_CHOSEN):
        assert chosen in CRD_SETS, f"${_CHOSEN} is one of {CRD_SETS}"
        return chosen
    folder = Path(os.environ.get("DPF_SHARED") or Path(__file__).resolve().parents[3] / "shared")
    return "upstream" if (folder / "crds").exists() else "generated"


def manifests_of(crd_set: str) -> list[Manifest]:
    """The manifests of a set; the caller may change them."""
    manifests: list[Manifest] = json.loads(_encoded(crd_set))
    return manifests


@cache
def _encoded(crd_set: str) -> str:
    """The manifests as JSON, once per process: parsing upstream's YAML takes seconds."""
    if crd_set == "generated":
        return json.dumps(crds.manifests())
    return json.dumps(
        [yaml.safe_load(file.read_text()) for file in sorted(shared_path("crds").glob("*.yaml"))]
    )


def with_newer_phases(manifest: Manifest, *phases: str) -> Manifest:
    """The CRD of DPU of a later release, with more phases."""
    changed: Manifest = json.loads(json.dumps(manifest))
    for version in changed["spec"]["versions"]:
        status = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
        for field in ("phase", "previousPhase"):
            enum = status[field]["enum"]
            enum += [phase for phase in phases if phase not in enum]
    return changed
