"""benchmark.x86_64's performance files: document 004's, and what is not one."""

from __future__ import annotations

from pathlib import Path

import pytest

from vendor_hooks.ascend import benchmark_output

RECORDED = Path(__file__).parent / "recorded"


def read(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "rate", "card"),
    [
        ("310-bs1", 263.872, 1055.488),
        ("310-bs4", 580.005, 2320.02),
        ("310-bs8", 673.207, 2692.828),
        ("310-bs16", 714.514, 2858.056),
        ("310-bs32", 683.088, 2732.352),
    ],
)
def test_document_004_files_give_the_card_rates_of_the_document(
    name: str, rate: float, card: float
) -> None:
    summary = benchmark_output.parse(read(f"document-004-{name}.txt"))
    assert summary.interface_rate == rate
    assert summary.card_rate(4) == pytest.approx(card, abs=1e-9)


def test_document_004_310p_has_one_chip_a_card() -> None:
    summary = benchmark_output.parse(read("document-004-310p-bs1.txt"))
    assert summary.card_rate(1) == 624.486


def test_e2e_latency_is_the_whole_run_in_ms() -> None:
    summary = benchmark_output.parse(read("document-004-310-bs1.txt"))
    assert summary.wall_s == 268.866
    assert abs(summary.items - 50000) <= 1


def test_post_counts_batches() -> None:
    summary = benchmark_output.parse(read("document-004-310-bs16.txt"))
    assert summary.module_rates["post"] * 16 == pytest.approx(summary.infer_rate, rel=1e-3)


def test_the_longer_module_names_and_exponents_are_read() -> None:
    text = (
        read("document-004-310-bs1.txt")
        .replace("[infer]", "[inference]")
        .replace("[post]", "[postprocess]")
        .replace("268866", "2.68866e+05")
    )
    assert benchmark_output.parse(text) == benchmark_output.parse(read("document-004-310-bs1.txt"))


def test_file_name_tells_batch_and_device() -> None:
    name = benchmark_output.parse_file_name("result/perf_vision_batchsize_16_device_1.txt")
    assert (name.kind, name.batch_size, name.device) == ("vision", 16, 1)
    with pytest.raises(benchmark_output.BenchmarkFormatError, match="perf_vision"):
        benchmark_output.parse_file_name("perf_vision.txt")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[data read]", "[dvpp]", "line 2: the tool has no module"),
        ("263.872", "quick", "line 4: cannot read 'Interface throughputRate: quick'"),
        ("263.872", "-1", "line 4: cannot read"),
        ("263.872", "nan", "line 4: cannot read"),
        ("moduleLatency: 5.06532", "moduleTime: 5.06532", "line 2: cannot read"),
        (
            "Interface throughputRate: 263.872, ",
            "",
            r"no Interface throughputRate in its \[infer\]",
        ),
        ("throughputRate: 196.443, ", "", "line 3: throughputRate is missing"),
    ],
)
def test_unknown_line_is_named(old: str, new: str, expected: str) -> None:
    text = read("document-004-310-bs1.txt").replace(old, new, 1)
    with pytest.raises(benchmark_output.BenchmarkFormatError, match=expected):
        benchmark_output.parse(text)


@pytest.mark.parametrize("rate", ["263.872", "185.966"])
def test_a_rate_of_nothing_is_refused(rate: str) -> None:
    with pytest.raises(benchmark_output.BenchmarkFormatError, match="nothing was timed"):
        benchmark_output.parse(read("document-004-310-bs1.txt").replace(rate, "0", 1))


def test_empty_file_is_refused() -> None:
    with pytest.raises(benchmark_output.BenchmarkFormatError, match="lines found: none"):
        benchmark_output.parse("\n")
