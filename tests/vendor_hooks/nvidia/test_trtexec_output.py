"""trtexec's three generations of output, and document 004's T4 log."""

from __future__ import annotations

from pathlib import Path

import pytest

from vendor_hooks.nvidia import trtexec_lines, trtexec_output

RECORDED = Path(__file__).parent / "recorded"


def read(name: str) -> str:
    return (RECORDED / name).read_text(encoding="utf-8")


def test_document_004_t4_log_gives_the_published_figure() -> None:
    summary = trtexec_output.parse(read("document-004-t4-bs1.log"))
    assert summary.generation == "8.0-8.2"
    assert summary.items_per_second(1) == 231.086
    assert summary.timings["compute"].mean_ms == 4.29297
    assert summary.timings["end_to_end"].percentiles_ms == {99: 10.337}
    assert summary.passed is None
    assert summary.wall_s is None
    assert summary.queries is None


@pytest.mark.parametrize(
    ("qps", "batch", "drawn"),
    [
        ("184.037", 4, 736.148),
        ("152.263", 8, 1218.104),
        ("91.5943", 16, 1465.5088),
        ("59.0443", 32, 1889.4176),
    ],
)
def test_document_004_other_batches_are_rate_times_batch(
    qps: str, batch: int, drawn: float
) -> None:
    text = read("document-004-t4-bs1.log").replace("231.086", qps)
    assert trtexec_output.parse(text).items_per_second(batch) == pytest.approx(drawn, abs=1e-9)


def test_8_6_summary_has_three_percentiles_and_no_end_to_end() -> None:
    summary = trtexec_output.parse(read("trtexec-8.6.1.log"))
    assert (summary.generation, summary.version, summary.passed) == ("8.4+", "8.6.1", True)
    assert summary.items_per_second(8) == 215.68 * 8
    assert summary.timings["h2d"].percentiles_ms == {90: 0.28418, 95: 0.285645, 99: 0.292419}
    assert "end_to_end" not in summary.timings
    assert summary.wall_s == 3.01372
    assert summary.queries == 650
    assert len(summary.warnings) == 2


def test_8_2_summary_is_told_by_its_end_to_end_line() -> None:
    summary = trtexec_output.parse(read("trtexec-8.2.1.log"))
    assert (summary.generation, summary.version) == ("8.0-8.2", "8.2.1")
    assert summary.queries == 35


def test_7_2_counts_no_query_of_an_explicit_batch_so_the_rate_is_derived() -> None:
    summary = trtexec_output.parse(read("trtexec-7.2.3-explicit-batch.log"))
    assert (summary.generation, summary.version) == ("7.x", None)
    assert summary.throughput_source == "derived"
    assert summary.queries == 663
    assert summary.items_per_second(4) == pytest.approx(4 * 663 / 3.00956)
    assert summary.timings["end_to_end"].percentiles_ms == {99: 6.10291}
    assert summary.timings["enqueue"].mean_ms is None


def test_7_2_implicit_batch_already_counts_items() -> None:
    summary = trtexec_output.parse(read("trtexec-7.2.3-implicit-batch.log"))
    assert summary.implicit_batch == 4
    assert summary.items_per_second(4) == 72.3031


def test_derivation_agrees_with_the_rate_that_7_2_prints() -> None:
    text = read("trtexec-7.2.3-implicit-batch.log")
    derived = trtexec_output.parse(text.replace("72.3031", "0"))
    # Four items a query: the printed rate counts items, the derived one queries.
    assert derived.throughput_qps * 4 == pytest.approx(72.3031, rel=1e-4)


def test_failed_run_names_its_first_error() -> None:
    text = read("trtexec-8.5.3-failed.log")
    with pytest.raises(trtexec_lines.TrtexecFormatError, match=r"line 3: .*explicit shapes"):
        trtexec_output.parse(text)
    assert trtexec_output.errors(text)[0].startswith("Static model does not take explicit shapes")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Throughput: 215.68 qps", "Throughput: 215.68 fps", r"line 3: .*215\.68 fps"),
        ("Throughput: 215.68 qps", "Throughput: fast qps", "line 3: 'fast' is not a number"),
        ("min = 5.04614 ms", "min = 5.04614 fortnights", "line 4: 'fortnights' is not a unit"),
        ("min = 5.04614 ms", "least = 5.04614 ms", r"line 4: expected 'min = X ms"),
        ("H2D Latency", "Copy Latency", "line 6: no known performance summary"),
        ("min = 4.59161 ms, ", "", "line 7: min is missing"),
    ],
)
def test_unknown_line_is_named(old: str, new: str, message: str) -> None:
    with pytest.raises(trtexec_lines.TrtexecFormatError, match=message):
        trtexec_output.parse(read("trtexec-8.6.1.log").replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "Segmentation fault\n", "=== Performance summary ===\n"])
def test_text_without_figures_is_refused(text: str) -> None:
    with pytest.raises(trtexec_lines.TrtexecFormatError, match=r"line 1|is empty"):
        trtexec_output.parse(text)


def test_unknown_line_of_a_7_2_block_is_named() -> None:
    text = read("trtexec-7.2.3-explicit-batch.log").replace("walltime: 3.00956 s", "walltime: now")
    with pytest.raises(trtexec_lines.TrtexecFormatError, match="line 16: expected a number in s"):
        trtexec_output.parse(text)


def test_microseconds_and_seconds_are_taken_as_such() -> None:
    text = read("trtexec-8.6.1.log").replace("min = 5.04614 ms", "min = 5046.14 us", 1)
    assert trtexec_output.parse(text).timings["latency"].min_ms == pytest.approx(5.04614)


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("v100300]", "10.3.0"),
        ("v101601] [b11]", "10.16.1"),
        ("v110100] [b106]", "11.1.0"),
    ],
)
def test_from_10_on_the_version_has_two_digits_each(banner: str, version: str) -> None:
    text = read("trtexec-8.6.1.log").replace("v8601]", banner)
    assert trtexec_output.parse(text).version == version


def test_a_build_number_in_the_banner_is_not_a_missing_version() -> None:
    summary = trtexec_output.parse(read("trtexec-10.13.0-build-number.log"))
    assert (summary.generation, summary.version, summary.passed) == ("8.4+", "10.13.0", True)
    assert summary.command == "trtexec --loadEngine=model.plan --shapes=input:16x3x224x224"
    assert summary.items_per_second(16) == 118.402 * 16


@pytest.mark.parametrize(
    "banner",
    [
        "TensorRT.trtexec [TensorRT v101300] [b21] [rc1] #",
        "TensorRT.trtexec [TensorRT 11] #",
        "TensorRT.trtexec v8.6.1 #",
        "TensorRT.trtexec [TensorRT v86010] #",
    ],
)
def test_an_unknown_banner_is_refused_by_name_and_not_taken_for_7(banner: str) -> None:
    text = read("trtexec-8.6.1.log").replace("TensorRT.trtexec [TensorRT v8601] #", banner)
    for reader in (trtexec_output.parse, trtexec_output.read_banner):
        with pytest.raises(trtexec_lines.TrtexecFormatError, match="no known release") as raised:
            reader(text)
        assert banner in str(raised.value)


def test_a_log_without_a_banner_is_of_no_release() -> None:
    text = "trtexec: error while loading shared libraries: libnvinfer.so.8"
    with pytest.raises(trtexec_lines.TrtexecFormatError, match=r"no line is a banner.*libnvinfer"):
        trtexec_output.read_banner(text)


@pytest.mark.parametrize(
    ("log", "old", "new"),
    [
        ("trtexec-8.6.1.log", " [TensorRT v8601]", ""),
        ("trtexec-8.6.1.log", "v8601", "v8201"),
        ("trtexec-7.2.3-explicit-batch.log", "trtexec #", "trtexec [TensorRT v8601] #"),
    ],
)
def test_figures_of_another_format_than_the_banners_release_are_refused(
    log: str, old: str, new: str
) -> None:
    with pytest.raises(trtexec_lines.TrtexecFormatError, match="the banner names a release of"):
        trtexec_output.parse(read(log).replace(old, new))


def test_exported_times_are_nanoseconds() -> None:
    text = (
        '[\n  { "startEnqMs" : 1.5, "startComputeMs" : 2, "h2dMs" : 0.25, "computeMs" : 4, '
        '"d2hMs" : 0.125, "latencyMs" : 4.375 }\n]'
    )
    assert trtexec_output.parse_times(text) == [
        {
            "startEnq_ns": 1500000, "startCompute_ns": 2000000, "h2d_ns": 250000,
            "compute_ns": 4000000, "d2h_ns": 125000, "latency_ns": 4375000,
        }
    ]  # fmt: skip


def test_exported_times_of_7_2_have_their_copies_under_other_names() -> None:
    """The file is in the form that sampleReporting.cpp of 21.06 writes."""
    first, *_, last = rows = trtexec_output.parse_times(read("trtexec-7.2.3-times.json"))
    assert len(rows) == 7
    assert (first["h2d_ns"], first["compute_ns"], first["d2h_ns"]) == (92834, 4310530, 6775)
    assert last["h2d_ns"] + last["compute_ns"] + last["d2h_ns"] == pytest.approx(
        last["latency_ns"], abs=100
    )


def test_queries_of_the_warm_up_do_not_count() -> None:
    """Before 8.5 the exported times have them, and the printed figure does not."""
    rows = trtexec_output.parse_times(read("trtexec-7.2.3-times.json"))
    log = read("trtexec-7.2.3-explicit-batch.log")
    summary = trtexec_output.parse(log)._replace(queries=5)
    assert trtexec_output.counted(rows, 200, summary) == rows[2:]
    assert trtexec_output.counted(rows[2:], 200, summary) == rows[2:]
    with pytest.raises(trtexec_lines.TrtexecFormatError, match=r"has 7 queries .* has 663"):
        trtexec_output.counted(rows, 0, trtexec_output.parse(log))


@pytest.mark.parametrize("text", ["[", "5", '[{"h2dMs": "x"}]', "[3]", '[{"computeMs": 4}]'])
def test_exported_times_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(trtexec_lines.TrtexecFormatError, match="exportTimes"):
        trtexec_output.parse_times(text)
