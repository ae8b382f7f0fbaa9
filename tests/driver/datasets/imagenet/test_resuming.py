"""An interrupted preparation resumes; a changed source starts over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.datasets.imagenet import layout as layout_module
from driver.datasets.imagenet.layout import Layout
from driver.datasets.imagenet.sources import open_source
from driver.datasets.prepared import read_indexed
from driver.errors import DataFault, EnvironmentFault
from tests.driver.datasets.imagenet.ilsvrc import TAR, make_case, write_tar
from tests.driver.datasets.imagenet.test_preparation import (
    FORMS,
    PICTURES,
    expected,
    from_tar,
    items,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.catalog.catalog import Case

BREAK_AFTER = 7


@pytest.fixture(autouse=True)
def small_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout_module, "CHECKPOINT_BYTES", 1500)


def interrupted(src: Path, case: Case, home: Path) -> None:
    def stop(done: int, _total: int) -> None:
        if done == BREAK_AFTER:
            raise KeyboardInterrupt

    source = open_source(src, case)
    with pytest.raises(KeyboardInterrupt):
        Layout(home / "d", source.reader, source.labelled).write(source.origin, on_progress=stop)


def resumed(src: Path, case: Case, home: Path) -> tuple[bool, list[int], list[str]]:
    """Return whether it was written, which pictures were, and what was said."""
    written: list[int] = []
    said: list[str] = []
    source = open_source(src, case)
    made = Layout(home / "d", source.reader, source.labelled).write(
        source.origin, on_progress=lambda done, _total: written.append(done), on_note=said.append
    )
    return made, written, said


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_it_resumes_and_the_dataset_is_the_same(
    tmp_path: Path, form: Callable[[Path], Case]
) -> None:
    src = tmp_path / "src"
    case = form(src)
    interrupted(src, case, tmp_path)
    assert not (tmp_path / "d").exists(), "nothing half made under the final name"
    _, written, said = resumed(src, case, tmp_path)
    assert 1 < written[0] <= BREAK_AFTER
    assert said == [f"resuming after {written[0] - 1} of 12 pictures"]
    assert items(read_indexed(tmp_path / "d", cached=False)) == expected(PICTURES)


def test_a_second_time_nothing_is_written(tmp_path: Path) -> None:
    case = from_tar(tmp_path / "src")
    assert resumed(tmp_path / "src", case, tmp_path)[0]
    assert resumed(tmp_path / "src", case, tmp_path) == (False, [], [])


def test_the_md5_of_a_resumed_archive_covers_all_of_it(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = make_case(src, "1" * 32)
    from_tar(src)
    case = make_case(src, "1" * 32)
    interrupted(src, case, tmp_path)
    with pytest.raises(DataFault, match="instead of 1111"):
        resumed(src, case, tmp_path)


def test_a_changed_source_starts_over(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    interrupted(src, case, tmp_path)
    md5 = write_tar(src / TAR, PICTURES)
    _, written, said = resumed(src, make_case(src, md5), tmp_path)
    assert (written[0], said) == (1, [])


def test_a_broken_journal_starts_over(tmp_path: Path) -> None:
    src = tmp_path / "src"
    case = from_tar(src)
    interrupted(src, case, tmp_path)
    (tmp_path / "d.part" / "journal.json").write_text('{"key": 1')
    assert resumed(src, case, tmp_path)[1][0] == 1
    assert items(read_indexed(tmp_path / "d", cached=False)) == expected(PICTURES)


def test_a_full_disk_is_reported_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = from_tar(tmp_path / "src")
    import shutil

    full = shutil.disk_usage("/")._replace(free=10)
    monkeypatch.setattr("driver.system.workspace.shutil.disk_usage", lambda _path: full)
    with pytest.raises(EnvironmentFault, match="GiB"):
        resumed(tmp_path / "src", case, tmp_path)
    assert not (tmp_path / "d.part").exists()
