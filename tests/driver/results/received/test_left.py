"""What a stage left is read through the opener: no link leads out of its folder, and no size is trusted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from driver.results.received.left import REPORT_BYTES, LeftReport, read_left_report

if TYPE_CHECKING:
    from pathlib import Path

REPORT = '{"status": "ok"}'


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "other.json").write_text(REPORT)
    return folder


def test_a_report_is_read_and_a_missing_one_is_missing(out: Path) -> None:
    assert read_left_report(out) == LeftReport()
    (out / "report.json").write_text(REPORT)
    assert read_left_report(out) == LeftReport(text=REPORT)


def test_a_report_elsewhere_is_refused_however_valid_it_is(out: Path) -> None:
    (out / "report.json").symlink_to("../other.json")
    linked = read_left_report(out)
    (out / "report.json").unlink()
    (out / "report.json").hardlink_to(out.parent / "other.json")
    for found, said in ((linked, "a symbolic link"), (read_left_report(out), "a hard link")):
        assert found.text is None
        assert said in str(found.refused)


def test_a_report_beyond_the_limit_is_refused_before_it_is_read(out: Path) -> None:
    (out / "report.json").write_text(REPORT.ljust(REPORT_BYTES))
    assert read_left_report(out).text is not None
    os.truncate(out / "report.json", REPORT_BYTES + 1)
    found = read_left_report(out)
    assert found.text is None
    assert "more than the 16,777,216 allowed" in str(found.refused)
