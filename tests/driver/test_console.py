"""The console: untrusted text is harmless, errors have a remedy, tables fit the terminal."""

from __future__ import annotations

import io
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
from driver.system.plain_text import accept_every_character
from tests.driver.test_cli import assay

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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


def test_a_row_that_fits_is_horizontal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    width(monkeypatch, 80)
    assert len(printed(capsys)) == 3


def test_a_row_too_wide_for_the_terminal_is_transposed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    width(monkeypatch, 30)
    lines = printed(capsys)
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(HEADERS)


def test_escape_sequences_in_names_are_shown_and_have_no_effect(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console().fault("\x1b[31mred\x1b[0m", "\x07ring")
    Console().table(("chip",), [["\x1b]0;title\x07"]])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\x07" not in out + err
    assert "\\x1b[31mred" in err


def test_an_error_shows_its_remedy_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console().error(UsageFault("BS=x is not a number", "for example BS=8"))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "assay: BS=x is not a number\n  → for example BS=8\n"


def test_standard_output_has_only_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(as_json=True)
    console.note("working")
    console.stage_started(StageName.INFER, 0, 1)
    console.stage_ended(StageRecord(name=StageName.INFER, status="ok", wall_s=1.25))
    console.document({"名": "值"})
    assert json.loads(capsys.readouterr().out) == {"名": "值"}


def test_a_cached_stage_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    Console().stage_ended(StageRecord(name=StageName.EXPORT, status="cached", cached=True))
    assert "from the cache" in capsys.readouterr().err


def test_a_task_that_is_not_a_stage_has_a_named_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("driver.console.PLAIN_PROGRESS_S", 0.0)
    console = Console()
    console.task_started("data")
    console.progress(Progress(phase="draw", done=49, total=256, unit="items", rate=50.0))
    console.task_ended()
    assert capsys.readouterr().err.strip() == "data: draw  50 items/s, 4 s left 49/256"


def test_a_timed_phase_shows_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("driver.console.PLAIN_PROGRESS_S", 0.0)
    console = Console()
    console.stage_started(StageName.INFER, 1, 3)
    console.progress(
        Progress(phase="core", done=70, total=None, unit="calls", rate=5.0, left_s=42.4)
    )
    assert capsys.readouterr().err.strip() == "infer 2/3: core  5 calls/s, 42 s left 70"


def test_a_phase_that_counts_nothing_shows_no_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("driver.console.PLAIN_PROGRESS_S", 0.0)
    console = Console()
    console.stage_started(StageName.EXPORT, 1, 1)
    console.progress(Progress(phase="count", done=0, total=None, unit="", rate=None))
    assert capsys.readouterr().err.strip() == "export: count"


ENCODINGS = ("gbk", "ascii")
VERBS = (
    ("--help",),
    ("list",),
    ("list", "--format", "json"),
    ("published",),
    ("published", "--format", "json"),
    ("published", "--lang", "zh"),
    ("doctor",),
    ("check", "--vendor", "cpu", "--runner", "none"),
    ("check", "--format", "json"),
    ("report",),
    ("report", "--lang", "zh"),
    ("compare", "--a", "nowhere-é-中", "--b", "published"),
    ("run", "--case", "中✓é"),
)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_output_fails_for_an_encoding(verb: tuple[str, ...], tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    codes = set()
    for encoding in ENCODINGS:
        done = assay(*verb, home=tmp_path, encoding=encoding, OUT=out, PYTHONIOENCODING=encoding)
        assert "this is a bug in Assay" not in done.stderr
        codes.add(done.returncode)
        if "json" in verb:
            json.loads(done.stdout)
    assert len(codes) == 1
    assert codes != {70}


def test_a_terminal_without_our_signs_gets_their_spelling(tmp_path: Path) -> None:
    done = assay("doctor", home=tmp_path, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert "| +  |" in done.stdout or "| x  |" in done.stdout
    assert "\\u" not in done.stdout + done.stderr


def test_json_keeps_its_text_on_a_terminal_that_cannot_show_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    accept_every_character(sys.stdout)
    Console().document({"unit": "é→中"})
    sys.stdout.flush()
    assert json.loads(raw.getvalue()) == {"unit": "é→中"}
