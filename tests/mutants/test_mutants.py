"""The list of mutants fits the tree, and the runner tells a mutant that is noticed from one that is not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from driver.system.settings import ROOT
from tests.mutants.listed import Mutant, problems, read_mutants
from tests.mutants.trial import Outcome, copy_tree, try_out

if TYPE_CHECKING:
    from pathlib import Path

LEAST = 60
ADD = Mutant(
    name="add", file="sums.py", old="a + b", new="a - b", tests=("test_sums.py",), why="sums"
)

MODULE = """
def add(a, b):
    return a + b


def double(a):
    return 2 * a
"""
TEST = """
from sums import add


def test_add():
    assert add(1, 2) == 3
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "sums.py").write_text(MODULE)
    (tmp_path / "test_sums.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def test_every_mutant_applies_to_this_tree_and_names_tests_that_exist() -> None:
    mutants = read_mutants()
    assert problems(mutants, ROOT) == []
    assert len(mutants) >= LEAST


def test_pytest_finds_every_test_of_the_list_with_its_parameters() -> None:
    tests = sorted({test for mutant in read_mutants() for test in mutant.tests})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *tests], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"old": "a * b"}, "occurs 0 times"),
        ({"old": "def "}, "occurs 2 times"),
        ({"new": "a +"}, "invalid syntax"),
        ({"new": "a + b"}, "changes nothing"),
        ({"file": "gone.py"}, "gone.py"),
        ({"tests": ()}, "names no test"),
        ({"tests": ("test_sums.py::test_gone",)}, "there is no test test_sums.py::test_gone"),
        ({"tests": ("test_gone.py",)}, "there is no test test_gone.py"),
    ],
)
def test_an_entry_that_rots_is_named(tree: Path, changes: dict[str, str], said: str) -> None:
    assert problems([ADD], tree) == []
    (found,) = problems([replace(ADD, **changes)], tree)  # type: ignore[arg-type]
    assert said in found


def test_few_may_survive_and_names_are_unique(tree: Path) -> None:
    survivors = [replace(ADD, name=str(n), survives="no reason") for n in range(4)]
    assert problems(survivors[:3], tree) == []
    assert "4 may survive, at most 3" in problems(survivors, tree)[0]
    assert problems([ADD, ADD], tree) == ["add: twice in the list"]


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, Outcome.KILLED),
        ({"old": "2 * a", "new": "3 * a"}, Outcome.SURVIVED),
        ({"old": "def add", "new": "def plus"}, Outcome.INVALID),
    ],
)
@pytest.mark.jobs
def test_what_became_of_a_mutant(tree: Path, changes: dict[str, str], outcome: Outcome) -> None:
    assert try_out(replace(ADD, **changes), tree).outcome is outcome  # type: ignore[arg-type]
    assert (tree / "sums.py").read_text() == MODULE, "it is taken back"


@pytest.mark.jobs
def test_tests_that_do_not_end_are_ended(tree: Path) -> None:
    hangs = replace(ADD, new="__import__('time').sleep(600)")
    assert try_out(hangs, tree, limit_s=2).outcome is Outcome.TIMED_OUT


@pytest.mark.jobs
def test_a_mutant_does_not_outlive_its_trial_in_byte_code(tree: Path) -> None:
    """The same size and the same second: byte code of the mutant would pass for the module's."""
    harmless = replace(ADD, new="b + a")
    for mutant, outcome in ((ADD, Outcome.KILLED), (harmless, Outcome.SURVIVED)) * 2:
        assert try_out(mutant, tree).outcome is outcome


def test_a_copy_has_what_git_knows_and_new_files(tree: Path, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tree], check=True)
    (tree / ".gitignore").write_text("ignored\n")
    (tree / "ignored").write_text("")
    copy_tree(tree, tmp_path / "copy")
    copied = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert copied == [".gitignore", "pytest.ini", "sums.py", "test_sums.py"]
