"""Nothing but the opener opens what a guest wrote: seen while a job runs, and read from the code."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.system.settings import ROOT
from tests.driver.session.test_damaged_files import EXPORTS
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENER = "driver/system/untrusted/opener.py"
READERS = frozenset(
    {"open", "read_text", "read_bytes", "copy", "copyfile", "copytree", "move", "load", "ZipFile"}
    | {"file_sha256", "remembered_sha256", "fromfile", "memmap", "fdopen"}
)
OTHERS_FILES = {
    # module: what its functions read; none of it is in `out`, in a cache or beside a job
    "driver/session/run.py": {"_write": "the result that it has just written"},
    "driver/runners/base.py": {"CappedLog.__init__": "the log, to write it"},
    "driver/runners/guard.py": {"_state_and_parent": "/proc"},
    "driver/runners/memory.py": {
        "kernel_oom_kills": "/proc",
        "_sizes": "/proc",
        "_first_of_a_container": "/proc",
        "container_watch": "/proc",
        "_proportional_bytes": "/proc",
    },
    "driver/runners/engine/tunnel.py": {"Tunnel.__init__": "ssh's log, to write it"},
    "driver/runners/remote/parcels.py": {
        "packed": "an archive, to write it",
        "unpack": "an archive, member by member",
        "_write": "a file, to write it",
    },
    "driver/runners/readable.py": {"readable_copy": "code of the tree"},
    "driver/system/untrusted/arrays.py": {
        "opened_archive": "what the opener opened",
        "headers": "a member of that archive",
    },
    "driver/runners/orphans.py": {"Init.of": "/proc"},
    "driver/results/received/clock.py": {"_listening": "a folder of our own, to bind its socket"},
    "driver/results/predictions.py": {"read_predictions": "as above"},
    "driver/datasets/pictures.py": {
        "index_picture": "the user's masks",
        "index_picture.write": "the user's masks",
    },
    "driver/datasets/image_folder.py": {
        "_write_items": "items, to write them",
        "_picture_bytes": "the user's pictures",
    },
    "driver/datasets/store.py": {"require_file": "the user's picture or prompts"},
    "driver/datasets/own.py": {"source_digest": "the user's dataset"},
    "driver/datasets/golden_masks.py": {"_shape": "the user's masks"},
    "driver/datasets/weights.py": {
        "read_weights": "the user's weights",
        "_check_file": "the user's weights",
        "_md5": "the user's weights",
    },
    "driver/system/hashing.py": {
        "file_sha256": "whatever its callers name, and they are listed here",
        "_code_files": "code",
        "code_digest": "code",
        "remembered_sha256": "as file_sha256",
        "_noted": "notes of digests, which carry a checksum",
    },
}
PACKAGES = ("session", "results", "runners", "datasets", "rerun", "events.py")


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.AST]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = f"{prefix}{node.name}"
            if isinstance(node, ast.FunctionDef):
                yield name, node
            yield from functions(node, f"{name}.")


def readers_in(path: Path) -> dict[str, set[str]]:
    """Return, by function, which calls in a module may read a file."""
    found: dict[str, set[str]] = {}
    for name, function in functions(ast.parse(path.read_text(encoding="utf-8"))):
        for node in ast.walk(function):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            word = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            through = isinstance(called, ast.Attribute) and getattr(called.value, "id", "") in (
                "opener",
                "documents",
                "stack",
            )
            if word in READERS and not through:
                found.setdefault(name, set()).add(word)
    return found


def modules() -> list[Path]:
    folders = [ROOT / "driver" / name for name in PACKAGES]
    found = [path for folder in folders for path in (folder.rglob("*.py") or [folder])]
    found += [ROOT / "driver/events.py", ROOT / "driver/system/hashing.py"]
    found += [ROOT / "driver/system/workspace.py"]
    found += [path for path in (ROOT / "driver/system/untrusted").glob("*.py")]
    return [path for path in found if path.relative_to(ROOT).as_posix() != OPENER]


ELSEWHERE = ("driver/datasets/imagenet/", "driver/rerun/reading.py")
"""Read the user's archives, and documents of results; neither is a guest's."""


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_reads_a_file_of_a_guest_by_itself(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    if name.startswith(ELSEWHERE):
        return
    strangers = set(readers_in(path)) - set(OTHERS_FILES.get(name, {}))
    assert not strangers, f"open what a guest wrote with {OPENER}, or say here whose file it is"


class Watch:
    """Records every file below the folders that this process opens for reading, and who opened it."""

    def __init__(self) -> None:
        self.folders: tuple[str, ...] = ()
        self.seen: list[tuple[str, bool]] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not self.folders:
            return
        path, mode, flags = arguments
        if isinstance(path, int) or not isinstance(path, str | bytes | os.PathLike):
            return
        name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  # no Path: it may call open
        reads = not set(mode or "") & set("wax+") and (flags or 0) & os.O_ACCMODE == os.O_RDONLY
        through = self._through_the_opener()
        if reads and (through or (name.startswith(self.folders) and not os.path.isdir(name))):  # noqa: PTH112
            self.seen.append((name, through))

    @staticmethod
    def _through_the_opener() -> bool:
        frame = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename.endswith(OPENER):
                return True
            frame = frame.f_back  # type: ignore[assignment]
        return False


WATCH = Watch()
OURS = (".lock", "/sha256/")
"""Locks, and notes of digests."""


def test_a_job_opens_what_guests_wrote_through_the_opener_alone(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.behave("reference", export=f"python:{EXPORTS}")
    write = "import numpy as np; np.save(out / 'core.npy', np.array([400_000, 600_000]))"
    write += "; np.savez(out / 'predictions.npz', classes=np.zeros((4, 1), np.int32))"
    write += "; (out / 'pictures').mkdir(); (out / 'pictures' / '1.png').write_bytes(b'png')"
    write += "; (out / 'progress.json').write_text('{}'); time.sleep(0.7)"
    write += (
        "; leave(document(measurements=[dict(loop('core'), samples='core.npy'), loop('whole')]))"
    )
    lab.behave(compile="makes-an-engine", infer=f"python:{write}")
    if WATCH.folders == ():
        sys.addaudithook(WATCH)
    WATCH.folders = tuple(str(lab.settings.home / name) for name in ("work", "cache"))
    try:
        for _ in range(2):
            finished = lab.run()
            assert finished.result.failure is None
    finally:
        WATCH.folders = ()
    assert (finished.folder / "pictures" / "1.png").is_file()
    assert finished.result.predictions is not None
    past = [name for name, through in WATCH.seen if not through]
    assert [name for name in past if not any(one in name for one in OURS)] == []
    opened = {Path(name).name for name, through in WATCH.seen if through}
    expected = {"report.json", "progress.json", "core.npy", "predictions.npz", "1.png", "stage.log"}
    expected |= {"files.json", "export.json", "engine.bin", "labels.json", "items.bin"}
    assert expected <= opened
