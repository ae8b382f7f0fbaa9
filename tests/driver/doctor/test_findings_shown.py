"""Findings on a terminal: a table that fits its width, and below it every cut text in full."""

from __future__ import annotations

import pytest

from driver.console import Console
from driver.doctor.finding import failed, note, ok
from driver.verbs.showing.findings import show_findings

FINDINGS = [
    ok("processor", "2 hardware threads"),
    note("dataset imagenet2012 (regnety_016, vit_b_32, vit_l_16)", "not here " * 30, "DATA=<it>"),
    failed("mount /usr/local/Ascend/driver/version.info", "is not there", "install the driver"),
]


@pytest.mark.parametrize("columns", [72, 80, 120, 200])
def test_the_table_fits_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Console, "columns", lambda _self: columns)
    show_findings(FINDINGS, Console(), "doctor")
    shown = capsys.readouterr()
    table = [line for line in shown.out.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(FINDINGS)
    assert {len(line) for line in table} <= set(range(40, columns + 1))
    assert "mount /usr/local/Ascend/driver/version.info: is not there" in shown.err
    assert "→ install the driver" in shown.err


def test_a_text_is_cut_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Console, "columns", lambda _self: 80)
    show_findings(FINDINGS, Console(), "doctor")
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "not here" in line]
    assert line.rstrip(" |").rpartition(" ")[2] in ("not…", "here…")


def test_a_finding_of_several_lines_keeps_them(capsys: pytest.CaptureFixture[str]) -> None:
    problems = failed("stack of acme", "stack.toml:\n  name: missing\n  nam: extra", "fix it")
    show_findings([problems], Console(), "check")
    assert "stack.toml:\n    name: missing\n    nam: extra\n" in capsys.readouterr().err


def test_without_a_terminal_names_are_not_cut(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Console, "columns", lambda _self: None)
    show_findings(FINDINGS, Console(), "doctor")
    assert FINDINGS[1].what in capsys.readouterr().out
