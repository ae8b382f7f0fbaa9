"""What makes a report another one though no file of a result changed: what could not be read, and other reports."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.aggregate.problem import ProblemKind
from driver.errors import EnvironmentFault
from driver.report import build, stamp
from driver.report.build import ReportOptions, report
from driver.report.stamp import STAMP
from driver.rerun.reading import read_rerun
from tests import documents

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver.report.stamp import ReportFiles


def reported(root: Path, **options: Any) -> ReportFiles:
    home, out = root.parent / "home", root.parent / "out"
    return report([root], ReportOptions(out=out, home=home, **options))


def drafts(out: Path) -> list[str]:
    return [path.name for path in out.iterdir() if path.name.startswith(".") and path.name != STAMP]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for size in (1, 2, 3):
        documents.write(folder, documents.document(job=documents.job(batch_size=size)))
    return folder


def failing(call: Callable[..., Any], path: str, number: int) -> Callable[..., Any]:
    def fail(wanted: Any, *args: Any, **more: Any) -> Any:
        if str(wanted) == path:
            raise OSError(number, os.strerror(number), path)
        return call(wanted, *args, **more)

    return fail


def test_a_file_that_could_not_be_read_is_read_the_next_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(next(root.rglob("result.json")))
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", failing(os.open, path, errno.EMFILE))
        first = reported(root)
    assert (first.shown, first.problems) == (2, 1)
    # Too many open files: no rights of the file would change that.
    assert first.first_problems[0].remedy.startswith("repeat the command")
    again = reported(root)
    assert (again.shown, again.problems, again.up_to_date) == (3, 0, False)
    assert reported(root).up_to_date


def test_a_folder_that_cannot_be_listed_is_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def stale(folder: Any) -> Any:
        if isinstance(folder, int) and Path(f"/proc/self/fd/{folder}").readlink() == broken:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), folder)
        return scandir(folder)

    broken = root / "stale"
    broken.mkdir()
    monkeypatch.setattr(os, "scandir", stale)
    made = reported(root)
    assert [problem.path for problem in made.first_problems] == [str(broken)]


def test_a_folder_whose_name_no_report_can_hold_is_not_read_again_and_again(root: Path) -> None:
    documents.write(root / os.fsdecode(b"r\xe9sultats"), documents.document())
    first = reported(root)
    assert [problem.kind for problem in first.first_problems] == [ProblemKind.UNREADABLE]
    assert reported(root).up_to_date


def test_files_that_another_report_wrote_meanwhile_are_not_this_ones(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp_of = stamp.stamp_of

    def while_another_writes(*args: Any) -> dict[str, Any]:
        monkeypatch.setattr(build, "stamp_of", stamp_of)
        reported(root, language="zh")
        return stamp_of(*args)

    monkeypatch.setattr(build, "stamp_of", while_another_writes)
    reported(root)
    assert not reported(root).up_to_date
    assert reported(root).up_to_date


def test_a_report_that_fails_leaves_no_draft(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_table: Any, draft: Path) -> None:
        draft.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(build, "write_parquet", full)
    with pytest.raises(EnvironmentFault, match="No space left"):
        reported(root)
    assert drafts(root.parent / "out") == []


def test_two_writers_with_one_number_have_two_drafts(tmp_path: Path) -> None:
    names = []

    def note(draft: Path) -> None:
        names.append(draft.name)
        draft.touch()

    for _ in range(2):
        build._write(tmp_path, {"results.csv": note})
    assert len(set(names)) == 2


def test_a_last_results_csv_that_cannot_be_read_is_made_anew(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported(root)
    whole = (root.parent / "out" / "results.csv").read_bytes()

    def broken(*_: Any) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "pread", broken)
    reported(root, fresh=True)
    assert (root.parent / "out" / "results.csv").read_bytes() == whole


@pytest.mark.parametrize("name", ["results.csv", STAMP])
def test_a_pipe_in_the_place_of_a_last_file_is_not_waited_for(root: Path, name: str) -> None:
    reported(root)
    path = root.parent / "out" / name
    path.unlink()
    os.mkfifo(path)
    assert not reported(root).up_to_date
    assert path.is_file()


def test_a_pipe_in_the_place_of_a_rerun_is_not_waited_for(root: Path) -> None:
    path = next(root.rglob("result.json"))
    os.mkfifo(path.with_name("rerun.json"))
    assert read_rerun(path) is None


def test_an_audit_that_may_be_read_now_makes_another_report(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = next(root.rglob("result.json")).with_name("audit.json")
    audit.write_text(json.dumps({}), encoding="utf-8")
    access = os.access
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: path != str(audit) and access(path, mode))
        reported(root)
    assert not reported(root).up_to_date
