"""The installed Apptainer: found on PATH, and old or strange ones refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.errors import EnvironmentFault
from driver.runners.apptainer.program import find_program, parsed, release

if TYPE_CHECKING:
    from pathlib import Path


def put(folder: Path, name: str, said: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\necho '{said}'\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_without_apptainer_the_other_ways_are_named(programs: Path) -> None:
    with pytest.raises(EnvironmentFault, match="not on PATH") as caught:
        find_program()
    assert "module load apptainer" in caught.value.remedy
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("name", "said", "title"),
    [
        ("apptainer", "apptainer version 1.3.4-1.el9", "Apptainer 1.3.4-1.el9"),
        ("apptainer", "apptainer version 1.4.0", "Apptainer 1.4.0"),
        ("singularity", "apptainer version 1.2.5", "Apptainer 1.2.5"),
        ("singularity", "singularity-ce version 4.1.0", "SingularityCE 4.1.0"),
    ],
)
def test_it_is_found_under_both_names(programs: Path, name: str, said: str, title: str) -> None:
    put(programs, name, said)
    assert find_program().title == title


@pytest.mark.parametrize(
    ("said", "needed"),
    [
        ("apptainer version 1.2.0", "Apptainer 1.2.1 or newer"),
        ("apptainer version 1.1.9", "Apptainer 1.2.1 or newer"),
        ("singularity-ce version 3.11.4", "SingularityCE 4.0.0 or newer"),
        ("singularity version 3.8.7", "neither Apptainer nor SingularityCE"),
        ("a game", "neither Apptainer nor SingularityCE"),
    ],
)
def test_an_older_or_another_program_is_refused(programs: Path, said: str, needed: str) -> None:
    put(programs, "singularity", said)
    with pytest.raises(EnvironmentFault, match=needed):
        find_program()


def test_versions_are_compared_by_their_numbers() -> None:
    assert release("1.10.0-rc.1") > release("1.9.3")
    assert parsed("/a", "apptainer version 1.3.4").prefix == "APPTAINER"
    assert parsed("/a", "singularity-ce version 4.1.0").prefix == "SINGULARITY"
