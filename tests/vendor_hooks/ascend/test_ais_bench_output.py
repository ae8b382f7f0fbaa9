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
    assert summary.items_per_second() == pytest.approx(4000 / 3.0)
    assert summary.compute.calls == 5
    assert summary.compute_ms == (2.4, 2.5, 2.6)
    assert summary.outputs == {"0": ("out/000001_0.bin",)}


def test_older_generation_lies_inside_it_under_another_spelling(tmp_path: Path) -> None:
    folder = tmp_path / "2022_08_11-10_37_29"
    folder.mkdir()
    (folder / "sumary.json").write_text(json.dumps(document(1, 2.5239520602756076, None)))
    summary = ais_bench_output.read(str(tmp_path), 1)
    assert summary.generation == "0.0.1"
    assert summary.device_rate == 396.2040387925606
    assert summary.compute.calls is None


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
    ("key", "value", "told"),
    [
        ("throughput", "fast", "throughput is 'fast'"),
        ("throughput", None, "throughput is None"),
        ("NPU_compute_time", None, "no NPU_compute_time"),
        ("NPU_compute_time", 5, "NPU_compute_time is 5"),
        ("H2D_latency", {"min": 1}, "H2D_latency.max is None"),
        ("filesinfo", [], "filesinfo is"),
    ],
)
def test_unknown_key_is_named(key: str, value: object, told: str) -> None:
    with pytest.raises(ais_bench_output.AisBenchFormatError, match=told):
        ais_bench_output.parse(json.dumps({**document(), key: value}), 4)


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_not_a_json_object_is_refused(text: str) -> None:
    with pytest.raises(ais_bench_output.AisBenchFormatError, match=r"summary\.json"):
        ais_bench_output.parse(text, 1)


def test_without_copies_there_is_no_rate_with_them() -> None:
    data = document()
    del data["H2D_latency"]
    assert ais_bench_output.parse(json.dumps(data), 4).items_per_second() is None


@pytest.mark.parametrize(
    ("line", "batch", "rate"),
    [
        ("throughput 1000*batchsize(16)/NPU_compute_time.mean(10.348920078277589): 1546.05503",
         16, 1546.05503),
        ("throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(3.5538000106811523): 281.388938",
         1, 281.388938),
    ],
)  # fmt: skip
def test_both_spellings_of_the_printed_rate(line: str, batch: float, rate: float) -> None:
    text = f"[INFO] ----\n[INFO] {line}\n[INFO] unload model success, model Id is 1\n"
    assert ais_bench_output.parse_stdout(text) == (batch, rate)


@pytest.mark.parametrize(
    ("text", "told"),
    [("[ERROR] load model failed\n", "load model failed"),
     ("[INFO] throughput 1000*n/x: 5\n", "no version prints throughput as")],
)  # fmt: skip
def test_stdout_of_another_form_is_named(text: str, told: str) -> None:
    with pytest.raises(ais_bench_output.AisBenchFormatError, match=told):
        ais_bench_output.parse_stdout(text)
