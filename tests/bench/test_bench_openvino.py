"""The verdicts of the bench of intel: what reaches a goal, what really ran, what this processor can."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.models.result import Result
from tests import documents
from tests.bench import bench_openvino
from tests.bench.bench_openvino import main, processor
from tests.bench.benchmark_app import settings_of
from tests.bench.jobs import Bench, NotComparable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from driver.plan.choice import Choice

# As OpenVINO 2026.4.1 printed it on a processor with AVX512_BF16 and no AMX, cut to the lines around.
PRINTED = """\
[Step 8/11] Querying optimal runtime parameters
[ INFO ] Model:
[ INFO ]   NETWORK_NAME: onnx_Frontend_IR
[ INFO ]   OPTIMAL_NUMBER_OF_INFER_REQUESTS: 2
[ INFO ]   NUM_STREAMS: 2
[ INFO ]   INFERENCE_NUM_THREADS: 2
[ INFO ]   PERF_COUNT: NO
[ INFO ]   INFERENCE_PRECISION_HINT: <Type: 'bfloat16'>
[ INFO ]   PERFORMANCE_HINT: THROUGHPUT
[ INFO ]   EXECUTION_MODE_HINT: ExecutionMode.PERFORMANCE
[ INFO ]   PERFORMANCE_HINT_NUM_REQUESTS: 0
[Step 9/11] Creating infer requests and preparing input tensors
"""
SETUP = {"batch size": "32", "number of parallel infer requests": "2"}
EFFECTIVE = {
    "inference_precision_hint": "bf16",
    "node_precisions": {"bf16": 74, "f32": 2},
    "performance_hint": "THROUGHPUT",
    "streams": 2,
    "threads": 2,
    "in_flight": 2,
}
IN_FP32 = {"inference_precision_hint": "f32", "node_precisions": {"f32": 76}}
ROW = "vit_b_32:bf16:32"
"""The row that is compared with eager fp32 as well."""


class Scripted(Bench):
    """Jobs and a benchmark_app that say what a test tells them to; all that reads them is real."""

    def __init__(self, *, ours: float = 160.0, theirs: float = 160.0, eager: float = 30.0) -> None:
        self.rates = {"openvino": ours, "eager": eager}
        self.theirs = theirs
        self.printed = PRINTED
        self.effective: dict[str, Any] = EFFECTIVE
        self.setup = SETUP
        self.eager_threads = 2

    def run(self, choice: Choice) -> Result:
        infer = self.effective if choice.engine_name == "openvino" else {}
        infer = infer or {"threads": self.eager_threads}
        key = documents.job(vendor=choice.vendor.name, engine=choice.engine_name)
        provenance = documents.provenance(key) | {"effective": {"infer": infer}}
        metrics = documents.metrics(self.rates[choice.engine_name])
        body = documents.document(job=key, provenance=provenance, metrics=metrics)
        return Result.model_validate_json(json.dumps(body))

    def model(self, choice: Choice) -> Path:
        return Path("/model.onnx")

    def bare(self, choice: Choice, words: Sequence[str], folder: Path) -> str:
        report = {
            "configuration_setup": self.setup,
            "execution_results": {"throughput": str(self.theirs)},
        }
        (folder / "benchmark_report.json").write_text(json.dumps(report), encoding="utf-8")
        return self.printed


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    bench = Scripted()
    monkeypatch.setattr(bench_openvino, "open_bench", lambda _catalog: nullcontext(bench))
    return bench


def test_all_goals_reached_is_0(scripted: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--row", ROW]) == 0
    expected = capsys.readouterr().out
    assert "ratio 1.000 (pairs 1.000–1.000): reached 0.98; 5 pairs" in expected
    assert "eager fp32 bs 32: 30 items/s (30–30), bf16 is 5.33 times that: reached 4.0" in expected


def test_below_benchmark_app_is_1(scripted: Scripted) -> None:
    scripted.theirs = 170.0
    assert main(["--row", ROW, "--no-eager"]) == 1


def test_below_the_eager_goal_is_1_and_says_what_the_processor_can(
    scripted: Scripted, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.rates["eager"] = 80.0
    flags = {"cpu_flags": ["avx512_bf16", "avx512f"]}
    monkeypatch.setattr(bench_openvino, "describe_host", lambda: flags)
    assert main(["--row", ROW]) == 1
    assert main(["--row", ROW, "--no-eager"]) == 0
    eager = next(line for line in capsys.readouterr().out.splitlines() if "eager" in line)
    assert "2.00 times that: below 4.0" in eager
    assert "amx_bf16 no, avx512_bf16 yes, avx512f yes" in eager
    assert "at most twice" in eager


def test_a_row_without_an_eager_goal_shows_eager_and_is_not_held_to_it(
    scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted.rates["eager"] = 80.0
    scripted.setup = SETUP | {"batch size": "1"}
    assert main(["--row", "vit_b_32:bf16:1"]) == 0
    assert "eager fp32 bs 1: 80 items/s (80–80)" in capsys.readouterr().out


def test_one_row_below_its_goal_does_not_keep_the_others_from_being_measured(
    scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted.theirs = 170.0
    assert main(["--row", ROW, "--row", ROW, "--no-eager"]) == 1
    assert capsys.readouterr().out.count("below 0.98") == 2


def test_a_row_in_another_precision_than_its_name_reaches_nothing(
    scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    # A processor without bf16: OpenVINO takes fp32 on both sides, and the ratio looks fine.
    scripted.effective = EFFECTIVE | IN_FP32
    scripted.printed = PRINTED.replace("bfloat16", "float32")
    assert main(["--row", ROW]) == 1
    expected = capsys.readouterr().out
    assert expected.count("fp32 ran, not bf16") == 2
    assert "reached" not in expected


def test_nodes_in_another_precision_than_the_hint_are_told(
    scripted: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    scripted.effective = EFFECTIVE | {"node_precisions": {"f32": 70, "bf16": 6}}
    assert main(["--row", ROW, "--no-eager"]) == 1
    assert "fp32 ran, not bf16" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("printed", "theirs", "expected"),
    [
        ("<Type: 'bfloat16'>", "<Type: 'float32'>", "precision bf16 against fp32"),
        ("INFERENCE_NUM_THREADS: 2", "INFERENCE_NUM_THREADS: 4", "threads 2 against 4"),
        ("NUM_STREAMS: 2", "NUM_STREAMS: 1", "streams 2 against 1"),
        (" PERFORMANCE_HINT: THROUGHPUT", " PERFORMANCE_HINT: LATENCY", "performance_hint"),
    ],
)
def test_a_benchmark_app_with_other_settings_is_not_compared(
    scripted: Scripted, printed: str, theirs: str, expected: str
) -> None:
    scripted.printed = PRINTED.replace(printed, theirs)
    with pytest.raises(NotComparable, match=expected):
        main(["--row", ROW])


@pytest.mark.parametrize("name", SETUP)
def test_nor_one_with_other_requests_or_another_batch(scripted: Scripted, name: str) -> None:
    scripted.setup = SETUP | {name: "1"}
    with pytest.raises(NotComparable, match="against 1"):
        main(["--row", ROW])


def test_nor_eager_with_other_threads(scripted: Scripted) -> None:
    scripted.eager_threads = 1
    with pytest.raises(NotComparable, match="eager ran with 1 threads, OpenVINO with 2"):
        main(["--row", ROW])


@pytest.mark.parametrize("key", ["INFERENCE_PRECISION_HINT", "INFERENCE_NUM_THREADS"])
def test_a_benchmark_app_that_does_not_say_what_ran_is_not_believed(key: str) -> None:
    with pytest.raises(NotComparable, match=f"{key} is not printed"):
        settings_of(PRINTED.replace(key, "SOMETHING"), {"configuration_setup": SETUP})


def test_what_a_processor_can_is_one_line() -> None:
    assert processor(["amx_bf16", "avx512_bf16", "avx512f"]) == (
        "amx_bf16 yes, avx512_bf16 yes, avx512f yes"
    )
    assert processor(["avx2"]).endswith("avx512f no: no instructions for bf16")
