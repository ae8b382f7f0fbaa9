"""What is wrong in the documents is found with its figures, and an edited figure is found by its rule."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.models.published import Published
from driver.published.load import load_case
from driver.published.report import contradictions
from driver.published.rules import __file__ as rules_file
from driver.published.rules import find
from driver.published.tables import render
from tests.driver.published.document_text import CASES

if TYPE_CHECKING:
    from driver.published.finding import Finding
    from driver.published.load import PublishedCase

RULES_FOLDER = Path(rules_file).parent

KNOWN: list[tuple[str, str, str, str]] = [
    ("vit_l_16", "fp32-is-not-fp32", "fp32", "373%"),
    ("vit_l_16", "same-memory", "35.0/40.0 and 35.0/40.0", "bs 64"),
    ("vit_l_16", "peak-of-other-arithmetic", "27.9%", "7.0%"),
    ("vit_l_16", "operations-counted", "6.16e10", "1.2311e11"),
    ("vit_l_16", "no-environment", "1 row", "no environment"),
    ("vit_l_16", "partial-batch-dropped", "bs 64", "49984 of 50000"),
    ("sam_h", "same-e2e-time", "1895.1 and 1895.1", "1170.5 s and 1644.4 s"),
    ("sam_h", "mfu-differs", "11.8%", "11.72%"),
    ("sam_h", "gate", "0.89/1.0", "11.0% below"),
    ("sam_h", "no-figures", "R200", "no row"),
    ("sam_h", "slower-than-framework", "p_infer_core 7.0", "p_val_core 7.5"),
    ("sam_h", "constant-off", "3.1e12", "+3.9%"),
    ("stable_diffusion_v1_4", "unit", "60.6 prompts/s", "1560%"),
    ("stable_diffusion_v1_4", "gate", "17.1/25.2", "32.1% below"),
    ("stable_diffusion_v1_4", "memory-below-weights", "0.07/32.0", "3.20 GiB"),
    ("stable_diffusion_v1_4", "slower-than-framework", "p_infer_core 16.1", "p_val_core 20.6"),
    ("stable_diffusion_v1_4", "mfu-without-throughput", "13.2%", "p_val_core 60.7"),
    ("stable_diffusion_v1_4", "mfu-without-throughput", "12.7%", "45.0 items/s"),
    ("stable_diffusion_v1_4", "no-full-batch", "bs 64", "0 of 10"),
    ("stable_diffusion_v1_4", "better-than-validation", "26.524/25.3", "4.8%"),
    ("stable_diffusion_v1_4", "memory-out-of-proportion", "55.57", "14.7"),
    ("stable_diffusion_v1_4", "constant-off", "6.78e11", "-15.6%"),
    ("vit_b_32", "model-identity", "vit-small bs1 with top-1 80.724", "81.402"),
    ("vit_b_32", "ratio", "310P/T4 0.66", "0.6674"),
    ("vit_b_32", "chip-or-card", "444.8147", "of the peak"),
    ("vit_b_32", "growth-accelerates", "492.1917", "1.70 times"),
    ("vit_b_32", "falls-with-batch", "785.9891", "837.5699 at bs8"),
    ("regnety_016", "text-against-table", "280.845", "231.086"),
    ("regnety_016", "text-against-table", "1132.564", "1055.488"),
    ("regnety_016", "text-against-table", "634.528", "624.486"),
    ("regnety_016", "device-rate", "714.514", "255.635"),
    ("regnety_016", "post-unit", "16.0426", "256.689"),
    ("regnety_016", "accuracy-by-batch", "top1 77.85%", "top1 77.83%"),
]


@pytest.mark.parametrize(("case", "rule", "printed", "against"), KNOWN)
def test_a_known_contradiction_is_found_with_both_figures(
    case: str, rule: str, printed: str, against: str
) -> None:
    found = contradictions([CASES / case])
    hits = [f for f in found if f.rule == rule and printed in f.printed and against in f.against]
    assert len(hits) == 1, [f for f in found if f.rule == rule]
    assert hits[0].reason
    assert hits[0].source
    assert (hits[0].case, hits[0].document) == (case, load_case(CASES / case).document)


def test_what_the_documents_get_right_is_not_reported() -> None:
    """All ratio columns, best batches, products and log sums of 004 hold; so does every MFU of 000."""
    rules = {f.rule for f in contradictions([CASES / "regnety_016"])}
    right = {"ratio", "best-batch", "closing-ratio", "product", "pass-size", "latency-sum"}
    assert not rules & (right | {"log-against-text", "out-of-order", "not-a-share", "gate"})
    assert "mfu-differs" not in {f.rule for f in contradictions([CASES / "vit_l_16"])}


def _changed(case: str, change: Any) -> list[Finding]:
    """Apply the rules to a document that ``change`` has edited as a plain dict."""
    found: PublishedCase = load_case(CASES / case)
    body = found.published.model_dump(by_alias=True)
    change(body)
    return find(replace(found, published=Published.model_validate(body)))


def _set(path: str, value: Any) -> Any:
    """Return an edit: set the member at a path such as ``flagperf.0.rows.1.mfu``."""

    def change(body: Any) -> None:
        *parents, last = path.split(".")
        for part in parents:
            body = body[int(part)] if isinstance(body, list | tuple) else body[part]
        body[last] = value

    return change


EDITED: list[tuple[str, str, Any, str]] = [
    ("vit_l_16", "flagperf.0.rows.0.mfu", "27.2%", "mfu-differs"),
    ("vit_l_16", "flagperf.0.rows.0.e2e_time", "600.0", "loops-longer-than-e2e"),
    ("vit_l_16", "flagperf.0.rows.0.p_infer_whole", "1400.0", "whole-above-core"),
    ("vit_l_16", "flagperf.0.rows.1.mem", "41.0/40.0", "memory-above-device"),
    ("vit_l_16", "flagperf.0.rows.0.acc", "78.4/79.3", "gate"),
    ("vit_l_16", "model.macs_published", 7.0e10, "constant-off"),
    (
        "vit_b_32",
        "throughput.0.best.values",
        ("444.8147", "823.2256", "1216.1011"),
        "best-batch",
    ),
    ("vit_b_32", "throughput.0.rows.1.ratios", ("1.21", "0.82"), "ratio"),
    ("regnety_016", "closing_ratios.0.printed", "1.439", "closing-ratio"),
    ("regnety_016", "figures.0.total", "1055.489", "product"),
    ("regnety_016", "figures.0.factor", "2", "product"),
    ("regnety_016", "figures.0.measured", "263.873", "log-against-text"),
    (
        "regnety_016",
        "evaluations.0.top",
        ("77.85%", "77.5%", "90.77%", "92.58%", "93.72%"),
        "out-of-order",
    ),
    ("regnety_016", "loops.dataset_items", 49_000, "pass-size"),
    (
        "regnety_016",
        "evaluations.0.top",
        ("76.85%", "87.5%", "90.77%", "92.58%", "93.72%"),
        "gate",
    ),
]


@pytest.mark.parametrize(("case", "path", "value", "rule"), EDITED)
def test_an_edited_figure_is_found(case: str, path: str, value: Any, rule: str) -> None:
    before = {(f.rule, f.printed, f.against) for f in find(load_case(CASES / case))}
    after = _changed(case, _set(path, value))
    assert rule in {f.rule for f in after if (f.rule, f.printed, f.against) not in before}


def test_a_top_1_that_no_number_of_pictures_gives_is_found() -> None:
    rows = [["vit-small bs1", "top1:80.724", "top1:80.714", "top1:80.7251"]]
    found = _changed("vit_b_32", _set("accuracy.0.rows", rows))
    assert [f.printed for f in found if f.rule == "not-a-share"] == ["top1:80.7251"]


def test_a_latency_that_its_parts_do_not_give_is_found() -> None:
    lines = list(load_case(CASES / "regnety_016").published.logs[-1].lines)
    lines = [line.replace("mean = 4.41086", "mean = 5.41086") for line in lines]
    found = _changed("regnety_016", _set("logs.6.lines", lines))
    assert [f.printed for f in found if f.rule == "latency-sum"] == ["mean latency 5.41086 ms"]


def test_percentiles_of_a_log_that_fall_are_found() -> None:
    lines = list(load_case(CASES / "regnety_016").published.logs[-1].lines)
    lines = [
        line.replace("percentile(99%) = 5.40323", "percentile(99%) = 4.40323") for line in lines
    ]
    found = _changed("regnety_016", _set("logs.6.lines", lines))
    assert [(f.printed, f.against) for f in found if f.rule == "out-of-order"] == [
        ("Latency percentile(99%) 4.40323", "Latency median 4.42065")
    ]


@pytest.mark.parametrize("stage", ["e2e", "infer", "post", "Latency: min", "nothing"])
def test_a_log_without_some_of_its_lines_is_no_error(stage: str) -> None:
    logs = [log.model_dump() for log in load_case(CASES / "regnety_016").published.logs]
    for log in logs:
        log["lines"] = tuple(line for line in log["lines"] if stage in line)
    found = _changed("regnety_016", _set("logs", logs))
    assert not {f.rule for f in found} & {"pass-size", "device-rate", "post-unit", "latency-sum"}


def test_the_printed_digits_decide_whether_an_mfu_is_rounded_or_wrong() -> None:
    (rounded,) = (f for f in find(load_case(CASES / "sam_h")) if f.rule == "mfu-differs")
    assert (rounded.kind, rounded.printed, rounded.against) == ("rounding", "MFU 11.8%", "11.72%")
    found = _changed("sam_h", _set("flagperf.0.rows.0.mfu", "11.9%"))
    (wrong,) = (f for f in found if f.rule == "mfu-differs")
    assert (wrong.kind, wrong.printed, wrong.against) == ("contradiction", "MFU 11.9%", "11.72%")


def test_a_ratio_that_is_cut_off_is_a_rounding_and_another_one_a_contradiction() -> None:
    (cut,) = (f for f in find(load_case(CASES / "vit_b_32")) if f.rule == "ratio")
    assert (cut.kind, cut.where) == ("rounding", "310P/T4, bs64")
    found = _changed("vit_b_32", _set("throughput.0.rows.1.ratios", ("1.21", "0.82")))
    assert [f.kind for f in found if f.rule == "ratio"] == ["contradiction", "rounding"]


def test_a_unit_that_the_chip_could_reach_is_no_contradiction() -> None:
    found = _changed("stable_diffusion_v1_4", _set("loops.steps_per_item", 3))
    assert [f.where for f in found if f.rule == "unit"] == []


def test_a_constant_of_two_operations_for_each_multiply_accumulate_is_no_finding() -> None:
    macs = load_case(CASES / "vit_l_16").macs
    found = _changed("vit_l_16", _set("model.macs_published", 2.0 * macs))
    assert not {f.rule for f in found} & {"operations-counted", "constant-off"}


def test_figures_that_a_throughput_table_does_not_print_are_left_out() -> None:
    """A row is named by its own batch size, also where the column has no figure in a row above it."""
    rows = [row.model_dump() for row in load_case(CASES / "vit_b_32").published.throughput[0].rows]
    for index, row in enumerate(rows):
        left = "/" if index in (0, 5) else row["values"][0]
        row["values"] = (left, "/", row["values"][2])
        row["ratios"] = ("/", "/")
    found = _changed("vit_b_32", _set("throughput.0.rows", rows))
    falls = [(f.where, f.against, f.rows) for f in found if f.rule == "falls-with-batch"]
    assert falls == [
        ("310, bs32", "444.8147 at bs4", (4,)),
        ("T4, bs64", "1216.1011 at bs32", (5,)),
    ]


def test_a_text_figure_without_a_row_in_the_table_is_shown_without_one() -> None:
    found = load_case(CASES / "regnety_016")
    body = found.published.model_dump(by_alias=True)
    body["figures"][0]["batch_size"] = 128
    edited = replace(found, published=Published.model_validate(body))
    table = next(t for t in render(edited, find(edited), "en") if t.id == "derived")
    assert table.rows[0][1:] == ("128", "263.872", "4", "1055.488", "/", "/", "")


def test_every_rule_is_shown_to_find_something() -> None:
    names: set[str] = set()
    for module in RULES_FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg == "rule":
                constants = (one for one in ast.walk(node.value) if isinstance(one, ast.Constant))
                names |= {one.value for one in constants if isinstance(one.value, str)} - {"id"}
    shown = {rule for _, rule, _, _ in KNOWN} | {rule for *_, rule in EDITED}
    assert len(names) > 35
    assert names == shown | {"not-a-share", "latency-sum"}
