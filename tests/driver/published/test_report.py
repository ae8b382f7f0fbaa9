"""What the command line gets: tables, findings, one JSON document, figures as numbers."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from driver.errors import UsageFault
from driver.models.published import Published
from driver.models.vendor import VendorManifest
from driver.published.columns import language_of
from driver.published.load import load_case, load_cases
from driver.published.page import main, page
from driver.published.report import (
    contradictions,
    published_document,
    published_figures,
    published_tables,
)
from driver.published.table import Table, markdown
from tests.driver.published.document_text import CASES, DOCUMENTS

ROOT = CASES.parent
ALL = [path.parent for path in sorted(CASES.glob("*/published.toml"))]


def _published(folder: Path, **changes: Any) -> Published:
    body = tomllib.loads((folder / "published.toml").read_text(encoding="utf-8"))
    return Published.model_validate({**body, **changes})


def _vendor(name: str) -> VendorManifest:
    text = (ROOT / "vendor_hooks" / name / "vendor.toml").read_text(encoding="utf-8")
    return VendorManifest.model_validate(tomllib.loads(text))


def test_marks_in_a_row_are_numbers_of_the_findings_table() -> None:
    tables = {table.id: table for table in published_tables([CASES / "sam_h"])}
    rows, findings = tables["results"].rows, tables["findings"].rows
    marks = rows[0][-1].replace("[", "").replace("]", "").split()
    named = [findings[int(mark) - 1] for mark in marks]
    assert any("1895.1" in row[3] for row in named)
    assert any("0.89/1.0" in row[3] for row in named)
    assert [note.split("]")[0] for note in tables["results"].notes if "1895.1" in note]


def test_recomputed_mfu_stands_beside_the_printed_one() -> None:
    table = next(t for t in published_tables([CASES / "vit_l_16"]) if t.id == "results")
    printed = table.headers.index("*MFU")
    theirs = table.headers.index("MFU, their convention, recomputed")
    ours = next(i for i, h in enumerate(table.headers) if h.startswith("MFU, ours"))
    cells = [(row[printed], row[theirs], row[ours]) for row in table.rows]
    assert [cell[:2] for cell in cells] == [
        ("26.2%", "26.24%"),
        ("23.3%", "23.32%"),
        ("27.9%", "27.90%"),
    ]
    assert cells[2][2].startswith("13.9")
    assert printed in table.printed
    assert theirs not in table.printed


def test_gate_failures_are_written_in_the_row() -> None:
    table = next(t for t in published_tables([CASES / "sam_h"]) if t.id == "results")
    gate = table.headers.index("accuracy gate")
    assert [row[gate] for row in table.rows] == ["FAILS", "passes"]


def test_a_case_that_only_refers_brings_the_other_s_tables_and_says_why() -> None:
    tables = published_tables([CASES / "vit_s_16"])
    assert {table.case for table in tables} == {"vit_b_32"}
    assert all("vit_s_16 → vit_b_32" in table.notes[0] for table in tables)


def test_a_document_asked_for_twice_is_printed_once() -> None:
    both = load_cases([CASES / "vit_s_16", CASES / "vit_b_32"])
    assert [case.name for case in both] == ["vit_b_32"]
    assert len(both[0].asked_as) == 1
    assert len(load_cases(ALL)) == len(DOCUMENTS)


def test_cases_without_figures_are_passed_over_unless_nothing_is_left() -> None:
    digits = CASES / "vit_digits"
    assert [case.name for case in load_cases([digits, CASES / "sam_h"])] == ["sam_h"]
    with pytest.raises(UsageFault, match="no published figures for vit_digits") as fault:
        load_cases([digits])
    assert fault.value.remedy == f"choose one of: {', '.join(folder.name for folder in ALL)}"


def test_where_no_case_has_figures_the_remedy_names_none(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(UsageFault) as fault:
        load_cases([tmp_path / "new"])
    assert fault.value.remedy.startswith("write one from the tables of the document")


def test_a_row_whose_label_is_another_batch_size_is_refused() -> None:
    body = tomllib.loads((CASES / "vit_b_32" / "published.toml").read_text(encoding="utf-8"))
    body["throughput"][0]["rows"][0]["label"] = "bs2"
    with pytest.raises(ValueError, match="row 'bs2' is transcribed as batch size 1"):
        Published.model_validate(body)


def test_a_file_in_another_case_s_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "vit_l_16"
    folder.mkdir()
    shutil.copy(CASES / "sam_h" / "published.toml", folder)
    with pytest.raises(UsageFault, match="case is 'sam_h', its folder is 'vit_l_16'"):
        load_case(folder)


def test_a_broken_file_is_named_with_the_key(tmp_path: Path) -> None:
    folder = tmp_path / "sam_h"
    folder.mkdir()
    text = (CASES / "sam_h" / "published.toml").read_text(encoding="utf-8")
    (folder / "published.toml").write_text(text.replace('bs = "4"', "bs = 4"), encoding="utf-8")
    with pytest.raises(UsageFault, match=r"published\.toml: flagperf\.0\.rows\.0\.bs"):
        load_case(folder)
    (folder / "published.toml").write_text("schema = ", encoding="utf-8")
    with pytest.raises(UsageFault, match="is not TOML"):
        load_case(folder)


def test_a_row_of_another_width_or_an_unknown_chip_is_refused() -> None:
    text = {"id": "t", "heading": "", "headers": ["a", "b"], "headers_en": ["a", "b"]}
    with pytest.raises(ValueError, match="has 1 cells, the table 2"):
        _published(CASES / "sam_h", text=[{**text, "rows": [["1"]]}])
    with pytest.raises(ValueError, match=r"chips \['A100-SXM4-40GB', 'R200'\] are used"):
        _published(CASES / "sam_h", chips={})
    body = tomllib.loads((CASES / "vit_b_32" / "published.toml").read_text(encoding="utf-8"))
    body["throughput"][0]["rows"][0]["values"] = ["321.2008"]
    with pytest.raises(ValueError, match="'bs1' has 1 values and 2 ratios"):
        Published.model_validate(body)


def test_one_chip_has_the_same_peaks_in_every_file() -> None:
    known: dict[tuple[str, str], dict[str, float]] = {}
    for folder in ALL:
        for chip in load_case(folder).published.chips.values():
            peaks = {str(arithmetic): peak for arithmetic, peak in chip.peaks.items()}
            whose = (chip.vendor, chip.known_as)
            assert known.setdefault(whose, peaks) == peaks, f"{folder.name}: {chip.title}"
    for (name, chip_name), peaks in known.items():
        spec = _vendor(name).chips[chip_name]
        # A document that nobody drew an MFU from may list fewer.
        assert {**spec.peaks, **peaks} == spec.peaks, f"{name} {chip_name}"


def test_every_published_chip_is_one_of_its_vendors() -> None:
    """The report sets ours beside theirs by that name."""
    for folder in ALL:
        for chip in _published(folder).chips.values():
            assert chip.known_as in _vendor(chip.vendor).chips, f"{folder.name}: {chip.title}"


def test_constants_of_the_two_manifests_are_one() -> None:
    for folder in ALL:
        if not (folder / "case.toml").is_file():
            continue
        model = tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))["model"]
        published = load_case(folder).published.model
        assert model["parameters"] == published.parameters
        assert model.get("macs_published") == published.macs_published


def test_the_document_is_plain_json_with_everything_in_it() -> None:
    document = published_document(ALL)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["schema"] == "assay/published-report/1"
    assert len(document["documents"]) == len(DOCUMENTS)
    assert sum(len(d["findings"]) for d in document["documents"]) == len(contradictions(ALL))
    assert all(d["published"]["schema"] == "assay/published/1" for d in document["documents"])


def test_every_printed_row_is_a_figure_with_numbers() -> None:
    figures = published_figures(ALL)
    assert len(figures) == 3 + 2 + 7 + 18 + 18
    sd = [f for f in figures if f.case == "stable_diffusion_v1_4" and f.tool == "tensorrt"]
    assert (sd[0].p_infer_core, sd[0].acc_infer, sd[0].acc_val) == (60.6, 17.1, 25.2)
    assert sd[0].acc_passed is False
    assert sd[1].arithmetic == "tf32"
    kunlunxin = next(f for f in figures if f.tool == "kunlunxin_xtcl" and f.e2e_time_s)
    assert kunlunxin.p_val_core is None
    card = next(f for f in figures if f.case == "regnety_016" and f.chip == "Ascend310")
    assert (card.p_infer_core, card.chips, card.clock) == (1132.564, 4, "device")
    assert next(f for f in figures if f.case == "vit_b_32" and f.chip == "Ascend310").chips is None


@pytest.mark.parametrize(
    ("text", "language"),
    [("zh", "zh"), ("en", "en"), ("zh_CN.UTF-8", "zh"), ("en_US.UTF-8", "en"), ("C.UTF-8", "en")],
)
def test_a_locale_chooses_the_language(text: str, language: str) -> None:
    assert language_of(text) == language


def test_an_unknown_language_names_the_known_ones() -> None:
    with pytest.raises(UsageFault, match="unknown language 'de'"):
        language_of("de")


def test_markdown_shows_what_cells_hold_as_text() -> None:
    cells = ("a|b", "*MFU", "<script>", "\x1b[31mred")
    table = Table(case="c", document="000", id="t", title="", headers=("h",) * 4, rows=(cells,))
    assert markdown(table).splitlines()[2] == ("| a\\|b | \\*MFU | &lt;script> | \\x1b[31mred |")


def test_the_page_is_what_the_generator_writes(tmp_path: Path) -> None:
    """Regenerate with: python -m driver.published.page docs/published.md cases/*/"""
    committed = (ROOT / "docs" / "published.md").read_text(encoding="utf-8")
    assert committed == page(load_cases(ALL))
    target = tmp_path / "published.md"
    assert main([str(target), *map(str, reversed(ALL))]) == 0
    assert target.read_text(encoding="utf-8") == committed
    assert main([str(target)]) == 2
