"""The bench of the decode loop: its verdict, and its loop on the model that computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench import bench_decode

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("used", "status"), [(399.0, 0), (401.0, 1)])
def test_the_promise_is_per_token(
    used: float, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_decode, "ROWS", ((8, 256),))
    monkeypatch.setattr(bench_decode, "cost", lambda *_: (used, 1000.0))
    assert bench_decode.main([]) == status
    assert f"{used / 8:.1f} µs per token" in capsys.readouterr().out


def test_the_loop_runs_whole_sequences_in_both_processes(tmp_path: Path) -> None:
    used, wall = bench_decode.cost(tmp_path / "job", 1, 256, 200)
    assert used > 0
    assert wall > 0
