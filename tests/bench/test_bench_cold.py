"""The cold bench: a fresh copy of the tree, and parts that add up to the wall time."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import textwrap
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from driver.errors import EnvironmentFault
from tests.bench import bench_cold
from tests.bench.bench_cold import (
    Run,
    copy_tree,
    environment,
    make,
    marks,
    medians,
    run_once,
    split,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_parts_are_those_of_the_result_and_of_each_environment() -> None:
    shares = {"environments": 20.0, "export": 6.0, "infer": 3.0, "driver": 0.5}
    made = {"driver": 1010.0, "torch2": 1025.0, "ort1": 1030.5}
    assert split(1000.0, shares, made) == {
        "environment driver": 10.0,
        "environment torch2": 14.5,
        "environment ort1": 5.5,
        "export": 6.0,
        "infer": 3.0,
        "driver": 0.5,
    }


def test_a_warm_run_makes_no_environment() -> None:
    shares = {"environments": 0.01, "infer": 3.0}
    assert split(1000.0, shares, {}) == shares


def test_only_environments_of_this_run_count(tmp_path: Path) -> None:
    for name, mark, at in (
        ("driver-0123", ".complete", 100.0),
        ("ort1.31-torch2.13-4567", "assay.json", 300.0),
        ("torch2.13-89ab", "assay.json", 200.0),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / mark).touch()
        os.utime(tmp_path / name / mark, (at, at))
    assert list(marks(tmp_path, since=150.0)) == ["torch2.13", "ort1.31-torch2.13"]


def test_a_copy_has_what_git_would_add_and_nothing_else(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for name, text in (("kept", "1"), ("new", "2"), ("left.pyc", "3"), (".gitignore", "*.pyc\n")):
        source.mkdir(exist_ok=True)
        (source / name).write_text(text, encoding="utf-8")
    subprocess.run(["git", "-C", str(source), "init", "-q"], check=True)
    subprocess.run(["git", "-C", str(source), "add", "kept"], check=True)
    (source / "kept").write_text("changed", encoding="utf-8")
    (source / "kept").chmod(0o755)
    copy_tree(source, target)
    assert sorted(path.name for path in target.iterdir()) == [".gitignore", "kept", "new"]
    assert (target / "kept").read_text(encoding="utf-8") == "changed"
    assert (target / "kept").stat().st_mode & stat.S_IXUSR


def test_a_run_gets_pips_settings_and_no_variable_of_makes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CASE", "ASSAY_HOME", "MAKEFLAGS", "PIP_INDEX_URL", "https_proxy"):
        monkeypatch.setenv(name, "x")
    given = environment(tmp_path)
    assert {"PIP_INDEX_URL", "https_proxy", "PATH"} <= set(given)
    assert not {"CASE", "ASSAY_HOME", "MAKEFLAGS"} & set(given)
    assert given["XDG_CACHE_HOME"] == str(tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree whose `make run` makes one environment and one result."""
    result = {"time_shares": [{"what": "environments", "wall_s": 0.1}]}
    folder = tmp_path / "results" / "a" / "b" / "c" / "d"
    recipe = (
        f"mkdir -p .assay/venvs/torch2-1 {folder}\n"
        "\t@echo one; echo two; touch .assay/venvs/torch2-1/assay.json\n"
        f"\t@echo '{json.dumps(result)}' > {folder}/result.json\n"
    )
    text = f"run:\n\t@{recipe}broken:\n\t@echo why; exit 1\n"
    (tmp_path / "Makefile").write_text(textwrap.dedent(text), encoding="utf-8")
    return tmp_path


def test_parts_add_up_to_the_wall_time(tree: Path) -> None:
    run = run_once(tree, os.environ)
    assert set(run.parts) == {"environment torch2", "rest"}
    assert sum(run.parts.values()) == pytest.approx(run.wall_s)
    assert [step.line for step in run.steps] == ["one", "two"]


def test_a_step_lasts_until_the_next_line_and_the_last_until_the_end(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = iter([100.0, 101.0, 103.0, 108.0])
    clock = SimpleNamespace(time=time.time, perf_counter=lambda: next(reads))
    monkeypatch.setattr(bench_cold, "time", clock)
    _, wall_s, steps = make(tree, "run", os.environ)
    assert wall_s == 8.0
    assert [(step.line, step.wall_s) for step in steps] == [("one", 2.0), ("two", 5.0)]


def test_a_run_that_fails_is_named_with_what_it_printed(tree: Path) -> None:
    with pytest.raises(EnvironmentFault, match=r"(?s)make broken ended with 2:.*why"):
        make(tree, "broken", os.environ)


def test_medians_are_of_each_part() -> None:
    runs = [
        Run(wall_s=wall, cpu_s=wall, parts={"infer": wall / 2}, steps=())
        for wall in (1.0, 9.0, 2.0)
    ]
    assert medians(runs) == {
        "wall_s": 2.0,
        "all_wall_s": [1.0, 9.0, 2.0],
        "cpu_s": 2.0,
        "parts_s": {"infer": 1.0},
    }
