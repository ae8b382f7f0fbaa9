"""The charts in Chromium: roofline, energy, trend, gate and marks; their axes are whole at every width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from driver.published.columns import FLAGPERF
from driver.report.build import ReportFiles, ReportOptions, report
from driver.report.chinese import PAGE
from tests import documents

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def made(tmp_path: Path, *bodies: dict[str, Any], **options: Any) -> ReportFiles:
    for number, body in enumerate(bodies):
        documents.write(tmp_path / "r" / str(number), body)
    return report([tmp_path / "r"], ReportOptions(out=tmp_path / "out", **options))


def sizes(core: float = 400.0, **changes: Any) -> list[dict[str, Any]]:
    """Return results of two chips at three batch sizes."""
    return [
        documents.document(
            job=documents.job(chip=chip, batch_size=size),
            metrics=documents.metrics(
                core * speed * size / (size + 6), mem_total_gib=40.0, **changes.get("figures", {})
            ),
            **{name: value for name, value in changes.items() if name != "figures"},
        )
        for size in (1, 8, 64)
        for chip, speed in (("A100-SXM4-40GB", 3.0), ("T4", 1.0))
    ]


def at(day: int, core: float, commit: str, driver: str) -> dict[str, Any]:
    key = documents.job()
    stamp = f"2024-01-{day:02}T00:00:00Z"
    origin = {"commit": commit * 40, "host_driver": {"version": driver}}
    return documents.document(
        started_utc=stamp,
        finished_utc=stamp,
        metrics=documents.metrics(core),
        provenance=documents.provenance(key) | origin,
    )


def chart(page: Page, name: str) -> str:
    return page.locator(f"#chart-{name}").inner_text()


def test_the_roofline_has_both_axes_the_roofs_and_the_chips(show: Any, tmp_path: Path) -> None:
    seen = show(made(tmp_path, *sizes()).html)
    text = chart(seen.page, "roofline")
    for part in ("arithmetic intensity, FLOP/byte", "TFLOP/s", "A100", "T4"):
        assert part in text
    assert "A: limit of A100-SXM4-40GB, fp16" in text
    assert seen.errors == []


def test_no_name_of_a_roof_covers_another_text_on_a_phone(show: Any, tmp_path: Path) -> None:
    page = show(made(tmp_path, *sizes()).html, width=390).page
    boxes = page.evaluate(
        "[...document.querySelectorAll('#chart-roofline text')].map((found) => { const box = "
        "found.getBoundingClientRect(); return [found.textContent, box.left, box.top, box.right, box.bottom]; })"
    )
    assert {"A", "B"} <= {text for text, *_ in boxes}
    covered = [
        (one[0], other[0])
        for place, one in enumerate(boxes)
        for other in boxes[place + 1 :]
        if min(one[3], other[3]) - max(one[1], other[1]) > 1
        and min(one[4], other[4]) - max(one[2], other[2]) > 3
    ]
    assert covered == []


def test_no_roofline_where_a_result_does_not_know_its_work(show: Any, tmp_path: Path) -> None:
    origin = documents.provenance(documents.job())
    del origin["work"]
    page = show(made(tmp_path, documents.document(provenance=origin)).html).page
    assert not page.locator("figure", has=page.locator("#chart-roofline")).is_visible()
    assert "no row knows its MACs" in page.locator("#not-drawn").inner_text()


@pytest.mark.parametrize(
    ("change", "flag"),
    [({"simulated": True}, "simulated"), ({"weights": "synthetic"}, "synthetic weights")],
)
def test_every_chart_of_simulated_or_synthetic_results_says_so(
    change: dict[str, Any], flag: str, show: Any, tmp_path: Path
) -> None:
    files = made(tmp_path, *sizes(**change), simulated=True, synthetic=True)
    page = show(files.html).page
    captions = page.locator("figure:visible figcaption").all_inner_texts()
    assert len(captions) > 5
    assert [caption for caption in captions if flag not in caption] == []


def test_energy_is_shown_only_where_power_was_sampled(show: Any, tmp_path: Path) -> None:
    page = show(made(tmp_path / "a", *sizes()).html).page
    assert "images/s/W" in chart(page, "efficiency")
    assert "J/image" in chart(page, "energy")
    without = {"energy_j": None, "energy_items": None}
    page = show(made(tmp_path / "b", *sizes(figures=without)).html).page
    assert not page.locator("#chart-efficiency").is_visible()
    assert "no energy of the core loop" in page.locator("#not-drawn").inner_text()


def test_the_trend_follows_time_commit_or_driver(show: Any, tmp_path: Path) -> None:
    bodies = (at(1, 100.0, "a", "535.1"), at(5, 110.0, "b", "535.1"), at(9, 90.0, "b", "550.2"))
    seen = show(made(tmp_path, *bodies).html)
    page = seen.page
    assert "start of the run" in chart(page, "trend")
    page.get_by_label("Trend by").select_option("commit")
    page.locator("#chart-trend", has_text="aaaaaaaaaa").wait_for()
    assert "commit, in the order of its first result" in chart(page, "trend")
    page.get_by_label("Trend by").select_option("driver")
    page.locator("#chart-trend", has_text="550.2").wait_for()
    assert page.locator("tr.row").count() == 1, "the tables show the newest only"
    assert seen.errors == []


def test_one_result_has_no_trend(show: Any, tmp_path: Path) -> None:
    page = show(made(tmp_path, documents.document()).html).page
    assert not page.locator("#chart-trend").is_visible()
    assert "no configuration has several results" in page.locator("#not-drawn").inner_text()


def test_the_gate_has_its_mark_on_the_axis_of_its_figure(show: Any, tmp_path: Path) -> None:
    page = show(made(tmp_path, *sizes()).html).page
    text = chart(page, "accuracy")
    assert "gate: lowest accuracy that passes" in text
    assert "acc1, inference (right is better)" in text
    assert "gate" in page.locator("#not-drawn").inner_text(), "of raw outputs: not their gate"


TITLES = "[...document.querySelectorAll('.chart svg text')].map((text) => {\
  const [own, all] = [text.getBoundingClientRect(), text.closest('svg').getBoundingClientRect()];\
  return [text.textContent, own.left - all.left, all.right - own.right, own.top - all.top, all.bottom - own.bottom];\
}).filter(([text, ...room]) => text && Math.min(...room) < -1)"


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [390, 1280, 1440])
def test_no_axis_title_or_label_is_cut(
    width: int, language: str, show: Any, tmp_path: Path
) -> None:
    trend = (at(1, 100.0, "a", "535.1"), at(5, 110.0, "b", "550.2"))
    page = show(made(tmp_path, *sizes(), *trend, language=language).html, width=width).page
    assert page.evaluate(TITLES) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_long_name_of_a_processor_is_whole(width: int, show: Any, tmp_path: Path) -> None:
    name = "AMD EPYC 9B14 (cpu family 26 model 2 stepping 1), 2 of 64 threads, 31 GiB"
    bodies = [
        documents.document(job=documents.job(vendor="cpu", chip=name, engine=engine, batch_size=n))
        for engine in ("onnxruntime", "torch_compile")
        for n in (1, 8, 64)
    ]
    page = show(made(tmp_path, *bodies).html, width=width).page
    assert page.evaluate(TITLES) == []
    assert "threads, 31 GiB" in chart(page, "batch").replace("\n", " ")
    labels = page.locator("#chart-whole svg text", has_text="GiB").all()
    boxes = [label.bounding_box() for label in labels]
    tops = [box["y"] for box in boxes if box is not None]
    assert min(abs(a - b) for a in tops for b in tops if a != b) >= 10, "labels do not overlap"
    cut = "[...document.querySelectorAll('.results td')].filter((cell) => cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent)"
    assert page.evaluate(cut) == []


def test_every_chart_of_a_warned_figure_marks_it(show: Any, tmp_path: Path) -> None:
    warned = documents.warned("device_shared")
    page = show(made(tmp_path, *sizes(warnings=warned)).html).page
    for name in ("whole", "time", "efficiency", "energy"):
        assert "bs64 !" in chart(page, name).replace("\n", " "), name
    assert "bs1 !" in chart(page, "latency") or "bs64 !" in chart(page, "latency")
    assert "with !: a warning concerns the figure" in page.locator("#chart-hint").inner_text()
    for name in ("batch", "pareto", "roofline"):
        hollow = page.locator(
            f"#chart-{name} path[fill='rgb(255,255,255)'], #chart-{name} path[fill='#fff']"
        )
        assert hollow.count() >= 6, name


def test_the_details_of_a_row_carry_its_marks(show: Any, tmp_path: Path) -> None:
    page = show(made(tmp_path, documents.unstable()).html).page
    page.locator("button.open").click()
    page.locator(".detail-body").wait_for()
    assert "images/s !" in page.locator(".detail-body").inner_text()


LATIN = "[...document.querySelectorAll('h1, h2, h3, h4, th button, th:not(:has(button)), label, figcaption, dt, .hint, .notice, nav a, button.quiet')]\
  .filter((found) => found.offsetParent && !found.nextElementSibling?.classList.contains('code')).map((found) => found.firstChild?.textContent?.trim() ?? '')"


def test_a_chinese_page_shows_no_english_text_of_ours(
    show: Any, files: ReportFiles, tmp_path: Path
) -> None:
    trend = (at(1, 100.0, "a", "535.1"), at(5, 110.0, "b", "550.2"))
    seen = show(made(tmp_path, *sizes(), *trend, language="zh").html)
    page = seen.page
    page.locator("button.open").first.click()
    page.locator(".detail-body").wait_for()
    shown = set(page.evaluate(LATIN)) | set(page.locator(".chart svg text").all_inner_texts())
    english = {text for text in shown if PAGE.get(text, text) != text}
    assert english - set(FLAGPERF) == set()
    assert page.get_attribute("html", "lang") == "zh"
    assert "图像/s" in page.locator(".results thead").first.inner_text()
    assert seen.errors == []


@pytest.mark.parametrize("width", [390, 1280])
def test_the_key_figure_is_visible_without_scrolling_sideways(
    width: int, show: Any, files: ReportFiles
) -> None:
    page = show(files.html, width=width).page
    place = ".results .key" if width < 640 else ".results td.core"
    for found in page.locator(place).all():
        found.scroll_into_view_if_needed()
        box = found.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


CONTRAST = """() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
  const light = ([r, g, b]) => { const f = (v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
  const ground = (found) => { for (let one = found; one; one = one.parentElement) { const colour = parse(getComputedStyle(one).backgroundColor); if (colour[3] > 0.99) return colour; } return [255, 255, 255, 1]; };
  const texts = [...document.querySelectorAll('main *, header *, footer *')].filter((one) => one.offsetParent && !one.closest('svg') && [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
  return texts.map((one) => { const [a, b] = [light(parse(getComputedStyle(one).color)), light(ground(one))].sort((x, y) => y - x); return [one.className, one.textContent.slice(0, 30), (a + 0.05) / (b + 0.05)]; }).filter(([, , ratio]) => ratio < 4.5);
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_has_the_contrast_that_wcag_asks_for(
    dark: bool, show: Any, files: ReportFiles
) -> None:
    page = show(files.html, dark=dark).page
    page.locator("button.open").first.click()
    page.locator(".detail-body").wait_for()
    assert page.evaluate(CONTRAST) == []
