"""The Makefile: values reach the driver unchanged, and help lists every target."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from driver.cli import app
from driver.system.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RECORDER = f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with the Makefile and a driver/assay that prints its arguments."""
    (tmp_path / "driver").mkdir()
    shutil.copy(ROOT / "Makefile", tmp_path)
    recorder = tmp_path / "driver" / "assay"
    recorder.write_text(RECORDER, encoding="utf-8")
    recorder.chmod(0o755)
    return tmp_path


def make(tree: Path, *words: str, **env: str) -> list[str]:
    done = subprocess.run(
        ["make", *words],
        cwd=tree,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **env},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def test_help_lists_every_target(tree: Path) -> None:
    done = subprocess.run(["make", "help"], cwd=tree, capture_output=True, text=True, check=True)
    listed = re.findall(r"^  make ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)", (tree / "Makefile").read_text(encoding="utf-8"), re.M)
    assert phony is not None
    assert sorted(listed) == sorted(phony[1].split())


def test_every_target_calls_an_existing_verb() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = set(re.findall(r"^\t@\$\(call assay,([a-z-]+)", text, re.MULTILINE))
    known = {
        info.name or str(getattr(info.callback, "__name__", "")) for info in app.registered_commands
    }
    assert called <= {name.replace("_", "-") for name in known}
    assert {"run", "sweep", "list", "images"} <= called


def test_make_alone_shows_the_help(tree: Path) -> None:
    said = subprocess.run(["make"], cwd=tree, capture_output=True, text=True, check=True).stdout
    assert "make run" in said


def test_every_target_is_one_line() -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    recipes = [index for index, line in enumerate(lines) if line.startswith("\t")]
    assert recipes
    assert not [index for index in recipes if index + 1 in recipes]


def test_run_with_nothing_is_run_with_nothing(tree: Path) -> None:
    assert make(tree, "run") == ["run"]


def test_a_variable_is_the_option_of_the_same_name(tree: Path) -> None:
    words = ["CASE=sam", "VENDOR=nvidia", "BS=8", "TIER=smoke"]
    assert make(tree, "run", *words) == (
        ["run", "--case", "sam", "--vendor", "nvidia", "--bs", "8", "--tier", "smoke"]
    )


def test_flags_carry_no_value(tree: Path) -> None:
    assert make(tree, "sweep", "BS=1,4", "DRY_RUN=1", "AGAIN=1") == (
        ["sweep", "--bs", "1,4", "--again", "--dry-run"]
    )


def test_a_variable_may_come_from_the_environment(tree: Path) -> None:
    assert make(tree, "run", CASE="my case") == ["run", "--case", "my case"]


def test_a_case_s_own_option_is_passed_like_any_other(tree: Path) -> None:
    assert make(tree, "run", "CASE=sd", "STEPS=3") == ["run", "--case", "sd", "--steps", "3"]


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["run", "VENDR=cpu"], ["run", "--vendr", "cpu"]),
        (["report", "TIER=smoke"], ["report", "--tier", "smoke"]),
        (["list", "CASE=sam"], ["list", "--case", "sam"]),
        (["clean", "AL=1"], ["clean", "--al", "1"]),
    ],
)
def test_a_variable_that_a_target_does_not_take_is_never_dropped(
    tree: Path, words: list[str], passed: list[str]
) -> None:
    # The driver refuses it, with the name that was probably meant (tests/driver/test_cli.py).
    assert make(tree, *words) == passed


@pytest.mark.parametrize("words", [["test", "ARG=-x"], ["lint", "CASE=sam"], ["bench", "CSAE=x"]])
def test_a_target_that_is_not_a_verb_refuses_unknown_variables(
    tree: Path, words: list[str]
) -> None:
    done = subprocess.run(["make", *words], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"unknown variable {words[1].partition('=')[0]}" in done.stderr


@pytest.mark.parametrize(
    "target",
    [
        *(
            "dev",
            "test",
            "test-quick",
            "test-slow",
            "test-vendors",
            "test-engines",
            "test-full-size",
        ),
        *("lint", "bench"),
    ],
)
def test_where_a_bundle_was_loaded_a_target_of_tests_says_that_there_are_none(
    tree: Path, target: str
) -> None:
    done = subprocess.run(["make", target], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no tests, since bundles leave them out: clone Assay" in done.stderr


@pytest.mark.parametrize(
    "word", ["OUT=x", "ASSAY_HOME=x", "VENDOR_PATH=x", "CASE_PATH=x", "STACK_PYTHON=x"]
)
def test_variables_that_the_driver_reads_from_the_environment_are_not_options(
    tree: Path, word: str
) -> None:
    assert make(tree, "run", word) == ["run"]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=30))
def test_no_character_of_a_value_is_interpreted(tree: Path, value: str) -> None:
    if value.strip():
        assert make(tree, "run", f"DATA={value}") == ["run", "--data", value.lstrip(" ")]


@pytest.mark.parametrize(
    "value",
    [
        "$(shell touch {0})",
        "`touch {0}`",
        "'; touch {0}; '",
        '"; touch {0}; "',
        "$$(touch {0})",
        "${{HOME}}",
        "a\\b",
        "#no comment",
        "${{shell touch {0}}}",
    ],
)
def test_a_hostile_value_runs_nothing(tree: Path, value: str) -> None:
    trace = tree / "trace"
    hostile = value.format(trace)
    assert make(tree, "run", f"CASE={hostile}") == ["run", "--case", hostile]
    assert make(tree, "run", CASE=hostile) == ["run", "--case", hostile]
    assert not trace.exists()


@pytest.mark.parametrize("target", ["run", "sweep", "list", "report", "published", "doctor"])
def test_without_a_variable_a_target_passes_no_option(tree: Path, target: str) -> None:
    # make has variables of its own (AS, CC, …): an option of that name would always be given.
    assert make(tree, target) == [target]


COMMAND = re.compile(r"make ([a-z][a-z-]*)(?= [A-Z_]+=|`)")
SAYING = (
    *("driver/**/*.py", "vendor_hooks/**/*.py", "cases/**/*.py", "driver/templates/**/*"),
    *("*.md", "docs/*.md", "images/**/*.md", "vendor_hooks/**/*.md", "cases/**/*.md"),
)


def test_every_target_in_a_message_or_on_a_page_exists() -> None:
    """A remedy must be typeable."""
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    targets = set(phony[1].split())
    paths = {path for pattern in SAYING for path in ROOT.glob(pattern) if path.is_file()}
    named = {
        (found[1], path.relative_to(ROOT).as_posix())
        for path in paths
        if path.suffix != ".pyc"
        for found in COMMAND.finditer(path.read_text("utf-8", "replace"))
    }
    assert len(named) > 50
    assert sorted(one for one in named if one[0] not in targets) == []
