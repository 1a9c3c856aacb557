"""Paths of the reference material, which is not part of this project.

Tests that compare with it are skipped if it is missing; in CI they fail, so that the comparison always runs there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["shared_path"]


def shared_path(*parts: str) -> Path:
    """A path inside the shared folder, which is next to the repository or at $DPF_SHARED.

    If it is missing, the test is skipped, or fails if $CI is set.
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
