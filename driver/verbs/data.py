"""`data`: prepare a dataset once, from what its maker hands out; `run` then finds it by itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from driver.catalog import load_catalog
from driver.data_preparation.layout import Layout
from driver.data_preparation.sources import open_source
from driver.datasets import read_indexed
from driver.errors import UsageFault
from driver.events import Progress
from driver.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver.console import Console

PROGRESS_S = 0.5
GIB = 1 << 30


def prepare_data(case_name: str | None, src: str | None, md5: str | None, console: Console) -> int:
    """Prepare a case's dataset from ``src``; what is there already is not made again."""
    if not case_name or not src:
        raise UsageFault(
            "data needs a case and a source", "make data CASE=vit_l_16 SRC=<folder or tar>"
        )
    settings = load_settings()
    case = load_catalog(settings.root, settings.vendor_path).case(case_name)
    spec = case.manifest.data
    if spec.layout != "imagefolder":
        raise UsageFault(
            f"the data of {case.name} ({spec.layout}) need no preparation",
            f"make run CASE={case.name} DATA={src}",
        )
    started = time.monotonic()
    source = open_source(Path(src).expanduser(), case, md5)
    folder = settings.datasets_home / spec.dataset
    layout = Layout(folder, source.reader, source.labelled)
    told = {"dataset": spec.dataset, "layout": source.layout, **source.told}
    with console:
        console.note(
            f"{len(source.labelled.pictures)} pictures, {layout.total_bytes / GIB:.2f} GiB"
        )
        console.task_started("data")
        made = layout.write(told, on_progress=_teller(console), on_note=console.note)
    wall_s = time.monotonic() - started
    _show(console, folder, spec.count, wall_s if made else None)
    return 0


def _show(console: Console, folder: Path, expected: int, wall_s: float | None) -> None:
    dataset = read_indexed(folder, cached=wall_s is None)
    if wall_s is None:
        how = "there already, from this very source"
    else:
        how = f"{dataset.count} pictures in {wall_s:.1f} s, {dataset.count / wall_s:.0f}/s"
    if dataset.count != expected:
        console.say(f"  ! the dataset has {dataset.count} pictures, the published one {expected}")
    if console.as_json:
        console.document({"folder": str(folder), "count": dataset.count, "sha256": dataset.sha256})
    else:
        console.text(str(folder))
    console.say(f"{how}; every case that uses it now finds it without a setting")


def _teller(console: Console) -> Callable[[int, int], None]:
    """Return a callback that passes progress on twice a second."""
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
