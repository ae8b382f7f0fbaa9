"""`data`: prepares a dataset once from its publisher's archive; `run` then finds it by itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from driver.datasets.hidden import hidden_note
from driver.datasets.imagenet.layout import Layout
from driver.datasets.imagenet.sources import open_source
from driver.datasets.prepared import read_indexed
from driver.errors import UsageFault
from driver.events import Progress
from driver.system.plain_text import counted
from driver.system.settings import load_settings
from driver.verbs.reading_catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver.console import Console

PROGRESS_S = 0.5
GIB = 1 << 30


def prepare_data(case_name: str | None, src: str | None, md5: str | None, console: Console) -> int:
    """Prepare a case's dataset from ``src``, unless that was done before.

    ``md5`` is the checksum of an archive other than the published one. Raises UsageFault or DataFault.
    """
    if not case_name or not src:
        raise UsageFault("data needs CASE and SRC", "make data CASE=vit_l_16 SRC=<folder or tar>")
    settings = load_settings()
    case = read_catalog(settings, console).case(case_name)
    spec = case.manifest.data
    if spec.layout != "imagefolder":
        raise UsageFault(
            f"the data of {case.name} ({spec.layout}) needs no preparation",
            f"make run CASE={case.name} DATA={src}",
        )
    started = time.monotonic()
    source = open_source(Path(src).expanduser(), case, md5)
    if (hidden := hidden_note(Path(src).expanduser(), spec.suffixes)) is not None:
        console.note(hidden)
    folder = settings.datasets_home / spec.dataset
    layout = Layout(folder, source.reader, source.labelled)
    origin = {"dataset": spec.dataset, "layout": source.layout, **source.origin}
    with console:
        console.note(
            f"{counted(len(source.labelled.pictures), 'picture')}, {layout.total_bytes / GIB:.2f} GiB"
        )
        console.task_started("data")
        made = layout.write(origin, on_progress=_progress_callback(console), on_note=console.note)
    wall_s = time.monotonic() - started
    _show(console, folder, spec.count, wall_s if made else None)
    return 0


def _show(console: Console, folder: Path, expected: int, wall_s: float | None) -> None:
    dataset = read_indexed(folder, cached=wall_s is None)
    if wall_s is None:
        how = "already prepared from this source"
    else:
        how = (
            f"{counted(dataset.count, 'picture')} in {wall_s:.1f} s, {dataset.count / wall_s:.0f}/s"
        )
    if dataset.count != expected:
        console.say(
            f"  ! the dataset has {counted(dataset.count, 'picture')}, but the published one has {expected}"
        )
    if console.as_json:
        console.document({"folder": str(folder), "count": dataset.count, "sha256": dataset.sha256})
    else:
        console.text(str(folder))
    console.say(f"{how}; every case that uses it now finds it by itself")


def _progress_callback(console: Console) -> Callable[[int, int], None]:
    """Return a callback that shows progress twice a second."""
    state = {"next": 0.0, "begun": time.monotonic(), "first": -1.0}

    def tell(done: int, total: int) -> None:
        now = time.monotonic()
        if now < state["next"] and done != total:
            return
        if state["first"] < 0:
            state["first"] = done - 1
        state["next"] = now + PROGRESS_S
        rate = (done - state["first"]) / max(now - state["begun"], 1e-3)
        console.progress(
            Progress(phase="prepare", done=done, total=total, unit="pictures", rate=rate)
        )

    return tell
