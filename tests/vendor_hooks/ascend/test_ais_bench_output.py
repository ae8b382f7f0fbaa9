"""ais_bench's summary JSON in the places of its two generations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vendor_hooks.ascend import ais_bench_output


def timing(mean: float, count: int | None = 5) -> dict[str, float]:
    row: dict[str, float] = {
        "min": mean * 0.9, "max": mean * 1.2, "mean": mean, "median": mean,
        "percentile(99%)": mean * 1.19,
    }  # fmt: skip
    return row if count is None else {**row, "count": count}


def document(batch: int = 4, mean: float = 2.5, count: int | None = 5) -> dict[str, Any]:
    return {
        "filesinfo": {"0": {"infiles": ["in/000001.bin"], "outfiles": ["out/000001_0.bin"]}},
        "args": {"model": "vit_bs4.om", "batchsize": batch},
        "NPU_compute_time": timing(mean, count),
        "H2D_latency": timing(0.3, count),
        "D2H_latency": timing(0.2, count),
        "throughput": 1000 * batch / mean,
        "npu_compute_time_list": [2.4, 2.5, 2.6],
        "pid": 4711,
    }


def test_newer_generation_lies_beside_the_timestamp_folder(tmp_path: Path) -> None:
    (tmp_path / "2023_02_20-06_40_30").mkdir()
    (tmp_path / "2023_02_20-06_40_30_summary.json").write_text(json.dumps(document()))
    summary = ais_bench_output.read(str(tmp_path), 4)
    assert summary.generation == "0.0.2"
    assert summary.device_rate == 1600.0
    assert summary.compute.entries == 5
    assert summary.compute_ms == (2.4, 2.5, 2.6)
    assert summary.outputs == {"0": ("out/000001_0.bin",)}


def test_older_generation_lies_inside_it_under_another_spelling(tmp_path: Path) -> None:
    folder = tmp_path / "2022_08_11-10_37_29"
    folder.mkdir()
    (folder / "sumary.json").write_text(json.dumps(document(1, 2.5239520602756076, None)))
    summary = ais_bench_output.read(str(tmp_path), 1)
    assert summary.generation == "0.0.1"
    assert summary.device_rate == 396.2040387925606
    assert summary.compute.entries is None


def test_newest_run_counts(tmp_path: Path) -> None:
    for stamp, mean in (("2023_02_20-06_40_30", 2.0), ("2023_02_21-06_40_30", 4.0)):
        path = tmp_path / f"{stamp}_summary.json"
        path.write_text(json.dumps(document(4, mean)))
    assert ais_bench_output.read(str(tmp_path), 4).compute.mean_ms == 4.0


def test_throughput_counts_items_and_is_not_multiplied_again() -> None:
    assert ais_bench_output.parse(json.dumps(document(4)), 4).device_rate == 1600.0


def test_rate_of_another_batch_size_is_refused() -> None:
    with pytest.raises(ais_bench_output.AisBenchFormatError, match="--batchsize 8"):
        ais_bench_output.parse(json.dumps(document(4)), 8)


def test_no_summary_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(ais_bench_output.AisBenchFormatError, match="Did ais_bench run"):
        ais_bench_output.find_summary(str(tmp_path))
    with pytest.raises(ais_bench_output.AisBenchFormatError, match="Did ais_bench run"):
        ais_bench_output.find_summary(str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("throughput", "fast", "throughput is 'fast'"),
        ("throughput", None, "throughput is None"),
        ("NPU_compute_time", None, "NPU_compute_time is missing"),
        ("NPU_compute_time", 5, "NPU_compute_time is 5"),
        ("H2D_latency", {"min": 1}, "H2D_latency.max is None"),
        ("H2D_latency", {"max": 1, "mean": 1, "count": "2"}, "H2D_latency.count is '2'"),
        ("npu_compute_time_list", "2.5", "npu_compute_time_list has '2.5'"),
        ("filesinfo", [], "filesinfo is"),
    ],
)
def test_unknown_key_is_named(key: str, value: object, expected: str) -> None:
    with pytest.raises(ais_bench_output.AisBenchFormatError, match=expected):
        ais_bench_output.parse(json.dumps({**document(), key: value}), 4)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_not_a_json_object_is_refused(text: str) -> None:
    with pytest.raises(ais_bench_output.AisBenchFormatError, match=r"summary\.json"):
        ais_bench_output.parse(text, 1)


def times_of(
    data: dict[str, Any], batches: int, inputs: int, outputs: int
) -> ais_bench_output.BatchTimes:
    return ais_bench_output.parse(json.dumps(data), 4).batch_times(batches, inputs, outputs)


def test_a_batch_copies_each_of_its_tensors_once_however_often_it_is_executed() -> None:
    """Two batches of two inputs and three outputs, executed five times each."""
    counts = {"NPU_compute_time": 10, "H2D_latency": 4, "D2H_latency": 6}
    data = document(count=None)
    for key, count in counts.items():
        data[key]["count"] = count
    times = times_of(data, 2, 2, 3)
    assert times == pytest.approx((2 * 0.3, 2.5, 3 * 0.2))
    assert times.total_ms == pytest.approx(0.6 + 2.5 + 0.6)


def test_where_nothing_is_counted_each_tensor_is_a_copy() -> None:
    assert times_of(document(count=None), 5, 2, 3) == pytest.approx((2 * 0.3, 2.5, 3 * 0.2))


def test_a_copy_of_no_time_was_not_timed() -> None:
    data = {**document(), "D2H_latency": timing(0.0)}
    assert times_of(data, 5, 1, 1) == (0.3, 2.5, None)
    assert times_of(data, 5, 1, 1).total_ms == pytest.approx(2.8)


def test_without_copies_a_batch_is_its_compute() -> None:
    data = document()
    del data["H2D_latency"], data["D2H_latency"]
    assert times_of(data, 5, 1, 1) == (None, 2.5, None)


def test_nothing_timed_is_refused() -> None:
    """As the tool writes it: a throughput of 0 where the mean is."""
    data = {**document(), "NPU_compute_time": timing(0.0), "throughput": 0}
    with pytest.raises(ais_bench_output.AisBenchFormatError, match="mean is 0: nothing was timed"):
        ais_bench_output.parse(json.dumps(data), 4)


def test_the_newest_release_names_the_percentile_otherwise() -> None:
    """P99 for percentile(99%), in a file that else is what it was."""
    data = document()
    for key in ais_bench_output.TIMES:
        data[key]["P99"] = data[key].pop("percentile(99%)")
    summary = ais_bench_output.parse(json.dumps(data), 4)
    assert (summary.compute.mean_ms, summary.compute_ms) == (2.5, (2.4, 2.5, 2.6))


def test_executions_that_overlap_are_refused() -> None:
    data = {**document(), "npu_compute_time_list": [[0.0, 2.5], [1.0, 3.5]]}
    with pytest.raises(ais_bench_output.AisBenchFormatError, match=r"time_list has \[0\.0, 2\.5\]"):
        ais_bench_output.parse(json.dumps(data), 4)
