"""Results in the table formats of other projects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from driver.errors import UsageFault
from driver.models.result import Result
from driver.table_formats.admission import newest_good, newest_of_each_job
from driver.table_formats.flagperf import flagperf_table
from driver.table_formats.modelzoo import overall_evaluation
from driver.table_formats.throughput import throughput_table
from tests import documents

GATE = {
    "passed": False,
    "reference": 79.3,
    "allowed_relative_drop": 0.01,
    "drop": 0.5,
    "reason": "acc1 39.60 against 79.30",
}


def _result(
    *, core: float = 1329.2, metrics: dict[str, Any] | None = None, **changes: Any
) -> Result:
    key = {k: changes.pop(k) for k in list(changes) if k in documents.job()}
    body = documents.document(
        job=documents.job(**key), metrics=documents.metrics(core, **(metrics or {})), **changes
    )
    return Result.model_validate(body)


def _cells(text: str) -> list[list[str]]:
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_flagperf_table_has_the_columns_of_its_document() -> None:
    header, rule, row = _cells(flagperf_table([_result()]))
    assert header == [
        "推理工具",
        "precision",
        "bs",
        "e2e_time",
        "p_val_whole",
        "p_val_core",
        "p_infer_whole",
        "\\*p_infer_core",
        "\\*MFU",
        "acc",
        "mem",
    ]
    assert set(rule) == {"---"}
    assert row[:4] == ["tensorrt", "fp16", "64", "1009.7"]
    assert row[7:9] == ["1329.2", "26.2%"]
    assert _cells(flagperf_table([_result()], "en"))[0][0] == "tool"


def test_a_missing_figure_is_a_slash_never_a_zero() -> None:
    gone = dict.fromkeys(("e2e_time_s", "p_val_whole", "p_val_core", "mfu_published_convention"))
    row = _cells(flagperf_table([_result(metrics={**gone, "mem_gib": None})]))[2]
    assert [row[i] for i in (3, 4, 5, 8, 10)] == ["/"] * 5


def test_the_convention_chooses_the_mfu() -> None:
    result = _result(metrics={"mfu": 52.4, "mfu_published_convention": 26.2})
    assert _cells(flagperf_table([result]))[2][8] == "26.2%"
    assert _cells(flagperf_table([result], convention="assay"))[2][8] == "52.4%"


def test_clip_score_is_named_in_the_header() -> None:
    result = _result(metrics={"acc_metric": "clip_score", "acc_also": {}})
    assert _cells(flagperf_table([result]))[0][9] == "CLIP Score"


def test_failed_accuracy_is_struck_out_with_its_reason() -> None:
    text = flagperf_table([_result(status="accuracy_failed", gate=GATE)])
    assert _cells(text)[2][7] == "~~1329.2~~"
    assert text.splitlines()[-1] == "~~tensorrt fp16 bs 64~~: acc1 39.60 against 79.30"


@pytest.mark.parametrize(
    ("changes", "flag", "mark"),
    [
        ({"simulated": True}, "simulated", "tensorrt (simulated)"),
        ({"weights": "synthetic"}, "synthetic", "tensorrt (synthetic)"),
        ({"data": "synthetic"}, "synthetic", "tensorrt (synthetic)"),
    ],
)
def test_simulated_and_synthetic_results_enter_only_on_request(
    changes: dict[str, Any], flag: str, mark: str
) -> None:
    marked = _result(**changes)
    with pytest.raises(UsageFault, match="no result may enter this table; 1 result found"):
        flagperf_table([marked])
    assert len(_cells(flagperf_table([marked, _result()]))) == 3
    text = flagperf_table([marked], simulated=flag == "simulated", synthetic=flag == "synthetic")
    assert _cells(text)[2][0] == mark


def test_a_figure_with_a_warning_carries_its_mark_into_every_format() -> None:
    shared = _result(warnings=documents.warned("device_shared"))
    text = flagperf_table([shared])
    assert _cells(text)[2][7:9] == ["1329.2 !", "26.2% !"]
    assert text.splitlines()[-1] == "! tensorrt fp16 bs 64: device shared"
    text = throughput_table([shared, _result(chip="T4", core=400.0)])
    assert _cells(text)[2] == ["bs64", "1329.2 !", "400", "3.32 !"]
    assert text.splitlines()[-1] == "! A100-SXM4-40GB tensorrt fp16 bs64: device shared"


def test_half_an_accuracy_is_printed_as_the_documents_do() -> None:
    rows = [_result(metrics={"acc_val": None}), _result(metrics={"acc_infer": None})]
    assert [row[9] for row in _cells(flagperf_table(rows))[2:]] == ["79.00/-", "-/79.30"]


def test_a_smoke_run_is_marked() -> None:
    assert _cells(flagperf_table([_result(tier="smoke")]))[2][0] == "tensorrt (smoke)"


def test_results_of_two_cases_do_not_share_a_table() -> None:
    with pytest.raises(UsageFault, match="the results are of sam_h, vit_l_16"):
        flagperf_table([_result(), _result(case="sam_h")])


def _batches() -> list[Result]:
    """Return results with the figures of document 003, first rows."""
    printed = {
        "310": {1: 321.2008, 4: 444.8147},
        "310P": {1: 336.1748, 4: 492.1917, 8: 837.5699},
        "T4": {1: 353.2507, 4: 603.9075, 8: 1021.6487},
    }
    return [
        _result(core=value, chip=chip, batch_size=size)
        for chip, values in printed.items()
        for size, value in values.items()
    ]


def test_the_throughput_table_equals_document_003() -> None:
    pairs = [("310P", "310"), ("310P", "T4")]
    assert _cells(throughput_table(_batches(), ratios=pairs)) == [
        ["Throughput", "310", "310P", "T4", "310P/310", "310P/T4"],
        ["---"] * 6,
        ["bs1", "321.2008", "336.1748", "353.2507", "1.05", "0.95"],
        ["bs4", "444.8147", "492.1917", "603.9075", "1.11", "0.82"],
        ["bs8", "/", "837.5699", "1021.6487", "/", "0.82"],
        ["最优batch", "444.8147", "837.5699", "1021.6487", "1.88", "0.82"],
    ]


def test_ratios_default_to_the_first_column_over_the_others() -> None:
    header, _, *rows = _cells(throughput_table(_batches(), "en", ratio_digits=4))
    assert header[4:] == ["310/310P", "310/T4"]
    assert rows[0][4:] == ["0.9555", "0.9093"]
    assert rows[-1][0] == "best batch"


def test_one_chip_with_two_precisions_has_two_columns() -> None:
    two = [_result(core=10.0), _result(core=20.0, precision="fp32")]
    header = _cells(throughput_table(two))[0]
    assert header[1:3] == ["A100-SXM4-40GB fp16", "A100-SXM4-40GB fp32"]


def test_the_newer_of_two_results_for_a_cell_counts() -> None:
    first = _result(core=1.0, finished_utc="2024-03-01T09:00:00Z")
    second = _result(core=2.0, finished_utc="2024-03-02T09:00:00Z")
    assert _cells(throughput_table([second, first]))[2][1] == "2"


def test_a_simulated_column_is_marked_and_has_no_ratio_to_a_measured_one() -> None:
    two = [_result(core=10.0, chip="T4"), _result(core=99.0, chip="310", simulated=True)]
    header = _cells(throughput_table(two, simulated=True))[0]
    assert header == ["Throughput", "T4", "310 (simulated)"]


def test_failed_accuracy_is_left_out_of_the_throughput_table() -> None:
    failed = _result(status="accuracy_failed", gate=GATE, batch_size=128)
    assert "bs128" not in throughput_table([failed, _result()])
    with pytest.raises(UsageFault, match="accuracy of all 1 result"):
        throughput_table([failed])


def test_an_unknown_column_of_a_ratio_suggests_the_nearest() -> None:
    with pytest.raises(UsageFault, match=r"'T40' \(did you mean T4\?\)"):
        throughput_table(_batches(), ratios=[("310P", "T40")])


TOP = {"top2": 87.504, "top3": 90.77, "top4": 92.58, "top5": 93.72}


def test_the_evaluation_equals_document_004() -> None:
    metrics = {"acc_metric": "top1", "acc_infer": 77.852, "acc_also": TOP}
    text = overall_evaluation(_result(metrics=metrics), classes=1000)
    assert text == (
        '{"title": "Overall statistical evaluation", "value": [{"key": "Number of images", '
        '"value": "50000"}, {"key": "Number of classes", "value": "1000"}, {"key": "Top1 accuracy", '
        '"value": "77.85%"}, {"key": "Top2 accuracy", "value": "87.5%"}, {"key": "Top3 accuracy", '
        '"value": "90.77%"}, {"key": "Top4 accuracy", "value": "92.58%"}, {"key": "Top5 accuracy", '
        '"value": "93.72%"}]}'
    )
    assert json.loads(text)["value"][2] == {"key": "Top1 accuracy", "value": "77.85%"}


def test_smoke_and_simulated_are_marked_in_the_title_of_the_evaluation() -> None:
    metrics = {"acc_metric": "top1", "acc_infer": 77.852, "acc_also": TOP}
    marked = _result(metrics=metrics, simulated=True, tier="smoke")
    title = json.loads(overall_evaluation(marked, classes=1000))["title"]
    assert title == "Overall statistical evaluation (simulated, smoke)"


def test_an_accuracy_that_a_warning_concerns_is_marked_in_the_evaluation() -> None:
    metrics = documents.metrics(acc_metric="top1", acc_also={})
    body = documents.document(metrics=metrics, warnings=documents.warned("data_odd"))
    odd = Result.model_validate(body)
    assert json.loads(overall_evaluation(odd, classes=1000))["title"].endswith(" ! odd data")
    calm = documents.document(metrics=metrics, warnings=documents.warned("host_bound"))
    text = overall_evaluation(Result.model_validate(calm), classes=1000)
    assert "!" not in text, "no accuracy is concerned"


def test_the_newest_good_result_is_taken_and_simulated_ones_only_on_request() -> None:
    good = _result(finished_utc="2024-03-01T09:00:00Z")
    failed = _result(status="accuracy_failed", gate=GATE, finished_utc="2024-03-03T09:00:00Z")
    imitated = _result(simulated=True, finished_utc="2024-03-02T09:00:00Z")
    assert newest_good([imitated, good, failed]) is good
    assert newest_good([imitated, good, failed], simulated=True) is imitated
    with pytest.raises(UsageFault, match="no result may enter"):
        newest_good([imitated])
    with pytest.raises(UsageFault, match="accuracy of all 1 result"):
        newest_good([failed])


def test_a_table_has_the_newest_valid_result_of_each_job_as_the_report_does() -> None:
    def at(day: int, **changes: Any) -> Result:
        return _result(started_utc=f"2024-03-0{day}T09:00:00Z", **changes)

    old, new = at(1, core=1.0), at(2, core=2.0)
    failed_since, other = at(3, status="failed"), at(1, id="b" * 16)
    imitated = at(4, simulated=True)
    given = [new, old, failed_since, other, imitated]
    assert newest_of_each_job(given) == [new, other, imitated]
    assert newest_of_each_job([failed_since]) == [failed_since]


def test_agreement_with_the_reference_gives_no_evaluation() -> None:
    with pytest.raises(UsageFault, match=r"not scored against labels \(agreement\)"):
        overall_evaluation(_result(metrics={"acc_kind": "agreement"}), classes=1000)


def test_a_case_without_top_k_has_no_evaluation() -> None:
    metrics = {"acc_metric": "clip_score", "acc_also": {}}
    with pytest.raises(UsageFault, match="its metric is clip_score"):
        overall_evaluation(_result(metrics=metrics), classes=1000)
