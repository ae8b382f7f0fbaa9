"""The report's bench: its tree is whole, what it compares may be compared, and nothing unmeasured passes."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from driver.compare.pairing import compare_paths
from tests.bench import bench_report
from tests.bench.bench_report import (
    BOUNDS,
    FEWEST,
    comparable,
    forgotten,
    judged,
    made_tree,
    peaks_of_children,
    timed,
)
from tests.bench.report_100k import generate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_the_two_that_are_compared_get_a_ratio_with_its_interval(memory_path: Path) -> None:
    # A refusal computes no interval: timing one would say nothing of a comparison.
    for _ in generate(memory_path, FEWEST, samples=False):
        pass
    made = compare_paths(*comparable(memory_path)).made[0]
    assert made.interval is not None, made.sentence()


def test_an_interrupted_tree_is_not_taken_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(root: Path, count: int) -> Iterator[Path]:
        yield from generate(root, count // 2, samples=False)
        raise KeyboardInterrupt

    monkeypatch.setattr(bench_report, "generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made_tree(tmp_path, 8)
    monkeypatch.undo()
    tree = made_tree(tmp_path, 8)
    assert len(list(tree.rglob("result.json"))) == 8
    assert [path.name for path in tmp_path.iterdir()] == [tree.name]


def test_a_tree_of_another_count_is_another_tree(tmp_path: Path) -> None:
    assert made_tree(tmp_path, 3) != made_tree(tmp_path, 4)


def test_what_was_not_measured_is_named_and_null() -> None:
    found = judged(dict.fromkeys(BOUNDS, 0.5) | {"second_s": 3.1, "open_s": None})
    assert found["missed"] == ["second_s"]
    assert found["not_measured"] == ["open_s"]
    assert judged({})["cold_s"] is None


def test_a_folder_in_memory_has_no_cold_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_report, "DROP_CACHES", tmp_path / "drop_caches")
    monkeypatch.setattr(bench_report, "filesystem", lambda _folder: "ext2/ext3")
    assert forgotten(tmp_path)
    monkeypatch.setattr(bench_report, "filesystem", lambda _folder: "tmpfs")
    assert not forgotten(tmp_path)


HUNGRY = """
import subprocess, sys
mine = b"x" * (200 << 20)
subprocess.run([sys.executable, "-c", "x = b'x' * (60 << 20); import time; time.sleep(0.5)"], check=True)
print(len(mine))
"""


def test_a_worker_is_counted_without_what_its_parent_had_when_it_was_forked() -> None:
    made = timed(HUNGRY)
    assert made.output.strip() == str(200 << 20)
    assert 60 < made.workers_mib < 120


def test_a_worker_that_has_ended_keeps_its_peak() -> None:
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert str(ended.pid) not in peaks_of_children(os.getpid())


def test_a_program_that_fails_is_no_figure() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        timed("raise SystemExit(3)")
