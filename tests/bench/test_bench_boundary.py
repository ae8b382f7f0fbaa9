"""The bench of the engine's own process: its verdict, and its loops on a true model."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from driver.system.settings import ROOT
from tests.bench.bench_boundary import LOOPS, measure
from tests.bench.jobs import catalog_of_the_tree, look
from tests.bench.row import Row
from tests.bench.test_bench_onnxruntime import Scripted as Benched
from tests.harness.interpreters import cpu_stack
from tests.vendor_hooks.vendor_job import write_graph
from tests.waiting import PATIENCE_S


class Scripted(Benched):
    """A bench whose loops print what the test says."""

    def __init__(self, ratio: float, call_ns: float) -> None:
        super().__init__(100.0)
        self._figures = {"core_ratio": ratio, "call_ns": call_ns}

    def bare(self, choice: Any, words: Any, folder: Path) -> Any:
        return json.dumps(
            {
                "core_ratio_quartiles": [0.9, 1.1],
                "latency_ns": 2e6,
                "latency_added_ns": 40_000,
                "message_ns": 20_000,
                **self._figures,
            }
        )


@pytest.mark.parametrize(
    ("ratio", "call_ns", "passed"), [(0.99, 1e6, True), (0.989, 1e6, False), (0.9, 9e5, True)]
)
def test_calls_of_a_millisecond_and_more_decide(
    ratio: float, call_ns: float, passed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row.parse("vit_digits:fp32:16").request("cpu", "onnxruntime")
    choice = look(row, catalog_of_the_tree(), 1)
    assert measure(cast("Any", Scripted(ratio, call_ns)), choice, 1) is passed
    assert "with +40 µs; an empty message 20 µs" in capsys.readouterr().out


@pytest.mark.stack
@pytest.mark.parametrize(
    ("vendor", "engine"),
    [
        (ROOT / "vendor_hooks" / "cpu", "onnxruntime"),
        (LOOPS.with_name("device"), "sleeping:1000000:2"),
    ],
)
def test_the_loops_run_on_both_sides(tmp_path: Path, vendor: Path, engine: str) -> None:
    python, why = cpu_stack()
    if python is None:
        pytest.skip(why)
    (tmp_path / "model").mkdir()
    model = tmp_path / "model" / "model.onnx"
    write_graph(model, batch="batch", opset=17)
    words = [
        *map(str, (python, LOOPS, ROOT / "vendor_hooks", vendor, engine, model)),
        *("1", "4", "1"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert json.loads(done.stdout)["core_ratio"] > 0
