"""Load scenarios through `driver/assay run`: an honest engine, and one that remembers the samples that LoadGen repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cheats.test_whole_runs import REMEMBERS, assay
from tests.harness.interpreters import cpu_stack
from tests.short_run import SHORT_S, copy_of_cpu

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
def stacks() -> None:
    python, why = cpu_stack()
    if python is None:
        pytest.skip(why)


def run(folder: Path, *words: str, cheat: str = "") -> tuple[int, dict[str, Any]]:
    """Run vit_digits with vendor cpu; nothing is validated."""
    path = copy_of_cpu(folder, validates=False) / "engines" / "onnxruntime.py"
    path.write_text(path.read_text(encoding="utf-8") + cheat, encoding="utf-8")
    return assay(folder, "run", *words, seconds=SHORT_S)


def codes(result: dict[str, Any]) -> set[str]:
    return {warning["code"] for warning in result["warnings"]}


def test_an_honest_engine_answers_as_it_is_scored(tmp_path: Path) -> None:
    words = ("--scenario", "server", "--latency-bound", "5s", "--target-qps", "20")
    code, result = run(tmp_path, *words)
    assert (code, result["status"]) == (0, "ok"), result["failure"]
    found = result["metrics"]["scenario"]
    assert (found["name"], found["agreement"]) == ("server", 1.0)
    assert found["tried"][0]["met"]
    assert found["loadgen"].startswith("6.")
    (kept,) = (tmp_path / "results").rglob("performance/run_1/mlperf_log_detail.txt")
    assert kept.stat().st_size > 0
    assert "scenario" in result["provenance"]["clock"]["infer-0"]["loops"]


SLOW = """
_computed = ENGINE.infer


def _slowly(self, inputs):
    import time

    time.sleep(0.005)
    return _computed(self, inputs)


ENGINE.infer = _slowly
"""
"""On a busy machine, what comes before a remembered call takes as long as computing vit_digits does."""


def test_an_engine_that_remembers_batches_is_marked(tmp_path: Path) -> None:
    code, result = run(tmp_path, "--scenario", "offline", cheat=SLOW + REMEMBERS)
    assert code == 0, result["failure"]
    found = result["metrics"]["scenario"]
    assert found["samples_per_s"] > 1.1 * result["metrics"]["p_infer_core"]
    assert "scenario_exceeds_core" in codes(result)
