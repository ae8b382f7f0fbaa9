"""Which files are left to the engine's process: everything but what is hidden, and written only where needed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.harness.job_folder import ROOT
from tests.harness.modules import kernel, sandbox

if TYPE_CHECKING:
    from pathlib import Path

needs_landlock = pytest.mark.skipif(
    kernel.landlock_version() is None, reason="this kernel has no Landlock"
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("data", "model", "cache", "deep/out", "deep/beside"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "link").symlink_to("data")
    return tmp_path


def test_what_is_readable_is_all_but_the_hidden_folders_and_those_around_them(tree: Path) -> None:
    found = sandbox.readable({str(tree / "data"), str(tree / "deep" / "out")}, [])
    here = {path for path in found if path.startswith(str(tree))}
    assert here == {str(tree / name) for name in ("model", "cache", "deep/beside")}
    assert "/usr" in found
    assert "/" not in found


def test_a_folder_that_cannot_be_listed_still_shows_what_is_named(tree: Path) -> None:
    named = str(tree / "model" / "file")
    assert named in sandbox.readable({str(tree / "model" / "hidden")}, [named])
    assert str(tree / "data") not in sandbox.readable({str(tree / "data")}, [str(tree / "link")])


def attempt(tree: Path, statement: str) -> str:
    """Return what a restricted process says to a statement; ``folder`` is the tree."""
    code = (
        "import sys, pathlib, os\n"
        f"sys.path.insert(0, {str(ROOT / 'vendor_hooks')!r})\n"
        "from harness.boundary import sandbox\n"
        f"folder = pathlib.Path({str(tree)!r})\n"
        "assert sandbox.restrict([str(folder / 'data'), str(folder / 'deep' / 'out')], [], "
        "[str(folder / 'cache')])\n"
        f"try:\n    {statement}\nexcept OSError as error:\n    print(type(error).__name__)\n"
        "else:\n    print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or done.stderr


@needs_landlock
@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("(folder / 'model' / 'file').read_text()", "done"),
        ("(folder / 'data' / 'file').read_text()", "PermissionError"),
        ("(folder / 'link' / 'file').read_text()", "PermissionError"),
        ("(folder / 'deep' / 'out' / 'file').write_text('x')", "PermissionError"),
        ("(folder / 'deep' / 'out' / 'new').write_text('x')", "PermissionError"),
        ("(folder / 'deep' / 'out' / 'file').unlink()", "PermissionError"),
        ("(folder / 'model' / 'file').write_text('x')", "PermissionError"),
        ("(folder / 'cache' / 'new').write_text('x')", "done"),
        ("(folder / 'cache' / 'file').rename(folder / 'cache' / 'other')", "done"),
        ("os.truncate(folder / 'deep' / 'out' / 'file', 0)", "PermissionError"),
        ("open('/dev/null', 'w').write('x')", "done"),
        ("os.system('cat ' + str(folder / 'data' / 'file') + ' && false') or 1 / 0", "done"),
    ],
)
def test_a_restricted_process_reaches_what_it_needs_and_no_more(
    tree: Path, statement: str, said: str
) -> None:
    assert attempt(tree, statement) == said


def test_a_kernel_without_landlock_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "landlock_version", lambda: None)
    assert sandbox.restrict(["/"], [], []) is None
