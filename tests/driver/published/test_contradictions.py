"""Every contradiction is found by a rule, and a document without it stays quiet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from driver.models.published import Published
from driver.published.load import load_case
from driver.published.report import contradictions
from driver.published.rules import find
from tests.driver.published.seed_text import CASES

if TYPE_CHECKING:
    from driver.published.finding import Finding
    from driver.published.load import PublishedCase

KNOWN = [
    ("vit_l_16", "torch-build", "937e930", "936e930"),
    ("vit_l_16", "fp32-is-not-fp32", "fp32", "373%"),
    ("vit_l_16", "same-memory", "35.0/40.0 and 35.0/40.0", "bs 64"),
    ("vit_l_16", "later-figure", "mem 35.0/40.0", "4.54/40.0"),
    ("vit_l_16", "later-figure", "mem 35.0/40.0", "6.27/40.0"),
    ("vit_l_16", "peak-of-other-arithmetic", "27.9%", "7.0%"),
    ("vit_l_16", "operations-counted", "6.16e10", "1.2311e11"),
    ("vit_l_16", "no-environment", "1 row(s)", "no environment"),
    ("vit_l_16", "precision-outside-legend", "W32A16", "可选fp32/fp16"),
    ("vit_l_16", "partial-batch-dropped", "bs 64", "49984 of 50000"),
    ("sam_h", "same-e2e-time", "1895.1 and 1895.1", "1170.5 s and 1644.4 s"),
    ("sam_h", "mfu-differs", "11.8%", "11.72%"),
    ("sam_h", "gate", "0.89/1.0", "11.0% below"),
    ("sam_h", "metric", "top1", "pixel agreement"),
    ("sam_h", "no-figures", "R200", "no row"),
    ("sam_h", "hub-id", "facebook/sam_vit_huge", "facebook/sam-vit-huge"),
    ("sam_h", "section-number", "3. 软硬件配置", "3. 运行情况"),
    ("sam_h", "section-number", "2.2 昆仑芯R200", "section 3"),
    ("sam_h", "slower-than-framework", "p_infer_core 7.0", "p_val_core 7.5"),
    ("sam_h", "constant-off", "3.1e12", "+3.9%"),
    ("stable_diffusion_v1_4", "library", "UNet2DConditionalModel", "diffusers"),
    ("stable_diffusion_v1_4", "hub-id", "CompViz", "CompVis"),
    ("stable_diffusion_v1_4", "unit", "60.6 prompts/s", "1560%"),
    ("stable_diffusion_v1_4", "gate", "17.1/25.2", "32.1% below"),
    ("stable_diffusion_v1_4", "memory-below-weights", "0.07/32.0", "3.20 GiB"),
    ("stable_diffusion_v1_4", "slower-than-framework", "p_infer_core 16.1", "p_val_core 20.6"),
    ("stable_diffusion_v1_4", "empty-section", "1. 推理数据集", "nothing"),
    ("stable_diffusion_v1_4", "mfu-without-throughput", "13.2%", "p_val_core 60.7"),
    ("stable_diffusion_v1_4", "mfu-without-throughput", "12.7%", "45.0 items/s"),
    ("stable_diffusion_v1_4", "no-full-batch", "bs 64", "0 of 10"),
    ("stable_diffusion_v1_4", "better-than-validation", "26.524/25.3", "4.8%"),
    ("stable_diffusion_v1_4", "memory-out-of-proportion", "55.57", "14.7"),
    ("stable_diffusion_v1_4", "constant-off", "6.78e11", "-15.6%"),
    ("vit_b_32", "model-identity", "vit-small bs1 with top-1 80.724", "81.402"),
    ("vit_b_32", "ratio", "310P/T4 0.66", "0.6674"),
    ("vit_b_32", "soc-version", "${chip_name}", "Ascend${chip_name}"),
    ("vit_b_32", "chip-or-card", "444.8147", "of the peak"),
    ("vit_b_32", "growth-accelerates", "492.1917", "1.70 times"),
    ("vit_b_32", "dead-link", "配套环境", "no such section"),
    ("vit_b_32", "tool-date", "ais_bench", "2022_08_11"),
    ("regnety_016", "text-against-table", "280.845", "231.086"),
    ("regnety_016", "text-against-table", "1132.564", "1055.488"),
    ("regnety_016", "text-against-table", "634.528", "624.486"),
    ("regnety_016", "only-in-table", "2487.792, 3108.82, 1918.7328", "bs 32"),
    ("regnety_016", "same-output", "result/dumpOutput_device0", "result/dumpOutput_device0"),
    ("regnety_016", "log-version", "7.2.3.4", "8.0.1 to 8.2"),
    ("regnety_016", "log-device", "device_1", "-device_id=0"),
    ("regnety_016", "device-rate", "714.514", "255.635"),
    ("regnety_016", "post-unit", "16.0426", "256.689"),
    ("regnety_016", "extrapolated", "1055.488", "263.872"),
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
    assert not rules & (right | {"log-against-text", "top-k-falls", "batch-label", "gate"})
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


@pytest.mark.parametrize(
    ("case", "path", "value", "rule"),
    [
        ("vit_l_16", "flagperf.0.rows.0.mfu", "27.2%", "mfu-differs"),
        ("vit_l_16", "flagperf.0.rows.0.e2e_time", "600.0", "loops-longer-than-e2e"),
        ("vit_l_16", "flagperf.0.rows.0.p_infer_whole", "1400.0", "whole-above-core"),
        ("vit_l_16", "flagperf.0.rows.1.mem", "41.0/40.0", "memory-above-device"),
        ("vit_l_16", "flagperf.0.rows.0.acc", "78.4/79.3", "gate"),
        ("vit_l_16", "model.macs_published", 7.0e10, "constant-off"),
        ("vit_b_32", "throughput.0.rows.0.label", "bs2", "batch-label"),
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
            "top-k-falls",
        ),
        ("regnety_016", "loops.dataset_items", 49_000, "pass-size"),
        (
            "regnety_016",
            "evaluations.0.top",
            ("76.85%", "87.5%", "90.77%", "92.58%", "93.72%"),
            "gate",
        ),
    ],
)
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


@pytest.mark.parametrize(
    ("lines", "version", "found"),
    [
        (["[I] throughput: 231.086 qps"], "7.2.3.4", False),
        (["[I] === Performance summary ===", "[I] Throughput: 1 qps"], "8.5.1", False),
        (["[I] === Performance summary ===", "[I] Throughput: 1 qps"], "8.2.1", True),
    ],
)
def test_each_generation_of_trtexec_is_told_by_its_log(
    lines: list[str], version: str, found: bool
) -> None:
    from driver.models.published import ToolLog
    from driver.published.tool_logs import trtexec_generation

    log = ToolLog(tool="trtexec", heading="", chip="T4", batch_size=1, lines=tuple(lines))
    _, prefixes = trtexec_generation(log)
    assert (not version.startswith(prefixes)) is found
