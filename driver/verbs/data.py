"""`data`: prepares a dataset once from its publisher's archive; `run` then finds it by itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from driver.datasets.hidden import hidden_note
from driver.datasets.imagenet.layout import Layout
from driver.datasets.imagenet.sources import open_source
from driver.datasets.prepared import read_indexed
from driver.datasets.weights import SYNTHETIC, locate_weights
from driver.errors import DataFault, UsageFault
from driver.events import Progress
from driver.plan.choice import choose
from driver.plan.request import parse_request
from driver.runners.spec import Stacks
from driver.session.inputs.own_items import prepare_own
from driver.session.site import open_site
from driver.system.plain_text import counted
from driver.system.settings import load_settings_here
from driver.verbs.reading_catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver.catalog.catalog import Case, Catalog
    from driver.console import Console
    from driver.datasets.prepared import IndexedDataset
    from driver.system.settings import Settings

PROGRESS_S = 0.5
GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class DataAsked:
    """What `data` takes: a case, the published files, an archive's checksum.

    For a case's own layout also the weights that its dataset.py reads, and what runs that.
    """

    case: str | None = None
    src: str | None = None
    md5: str | None = None
    weights: str | None = None
    runner: str | None = None


def prepare_data(asked: DataAsked, console: Console) -> int:
    """Prepare a case's dataset from SRC, unless that was done before.

    ``md5`` is the checksum of an archive other than the published one. Raises UsageFault or DataFault.
    """
    if not asked.case or not asked.src:
        raise UsageFault("data needs CASE and SRC", "make data CASE=vit_l_16 SRC=<folder or tar>")
    settings = load_settings_here()
    catalog = read_catalog(settings, console)
    case = catalog.case(asked.case)
    source = Path(asked.src).expanduser()
    layout = case.manifest.data.layout
    if layout == "imagefolder":
        _note_unread({"WEIGHTS": asked.weights, "RUNNER": asked.runner}, case, console)
        return _prepare_pictures(case, source, asked.md5, settings, console)
    if layout != "own":
        raise UsageFault(
            f"the data of {case.name} ({layout}) needs no preparation",
            f"make run CASE={case.name} DATA={asked.src}",
        )
    if asked.md5 is not None:
        raise UsageFault(
            f"MD5={asked.md5} is for an archive of an image folder, and the data of {case.name} is none",
            "leave MD5 out",
        )
    return _prepare_own(asked, source, catalog, settings, console)


def _note_unread(variables: dict[str, str | None], case: Case, console: Console) -> None:
    """Note variables that a remedy may carry here from a run, and that make no difference to the items."""
    for name in (name for name, value in variables.items() if value is not None):
        console.note(f"{name} makes no difference to the items of {case.manifest.data.dataset}")


def _prepare_pictures(
    case: Case, src: Path, md5: str | None, settings: Settings, console: Console
) -> int:
    """Prepare an image folder, which the driver itself reads."""
    spec = case.manifest.data
    started = time.monotonic()
    source = open_source(src, case, md5)
    if (hidden := hidden_note(src, spec.suffixes)) is not None:
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
    dataset = read_indexed(folder, cached=not made)
    _show(console, dataset, spec.count, wall_s, "picture")
    return 0


def _prepare_own(
    asked: DataAsked, src: Path, catalog: Catalog, settings: Settings, console: Console
) -> int:
    """Prepare a layout of the case's own: its code reads it in the reference image, never here."""
    if not src.exists():
        raise DataFault(f"SRC: {src} does not exist", "type: SRC=<the published file or folder>")
    request = parse_request({"case": asked.case, "weights": asked.weights, "runner": asked.runner})
    # Whatever vendor: the reference image alone runs.
    choice = choose(request, catalog)
    spec = choice.case.manifest.data
    weights = SYNTHETIC
    if "weights" in spec.reads:
        weights = locate_weights(choice.case, request.weights, settings)
    else:
        _note_unread({"WEIGHTS": asked.weights}, choice.case, console)
    started = time.monotonic()
    with console, open_site(choice.runner, settings, catalog, console) as site:
        site.runner.availability()
        reference = site.installer.install(catalog.reference).stack
        stacks = Stacks(reference=reference, vendor=reference)
        dataset = prepare_own(site, choice, src.absolute(), weights, stacks)
    _show(console, dataset, spec.count, time.monotonic() - started, choice.case.manifest.item)
    return 0


def _show(
    console: Console, dataset: IndexedDataset, expected: int, wall_s: float, noun: str
) -> None:
    """Show where a dataset is, and how long it took unless it was prepared before."""
    how = "already prepared from this source"
    if not dataset.cached:
        rate = dataset.count / wall_s
        how = f"{counted(dataset.count, noun)} in {wall_s:.1f} s, {rate:.3g}/s"
    if dataset.count != expected:
        console.say(
            f"  ! the dataset has {counted(dataset.count, noun)}, but the published one has {expected}"
        )
    folder = str(dataset.data.parent)
    if console.as_json:
        console.document({"folder": folder, "count": dataset.count, "sha256": dataset.sha256})
    else:
        console.text(folder)
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
