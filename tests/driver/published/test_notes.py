"""The notes of published.toml: each is marked where it belongs, quotes, and computes correctly."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from driver.models.published import Published
from driver.published.cells import number, pair, rounds_to
from driver.published.load import load_case
from driver.published.report import contradictions, published_tables
from tests.driver.published.document_text import (
    CASES,
    DOCUMENTS,
    link_targets,
    links,
    sections,
    text_of,
)

if TYPE_CHECKING:
    from driver.models.published import Note

EVERY = [(case, note) for case in DOCUMENTS for note in load_case(CASES / case).published.notes]
NUMBER = re.compile(r"\d+(?:\.\d+)?")

KNOWN = [
    ("vit_l_16", "torch-build", "937e930", "936e930"),
    ("vit_l_16", "later-figure", "e2e_time 1009.7", "663.2 later (0.66×)"),
    ("vit_l_16", "later-figure", "mem 35.0/40.0", "4.54/40.0"),
    ("vit_l_16", "later-figure", "mem 35.0/40.0", "6.27/40.0"),
    ("vit_l_16", "precision-outside-legend", "W32A16", "可选fp32/fp16"),
    ("vit_l_16", "section-number", "2. 模型与权重", "2. 软硬件配置与运行信息参考"),
    ("sam_h", "metric", "top1", "pixel agreement"),
    ("sam_h", "hub-id", "facebook/sam_vit_huge", "facebook/sam-vit-huge"),
    ("sam_h", "section-number", "3. 软硬件配置", "3. 运行情况"),
    ("sam_h", "section-number", "2.2 昆仑芯R200", "section 3"),
    ("stable_diffusion_v1_4", "library", "UNet2DConditionalModel", "diffusers"),
    ("stable_diffusion_v1_4", "hub-id", "CompViz", "CompVis"),
    ("stable_diffusion_v1_4", "empty-section", "1. 推理数据集", "nothing"),
    ("vit_b_32", "soc-version", "${chip_name}", "Ascend${chip_name}"),
    ("vit_b_32", "dead-links", "配套环境", "no such section"),
    ("vit_b_32", "tool-date", "ais_bench", "2022_08_11"),
    ("regnety_016", "only-in-table", "2487.792, 3108.82, 1918.7328", "bs 32"),
    ("regnety_016", "same-output", "result/dumpOutput_device0", "result/dumpOutput_device0"),
    ("regnety_016", "log-version", "7.2.3.4", "8.0.1 to 8.2"),
    ("regnety_016", "log-device", "device_1", "-device_id=0"),
    ("regnety_016", "extrapolated", "1055.488", "263.872"),
]


def _notes(case: str, name: str) -> list[Note]:
    return [note for owner, note in EVERY if (owner, note.id) == (case, name)]


def _note(case: str, name: str) -> Note:
    (found,) = _notes(case, name)
    return found


@pytest.mark.parametrize(("case", "name", "printed", "against"), KNOWN)
def test_a_note_is_a_finding_with_both_figures(
    case: str, name: str, printed: str, against: str
) -> None:
    found = [f for f in contradictions([CASES / case]) if f.rule == name]
    (hit,) = (f for f in found if printed in f.printed and against in f.against)
    assert (hit.case, hit.document) == (case, DOCUMENTS[case])
    assert hit.reason
    assert hit.source


@pytest.mark.parametrize(("case", "note"), EVERY)
def test_a_note_prints_only_numbers_of_its_document(case: str, note: Note) -> None:
    """``against`` may have numbers from elsewhere; if it says that it is the document's, it may not."""
    quoted = note.printed
    if note.source == "the document itself":
        quoted += f" {note.against}"
    known = set(NUMBER.findall(text_of(DOCUMENTS[case])))
    assert set(NUMBER.findall(quoted)) <= known


@pytest.mark.parametrize(("case", "note"), [(c, n) for c, n in EVERY if n.table and n.rows])
def test_the_mark_of_a_note_is_in_its_rows(case: str, note: Note) -> None:
    tables = {table.id: table for table in published_tables([CASES / case])}
    listed = [row[0] for row in tables["findings"].rows if row[3] == note.printed]
    assert listed
    table = tables[note.table or ""]
    assert [line for line in table.notes if line.startswith(f"[{listed[0]}]")]
    if "marks" in table.headers:
        marks = [row[-1].split() for row in table.rows]
        assert all(any(f"[{n}]" in marks[row] for n in listed) for row in note.rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"table": "no-table"}, "names table 'no-table'"),
        ({"table": "results", "rows": (0, 9)}, r"names row 9 \(from 0\) of 3 rows"),
        ({"table": "results", "column": "speed"}, "names column 'speed'"),
        ({"table": None, "rows": (1,), "column": None}, "names rows or a column, but no table"),
    ],
)
def test_a_note_about_fields_that_do_not_exist_is_refused(
    change: dict[str, Any], message: str
) -> None:
    body = load_case(CASES / "vit_l_16").published.model_dump(by_alias=True)
    body["notes"] = [{**body["notes"][0], **change}]
    with pytest.raises(ValueError, match=message):
        Published.model_validate(body)


@pytest.mark.parametrize("note", _notes("vit_l_16", "later-figure"))
def test_a_later_figure_is_as_many_times_the_printed_one_as_the_note_says(note: Note) -> None:
    (row,) = note.rows
    cell = getattr(load_case(CASES / "vit_l_16").published.flagperf[0].rows[row], note.column or "")
    assert note.printed == f"{note.column} {cell}"
    later, _, ratio = note.against.partition(" later ")
    before, after = number(cell), number(later)
    assert before is not None
    assert after is not None
    if note.column == "acc":
        assert ratio == f"(inference {after - before:+} points)"
    else:
        assert rounds_to(after / before, ratio.strip("(×)"))


def test_what_the_later_table_prints_beside_those_is_close_to_the_first_figures() -> None:
    rows = load_case(CASES / "vit_l_16").published.flagperf[0].rows
    checked = 0
    for note in _notes("vit_l_16", "later-figure"):
        _, _, close = note.reason.partition("within 5 % of the first figures: ")
        for part in filter(None, close.split(", ")):
            column, value = part.split(" ")
            first, later = number(getattr(rows[note.rows[0]], column.lower())), number(value)
            assert first is not None
            assert later is not None
            assert abs(later / first - 1) <= Decimal("0.05")
            checked += 1
    assert checked == 5


@pytest.mark.parametrize(("case", "document"), DOCUMENTS.items())
def test_links_that_lead_nowhere_are_exactly_those_of_the_note(case: str, document: str) -> None:
    known = link_targets(document)
    dead = [
        f"{text} → #{target}" for text, target in links(document) if target.lower() not in known
    ]
    if not dead:
        assert not _notes(case, "dead-links")
        return
    note = _note(case, "dead-links")
    assert note.printed.split("; ") == dead
    assert note.where.endswith(f"{len(dead)} of {len(links(document))} links")


@pytest.mark.parametrize(("case", "document"), DOCUMENTS.items())
def test_section_numbers_that_are_wrong_are_exactly_those_of_the_notes(
    case: str, document: str
) -> None:
    titles = [title for title, _ in sections(document) if re.match(r"\d", title)]
    numbers = [re.split(r"\.? ", title)[0] for title in titles]
    twice = {number for number, times in Counter(numbers).items() if times > 1}
    wrong, parent = [], ""
    for title, found in zip(titles, numbers, strict=True):
        parent = parent if "." in found else found
        if found.rpartition(".")[0] not in ("", parent) and "." in found:
            wrong.append((title, f"section {parent}"))
    for repeated in twice:
        wrong.append((titles[numbers.index(repeated)], f"section {repeated}"))
    notes = _notes(case, "section-number")
    assert sorted((note.printed, note.where) for note in notes) == sorted(wrong)
    for note in notes:
        assert note.against in titles or "2.2" in note.printed


@pytest.mark.parametrize(("case", "document"), DOCUMENTS.items())
def test_sections_without_text_are_exactly_those_of_the_notes(case: str, document: str) -> None:
    """A heading with a deeper one right below it is not empty."""
    found = sections(document)
    deeper = {
        title
        for (title, _), (following, _) in pairwise(found)
        if re.match(rf"{re.escape(title.split(' ')[0].rstrip('.'))}\.\d", following)
    }
    empty = [title for title, below in found if not below.strip() and title not in deeper]
    assert [note.printed for note in _notes(case, "empty-section")] == empty


def test_the_metric_of_sam_is_called_top_1_by_the_document() -> None:
    published = load_case(CASES / "sam_h").published
    note = _note("sam_h", "metric")
    assert published.metric is not None
    assert (note.printed, note.against) == (published.metric.printed, published.metric.actual)
    assert note.printed in text_of("001")


def test_the_precision_that_the_legend_lacks_is_the_only_one() -> None:
    for case in ("vit_l_16", "sam_h", "stable_diffusion_v1_4"):
        published = load_case(CASES / case).published
        legend = next(table for table in published.text if table.id == "indicators")
        remark = next(row[2] for row in legend.rows if row[1] == "precision")
        assert remark == "可选fp32/fp16"
        rows = [i for i, r in enumerate(published.flagperf[0].rows) if r.precision not in remark]
        assert [list(n.rows) for n in _notes(case, "precision-outside-legend")] == [rows][
            : len(rows)
        ]


def test_a_card_s_figures_are_four_times_one_chip_s() -> None:
    note = _note("regnety_016", "extrapolated")
    figures = load_case(CASES / "regnety_016").published.figures
    multiplied = [figure for figure in figures if figure.factor_is == "chips"]
    measured, factor, total = NUMBER.findall(note.reason)
    assert Decimal(measured) * int(factor) == Decimal(total)
    assert (multiplied[0].measured, multiplied[0].factor, multiplied[0].total) == (
        measured,
        factor,
        total,
    )
    assert note.where == f"{multiplied[0].heading}, {len(multiplied)} figures"


def test_the_rows_that_the_text_does_not_support_are_those_of_the_note() -> None:
    published = load_case(CASES / "regnety_016").published
    sizes = {figure.batch_size for figure in published.figures}
    rows = published.throughput[0].rows
    alone = [index for index, row in enumerate(rows) if row.batch_size not in sizes]
    note = _note("regnety_016", "only-in-table")
    assert list(note.rows) == alone
    assert note.printed == ", ".join(rows[alone[0]].values)
    assert note.against == f"text and logs end at bs {max(sizes)}"


def test_the_log_is_of_a_device_that_no_command_selects() -> None:
    published = load_case(CASES / "regnety_016").published
    selected = set(re.findall(r"-device_id=\d+", " ".join(c.text for c in published.commands)))
    note = _note("regnety_016", "log-device")
    assert selected == {note.against}
    files = [log.file for log in published.logs if log.file]
    assert [file for file in files if not file.endswith("device_0.txt")] == [note.printed]
    assert published.throughput[0].rows[note.rows[0]].label == "bs16"


def test_the_log_of_trtexec_has_the_lines_that_date_it() -> None:
    published = load_case(CASES / "regnety_016").published
    note = _note("regnety_016", "log-version")
    lines = "\n".join(next(log.lines for log in published.logs if log.tool == "trtexec"))
    quoted = re.findall("“(.+?)”", note.reason)
    assert len(quoted) == 2
    assert all(quote in lines for quote in quoted)
    assert note.printed in text_of("004")


@pytest.mark.parametrize("note", _notes("regnety_016", "same-output"))
def test_two_commands_of_one_purpose_write_to_the_same_path(note: Note) -> None:
    (one, path), (other, same) = (side.split(": ") for side in (note.printed, note.against))
    commands = {c.purpose: c.text for c in load_case(CASES / "regnety_016").published.commands}
    assert one != other
    assert path == same
    assert path in text_of("004") or path.removesuffix(".om") in commands[one]
    if not path.startswith("result/"):
        stem = path.removesuffix(".om")
        assert stem in commands[one]
        assert stem in commands[other]


def test_the_figures_that_notes_about_stable_diffusion_cite_are_in_its_table() -> None:
    (table,) = load_case(CASES / "stable_diffusion_v1_4").published.flagperf
    large = _note("stable_diffusion_v1_4", "large-batch")
    (row,) = (table.rows[index] for index in large.rows)
    assert large.against == f"{row.label}: MFU {row.mfu}"
    scores = _note("stable_diffusion_v1_4", "clip-weights").against.split(", ")
    assert set(scores) <= {row.acc for row in table.rows}
    assert len({pair(score) for score in scores}) == 3


@pytest.mark.parametrize("case", ["vit_b_32", "regnety_016"])
def test_only_batch_1_is_converted_by_the_commands(case: str) -> None:
    published = load_case(CASES / case).published
    note = _note(case, "batches")
    rows = published.throughput[0].rows
    assert note.against == ", ".join(rows[index].label for index in note.rows)
    converted = {size for c in published.commands for size in re.findall(r"bs(\d+)", c.text)}
    assert converted == {"1"}
    assert [row.label for i, row in enumerate(rows) if i not in note.rows] == ["bs1"]
