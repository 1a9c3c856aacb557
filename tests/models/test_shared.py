"""Tests that need the reference material are skipped without it, and fail in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shared import shared_path


def test_a_test_without_its_material_is_skipped_with_the_missing_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DPF_SHARED", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception) as skipped:
        shared_path("crds", "none.yaml")

    assert str(tmp_path / "crds" / "none.yaml") in str(skipped.value)


def test_a_test_without_its_material_fails_in_ci(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DPF_SHARED", str(tmp_path))
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception):
        shared_path("crds")


def test_the_folder_of_the_material_can_be_configured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "facts").touch()
    monkeypatch.setenv("DPF_SHARED", str(tmp_path))

    assert shared_path("facts") == tmp_path / "facts"
