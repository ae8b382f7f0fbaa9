"""The bench of load scenarios: its verdict, and every scenario on the engine that computes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.bench import bench_scenario

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("used", "status"), [(19.0, 0), (21.0, 1)])
def test_the_promise_is_per_query(
    used: float, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_scenario, "ROWS", (("server", 32),))
    monkeypatch.setattr(bench_scenario, "cost", lambda *_: (used, 10.0, 1000))
    assert bench_scenario.main([]) == status
    assert f"{used:.1f} µs of processor time per query" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "batch_size"), bench_scenario.ROWS)
def test_every_scenario_is_measured(name: str, batch_size: int, tmp_path: Path) -> None:
    used, latency, queries = bench_scenario.cost(tmp_path / "job", name, batch_size, 0.1)
    assert used > 0
    assert latency > 0
    assert queries > 10
