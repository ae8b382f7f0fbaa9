"""The bench of changing inputs: its verdict, and its two loops on a true model."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, cast

import pytest

from driver.system.settings import ROOT
from tests.bench.bench_core_inputs import LOOPS, measure
from tests.bench.jobs import catalog_of_the_tree, look
from tests.bench.row import Row
from tests.bench.test_bench_onnxruntime import Scripted as Benched
from tests.harness.interpreters import cpu_stack
from tests.vendor_hooks.vendor_job import write_graph
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path


class Scripted(Benched):
    """A bench whose loops print what the test says."""

    def __init__(self, ratio: float) -> None:
        super().__init__(100.0)
        self._ratio = ratio

    def bare(self, choice: Any, words: Any, folder: Path) -> Any:
        ratios = {"5": 1.0, "25": self._ratio, "50": 0.5}
        return json.dumps(
            {
                "call_ns": 2e6,
                "change_ns": 5000,
                "change_share": 0.0025,
                "changed_share_of_items": 0.5,
                "rate_ratio_by_percentile_of_call_time": ratios,
            }
        )


@pytest.mark.parametrize(("ratio", "reached"), [(0.98, True), (0.979, False)])
def test_the_lower_quartile_decides(
    ratio: float, reached: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row.parse("vit_digits:fp32:16").request("cpu", "onnxruntime")
    choice = look(row, catalog_of_the_tree(), 1)
    assert measure(cast("Any", Scripted(ratio)), choice, 1) is reached
    assert "5.0 µs (0.25% of a call, 50.0% of each item)" in capsys.readouterr().out


@pytest.mark.stack
def test_the_loops_run_a_model(tmp_path: Path) -> None:
    python, why = cpu_stack()
    if python is None:
        pytest.skip(why)
    write_graph(tmp_path / "model.onnx", batch="batch", opset=17)
    words = [
        *map(str, (python, LOOPS, ROOT / "vendor_hooks", tmp_path / "model.onnx")),
        *("1", "4", "1"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert json.loads(done.stdout)["calls"] > 10
