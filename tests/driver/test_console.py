"""What a person sees: foreign text without effect, refusals with a remedy, tables that fit."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

import pytest

from driver.console import Console
from driver.errors import UsageFault
from driver.events import Progress
from driver.models.base import StageName
from driver.models.result import StageRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW = ("onnxruntime", "fp32", "98.08/98.08")
HEADERS = ("tool", "precision", "acc")


def width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(
        "driver.console.shutil.get_terminal_size", lambda: os.terminal_size((columns, 24))
    )


def printed(
    capsys: pytest.CaptureFixture[str], rows: Sequence[Sequence[str]] = (ROW,)
) -> list[str]:
    Console().table(HEADERS, rows)
    return capsys.readouterr().out.splitlines()


def test_a_row_that_fits_lies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    width(monkeypatch, 80)
    assert len(printed(capsys)) == 3


def test_a_row_that_is_too_wide_for_the_terminal_stands_upright(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    width(monkeypatch, 30)
    lines = printed(capsys)
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(HEADERS)


def test_escape_sequences_of_foreign_names_are_shown_and_have_no_effect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console().fault("\x1b[31mred\x1b[0m", "\x07ring")
    Console().table(("chip",), [["\x1b]0;title\x07"]])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\x07" not in out + err
    assert "\\x1b[31mred" in err


def test_an_error_says_what_to_type_next_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console().error(UsageFault("BS=x is no number", "for example BS=8"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "assay: BS=x is no number\n  → for example BS=8\n"


def test_a_document_is_all_there_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=True)
    console.note("working")
    console.stage_started(StageName.INFER, 0, 1)
    console.stage_ended(StageRecord(name=StageName.INFER, status="ok", wall_s=1.25))
    console.document({"名": "值"})
    assert json.loads(capsys.readouterr().out) == {"名": "值"}


def test_a_cached_stage_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Console().stage_ended(StageRecord(name=StageName.EXPORT, status="cached", cached=True))
    assert "from the cache" in capsys.readouterr().err


def test_work_that_is_no_stage_has_a_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("driver.console.PLAIN_PROGRESS_S", 0.0)
    console = Console()
    console.task_started("data")
    console.progress(Progress(phase="draw", done=49, total=256, unit="items", rate=50.0))
    console.task_ended()
    assert capsys.readouterr().err.strip() == "data: draw  50 items/s 49/256"
