"""The bench of vendor cpu: its yardsticks are warm, one set as we are, one as it is by default."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driver.models.result import Result
from tests import documents
from tests.bench import bench_onnxruntime
from tests.bench.bench_onnxruntime import BARE, main
from tests.bench.jobs import Bench
from tests.standins_tests import tiny_model
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.plan.choice import Choice

EFFECTIVE = {"threads": 2, "spinning": {"session.force_spinning_stop": "1"}}


class Scripted(Bench):
    """A job that reached 100 items/s, and bare loops that reach what a test says."""

    def __init__(self, theirs: float, default: float = 100) -> None:
        self.theirs, self.default = theirs, default
        self.words: list[Sequence[str]] = []

    def run(self, choice: Choice) -> Result:
        key = documents.job(vendor="cpu", engine="onnxruntime")
        provenance = documents.provenance(key) | {"effective": {"infer": EFFECTIVE}}
        body = documents.document(job=key, provenance=provenance, metrics=documents.metrics(100.0))
        return Result.model_validate_json(json.dumps(body))

    def model(self, choice: Choice) -> Path:
        return Path("/model.onnx")

    def bare(self, choice: Choice, words: Sequence[str], folder: Path) -> str:
        self.words.append(words)
        its_own = "=" not in words[-1]
        return f"{self.default if its_own else self.theirs}\n"


@pytest.mark.parametrize(("theirs", "code"), [(100, 0), (104, 0), (96, 0), (106, 1), (60, 1)])
def test_the_promise_holds_to_both_sides(
    monkeypatch: pytest.MonkeyPatch, theirs: float, code: int
) -> None:
    # Faster than a loop of nothing but session.run: the two did not do the same work.
    bench = Scripted(theirs)
    monkeypatch.setattr(bench_onnxruntime, "open_bench", lambda _catalog: nullcontext(bench))
    assert main(["--row", "vit_b_32:fp32:8", "--pairs", "1"]) == code


@pytest.mark.parametrize(("default", "code"), [(60, 0), (104, 0), (106, 1)])
def test_a_setting_of_ours_must_not_cost_what_the_runtime_reaches_with_its_own(
    monkeypatch: pytest.MonkeyPatch, default: float, code: int
) -> None:
    bench = Scripted(100, default)
    monkeypatch.setattr(bench_onnxruntime, "open_bench", lambda _catalog: nullcontext(bench))
    assert main(["--row", "vit_b_32:fp32:8", "--pairs", "1"]) == code


def test_the_bare_loop_gets_the_settings_that_ours_read_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Scripted(100)
    monkeypatch.setattr(bench_onnxruntime, "open_bench", lambda _catalog: nullcontext(bench))
    main(["--row", "vit_b_32:fp32:8", "--pairs", "1", "--seconds", "7"])
    words = [str(BARE), "/model.onnx", "2", "8", "7"]
    assert bench.words == [[*words, "session.force_spinning_stop=1"], words]


def test_the_bare_loop_runs_a_model_and_prints_its_rate(tmp_path: Path) -> None:
    model = tiny_model.write(tmp_path)
    words = [str(model), "1", "2", "0.2", "session.intra_op.spin_duration_us=50"]
    command = [sys.executable, str(BARE), *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
    assert float(done.stdout) > 0
