"""pip and uv that know one folder of wheels and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.driver.wheels import offline

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of wheels that is all that pip and uv know; empty at first."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "UV_INDEX", "UV_DEFAULT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in offline(folder).items():
        monkeypatch.setenv(name, value)
    return folder
