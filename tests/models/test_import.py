"""The import of the models loads pydantic and no other large package."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dpf_async


def after_importing(module: str, expression: str) -> str:
    # The package imports all layers; without it, only the imports of the models themselves remain.
    alone = (
        "import sys, types\n"
        "package = types.ModuleType('dpf_async')\n"
        f"package.__path__ = {[*dpf_async.__path__]!r}\n"
        "sys.modules['dpf_async'] = package\n"
    )
    program = f"{alone}import {module}\nprint({expression})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["dpf_async.models", "dpf_async.crds"])
def test_importing_the_models_imports_no_client_and_no_yaml(module: str) -> None:
    large = (
        "aiohttp",
        "anyio",
        "asyncio",
        "jsonschema",
        "kubernetes_asyncio",
        "msgspec",
        "structlog",
        "yaml",
    )

    loaded = after_importing(module, f"[name for name in {large!r} if name in sys.modules]")

    assert loaded == "[]"


def test_importing_the_models_builds_no_validator() -> None:
    # Building all takes half the time of the import, and most programs use few kinds.
    built = after_importing(
        "dpf_async.models",
        "[kind.KIND for kind in dpf_async.models.KINDS if kind.__pydantic_complete__]",
    )

    assert built == "[]"
