"""The report in Chromium: it renders, sorts and filters without requests or errors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from driver.report.build import ReportFiles, ReportOptions, report
from tests import documents
from tests.bench.report_100k import generate

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CHARTS = (
    *("batch", "pareto", "latency", "whole", "time", "accuracy", "published", "memory", "power"),
)


def column(page: Page, group: str, number: int) -> list[str]:
    section = page.locator("section.group", has=page.get_by_role("heading", name=group))
    return section.locator(f"tbody tr.row td:nth-child({number})").all_inner_texts()


def header(page: Page, group: str, name: str) -> Any:
    section = page.locator("section.group", has=page.get_by_role("heading", name=group))
    return section.get_by_role("button", name=name, exact=True)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_renders_offline_without_requests_or_errors(
    show: Any, files: ReportFiles, width: int, dark: bool
) -> None:
    seen = show(files.html, width=width, dark=dark)
    assert seen.page.locator("tr.row").count() == 11
    for name in CHARTS:
        assert seen.page.locator(f"#chart-{name} svg").count() == 1, name
    assert seen.requests == [files.html.as_uri()]
    assert seen.errors == []


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_the_page_fits_the_window_width(show: Any, files: ReportFiles, width: int) -> None:
    page = show(files.html, width=width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("button.open").first.click()
    page.wait_for_selector(".detail-body")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_column_is_visible_at_1280_pixels(show: Any, files: ReportFiles) -> None:
    # The scroll bar takes up to 17 pixels.
    page = show(files.html, width=1280 - 17).page
    hidden = page.evaluate(
        "[...document.querySelectorAll('.scroll > table')].map((table) => table.scrollWidth - table.parentElement.clientWidth)"
    )
    assert len(hidden) > page.locator(".results").count() > 0
    assert max(hidden) <= 0


def test_no_figure_is_cut_off_at_1280_pixels(show: Any, files: ReportFiles) -> None:
    page = show(files.html, width=1280 - 17).page
    cells = "[...document.querySelectorAll('.results td.figure')]"
    # The longest text: both accuracies with two decimals.
    accuracies = "[...document.querySelectorAll('.results td:nth-child(11)')]"
    page.evaluate(f"{accuracies}.forEach((c) => {{ c.textContent = '100.00 / 100.00'; }})")
    cut = page.evaluate(
        f"{cells}.filter((c) => c.scrollWidth > c.clientWidth).map((c) => c.textContent)"
    )
    assert page.evaluate(f"{cells}.length") > 0
    assert cut == []


def test_the_dark_page_is_dark_and_the_button_changes_it(show: Any, files: ReportFiles) -> None:
    page = show(files.html, dark=True).page
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(20, 23, 26)"
    page.get_by_role("button", name="Change between light and dark").click()
    assert page.evaluate(ground) == "rgb(255, 255, 255)"


def test_figures_sort_descending_then_ascending(show: Any, files: ReportFiles) -> None:
    page = show(files.html).page
    button = header(page, "vit_l_16", "*p_infer_core")
    for order in ("descending", "ascending"):
        button.click()
        figures = [float(text) for text in column(page, "vit_l_16", 9)]
        assert figures == sorted(figures, reverse=order == "descending")
        assert button.locator("xpath=..").get_attribute("aria-sort") == order


def test_batch_sizes_sort_as_numbers(show: Any, files: ReportFiles) -> None:
    page = show(files.html).page
    header(page, "vit_l_16", "bs").click()
    sizes = [int(text) for text in column(page, "vit_l_16", 4)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_missing_values_sort_last_in_both_directions(show: Any, files: ReportFiles) -> None:
    page = show(files.html).page
    for _ in range(2):
        header(page, "vit_l_16", "note").click()
        notes = column(page, "vit_l_16", 13)
        assert notes == sorted(notes, key=lambda note: note == "")


@pytest.mark.parametrize(
    ("label", "choice", "left"),
    [("Case", "sam", 1), ("Vendor", "kunlunxin", 1), ("Precision", "fp32", 1)],
)
def test_filters_keep_matching_rows(
    show: Any, files: ReportFiles, label: str, choice: str, left: int
) -> None:
    page = show(files.html).page
    page.get_by_label(label, exact=True).select_option(choice)
    page.get_by_text(f"{left} of 11 rows", exact=True).wait_for()
    assert page.locator("tr.row").count() == left
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("11 of 11 rows", exact=True).wait_for()


def test_words_filter_by_chip_and_note(show: Any, files: ReportFiles) -> None:
    page = show(files.html).page
    page.get_by_label("Text").fill("t4 bs16")
    page.get_by_text("1 of 11 rows", exact=True).wait_for()
    page.get_by_label("Text").fill("edited")
    page.locator("tr.row", has_text="T4").first.wait_for(state="detached")
    assert page.locator("tr.row .note").all_inner_texts() == ["edited"]
    page.get_by_label("Text").fill("no such thing")
    page.get_by_text("No row matches the filters.").wait_for()


def test_charts_follow_the_filters(show: Any, files: ReportFiles) -> None:
    page = show(files.html).page
    assert "T4" in page.locator("#chart-batch").inner_text()
    page.get_by_label("Text").fill("a100")
    page.locator("#chart-batch", has_not_text="T4").wait_for()


def test_every_header_has_its_unit_and_an_explanation(show: Any, files: ReportFiles) -> None:
    heads = show(files.html).page.locator(".results").last.locator("th")
    titles = [head.get_attribute("title") for head in heads.all()]
    assert len(titles) == 13
    assert all(titles)
    units = heads.locator(".unit").all_inner_texts()
    assert units[3:] == [
        *("items", "s", "items/s", "images/s", "items/s", "images/s", "%", "acc1", "GiB", ""),
    ]


def test_a_click_anywhere_in_a_row_opens_and_closes_its_details(
    show: Any, files: ReportFiles
) -> None:
    page = show(files.html).page
    cell = page.locator("tr.row").first.locator("td").nth(6)
    cell.click()
    page.locator(".detail-body").wait_for()
    cell.click()
    assert page.locator(".detail-body").count() == 0


def test_a_row_says_when_where_and_in_what_it_ran(show: Any, files: ReportFiles) -> None:
    origin = show(files.html).page.locator("tr.row .origin").first.inner_text()
    assert origin == "2024-03-01 · docker · cuda12.1-trt8.6"


def test_the_key_figure_is_visible_on_a_phone(show: Any, files: ReportFiles) -> None:
    page = show(files.html, width=390).page
    key = page.locator("tr.row .key").last
    assert key.is_visible()
    assert key.inner_text() == "384.0 images/s · tensorrt fp16 bs64"
    box = key.bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= 390
    assert not show(files.html).page.locator("tr.row .key").last.is_visible()


def test_a_figure_with_a_warning_is_marked_in_tables_and_charts(show: Any, tmp_path: Path) -> None:
    for size, core in ((1, 90.0), (2, 150.0)):
        key = documents.job(batch_size=size)
        documents.write(
            tmp_path / "r", documents.document(job=key, metrics=documents.metrics(core))
        )
    shared = documents.unstable(200.0, job=documents.job(batch_size=4))
    documents.write(tmp_path / "r", shared)
    seen = show(report([tmp_path / "r"], ReportOptions(out=tmp_path / "out")).html)
    cell = seen.page.locator(".core", has_text="200.0 !")
    assert cell.get_attribute("title") == "unstable: p_infer_core ±30 %"
    assert "bs2" in seen.page.locator(".summary-table").inner_text(), "not the fastest, but marked"
    assert "bs4 !" in seen.page.locator("#chart-whole").inner_text()
    dashed = seen.page.locator("#chart-whole path[stroke-dasharray]")
    assert dashed.count() == 1, "p_infer_core varies, p_infer_whole does not"
    assert seen.errors == []


def test_latencies_are_compared_at_one_batch_size(show: Any, files: ReportFiles) -> None:
    page = show(files.html).page
    size = page.get_by_label("Latency at batch size")
    assert size.input_value() == "1"
    size.select_option("16")
    page.locator("#chart-latency", has_text="bs16").wait_for()
    text = page.locator("#chart-latency").inner_text()
    assert "T4 tensorrt fp16 bs16" in text
    assert "bs64" not in text


def test_a_gate_on_raw_outputs_is_not_drawn_on_the_axis_of_accuracies(
    show: Any, tmp_path: Path
) -> None:
    gate = {"passed": True, "reference": 0.999, "allowed_relative_drop": 0.01, "reason": "cosine"}
    figures = documents.metrics(acc_val=None)
    documents.write(tmp_path / "r", documents.document(gate=gate, metrics=figures))
    page = show(report([tmp_path / "r"], ReportOptions(out=tmp_path / "out")).html).page
    assert page.locator("#chart-accuracy svg").count() == 0
    assert "1 − smallest cosine" in page.locator("#chart-fidelity").inner_text()


def test_failed_runs_are_listed_apart(show: Any, tmp_path: Path) -> None:
    failure = {"kind": "interrupted", "stage": "infer", "message": "stopped", "remedy": "again"}
    body = documents.document(
        status="failed", failure=failure, metrics={"acc_metric": "acc1"}, gate=None
    )
    documents.write(tmp_path / "r", body)
    page = show(report([tmp_path / "r"], ReportOptions(out=tmp_path / "out")).html).page
    assert page.locator("tr.row").count() == 0
    assert "interrupted" in page.locator("#failed").inner_text()


def test_provenance_is_one_click_away(show: Any, files: ReportFiles) -> None:
    page = show(files.html).page
    page.locator("button.open").first.click()
    body = page.locator(".detail-body")
    body.wait_for()
    text = body.inner_text()
    for word in (
        "export.onnx_sha256",
        "weights.digest",
        "host.cpu",
        "result.json",
        "latency p99",
        "6.83–7.18",
    ):
        assert word in text
    page.locator("button.open").first.click()
    assert page.locator(".detail-body").count() == 0


def test_everything_works_with_the_keyboard(show: Any, files: ReportFiles) -> None:
    page = show(files.html).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.locator("button.open").first.focus()
    page.keyboard.press("Enter")
    page.locator(".detail-body").wait_for()
    button = header(page, "vit_l_16", "*MFU")
    button.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "*MFU"
    figures = [float(text.rstrip("%")) for text in column(page, "vit_l_16", 10)]
    assert figures == sorted(figures, reverse=True)


def test_every_control_has_a_name(show: Any, files: ReportFiles) -> None:
    page = show(files.html).page
    for control in page.locator("button, select, input").all():
        named = control.evaluate(
            "e => (e.labels && e.labels.length) || e.getAttribute('aria-label') || e.textContent.trim()"
        )
        assert named


def test_untrusted_names_are_shown_as_text(show: Any, files: ReportFiles) -> None:
    seen = show(files.html)
    seen.page.get_by_label("Case", exact=True).select_option("sam")
    seen.page.get_by_text("1 of 11 rows", exact=True).wait_for()
    name = seen.page.locator("button.open").inner_text()
    assert "<img src=x onerror=" in name
    assert "\\x1b[31m\\u202e" in name
    assert seen.page.locator("#tables img").count() == 0
    seen.page.locator("button.open").click()
    seen.page.locator(".detail-body").wait_for()
    assert seen.errors == []


def test_failed_accuracy_is_struck_out_with_its_reason(show: Any, files: ReportFiles) -> None:
    row = show(files.html).page.locator("tr.struck")
    assert row.count() == 1
    assert "accuracy failed: too low" in row.locator(".note").inner_text()
    style = row.locator(".core").evaluate("e => getComputedStyle(e).textDecorationLine")
    assert style == "line-through"


def test_published_figures_are_shown_next_to_ours(show: Any, files: ReportFiles) -> None:
    text = show(files.html).page.locator(".published-table").inner_text()
    assert "1329.2" in text
    assert "document 000, FlagPerf" in text


def test_problems_are_listed_with_what_to_do(show: Any, files: ReportFiles) -> None:
    text = show(files.html).page.locator("#problems-body").inner_text()
    assert "not complete JSON" in text
    assert "digest does not match" in text


def test_it_prints_on_paper_without_its_controls(show: Any, files: ReportFiles) -> None:
    page = show(files.html, dark=True).page
    page.emulate_media(media="print", color_scheme="light")
    assert not page.locator("#filters").is_visible()
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(landscape=True))) >= 2


def test_a_report_that_leaves_every_result_out_says_how_to_show_them(
    show: Any, tmp_path: Path
) -> None:
    documents.write(tmp_path / "r", documents.document(simulated=True))
    seen = show(report([tmp_path / "r"], ReportOptions(out=tmp_path / "out")).html)
    assert "1 simulated result is left out: SIMULATED=1 shows" in seen.page.inner_text("main")
    assert "No result to show" in seen.page.inner_text("main")
    assert seen.errors == []


@pytest.fixture(scope="session")
def big(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    root = tmp_path_factory.mktemp("big")
    for _ in generate(root / "r", 5000, samples=False):
        pass
    return report([root / "r"], ReportOptions(out=root / "out", synthetic=True, every=True))


def test_5000_rows_are_shown_and_usable(show: Any, big: ReportFiles) -> None:
    assert big.html.stat().st_size < 6_000_000
    page = show(big.html).page
    assert page.locator("tr.row").count() == 5000
    page.locator("#filter-text").fill("a100 tensorrt int8 bs64")
    page.locator("#shown", has_text=re.compile(r"^\d{1,3} of 5,000")).wait_for()
