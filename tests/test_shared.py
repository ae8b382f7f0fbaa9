"""What tests share is made once, whole or not at all; slow files come first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import SLOWEST, TESTS, slow_first
from tests.shared import VARIABLE, made_once

MAKE = """
import sys
from pathlib import Path
from tests.shared import made_once
made_once("slow", lambda folder: (Path(sys.argv[1]).open("a").write("made "), (folder / "a").touch()))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "shared"))
    return tmp_path / "shared"


def test_several_processes_make_it_once(tmp_path: Path, folder: Path) -> None:
    command = [sys.executable, "-c", MAKE, str(tmp_path / "log")]
    children = [subprocess.Popen(command, cwd=TESTS.parent) for _ in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "made "
    assert (folder / "slow" / "a").exists()


def test_what_failed_half_way_is_made_anew(folder: Path) -> None:
    def fail(made: Path) -> None:
        (made / "half").touch()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        made_once("odd", fail)
    again = made_once("odd", lambda made: (made / "whole").touch())
    assert [path.name for path in again.iterdir()] == ["whole"]


def test_the_slowest_files_are_there_and_first() -> None:
    places = [slow_first(TESTS / name) for name in SLOWEST]
    assert places == sorted(places)
    assert places[-1] < slow_first(TESTS / "driver" / "test_entry.py") < slow_first(Path(__file__))
