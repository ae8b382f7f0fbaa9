"""What tests used of the processors is read from the kernel, whatever ends meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.processor_time import _children

if TYPE_CHECKING:
    from pathlib import Path


def test_a_thread_that_ends_while_it_is_asked_ends_no_test_run(tmp_path: Path) -> None:
    """It did: pytest's worker ended with FileNotFoundError, and all tests with it."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "children").symlink_to(tmp_path / "gone")
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "children").write_text("41 42 ", encoding="ascii")
    assert sorted(_children(tmp_path)) == ["41", "42"]
