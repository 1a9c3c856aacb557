"""Where the reference material lies that is not part of this project, and what happens without it.

Tests that hold this project against that material skip, saying so; in CI they fail, since a check that nobody
runs is none.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["shared_path"]


def shared_path(*parts: str) -> Path:
    """The path inside the shared folder: beside the repository, or where DPF_SHARED points.

    Skips the test without it; fails it where CI is set.
    """
    repository = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("DPF_SHARED") or repository.parent / "shared")
    path = folder.joinpath(*parts)
    if path.exists():
        return path
    message = f"{path} is not there: this test compares with the shared reference material (set DPF_SHARED)"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
