"""progress.json: for display, at most twice a second, never in the measurement's way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.harness.modules import progress

if TYPE_CHECKING:
    from pathlib import Path


def test_the_file_says_phase_done_total_unit_and_rate(tmp_path: Path) -> None:
    with progress.ProgressFile(tmp_path) as ticker:
        ticker.phase("whole", 400, "items")
        ticker.done = 100
    document = json.loads((tmp_path / "progress.json").read_text())
    assert document.pop("rate") > 0
    assert document == {"phase": "whole", "done": 100, "total": 400, "unit": "items"}


def test_it_is_written_at_most_twice_a_second() -> None:
    assert progress.INTERVAL_S >= 0.5


def test_the_ticker_writes_while_the_stage_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "INTERVAL_S", 0.01)
    ticker = progress.ProgressFile(tmp_path)
    with ticker:
        path = tmp_path / "progress.json"
        while not path.exists():
            assert ticker._thread.is_alive()
    assert not ticker._thread.is_alive()


def test_a_folder_that_takes_no_file_does_not_end_the_stage(tmp_path: Path) -> None:
    with progress.ProgressFile(tmp_path / "gone") as ticker:
        ticker.done = 1
    assert not (tmp_path / "gone").exists()
