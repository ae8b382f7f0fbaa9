"""`load`: verifies a bundle and unpacks it, or loads the images of an unpacked one into the engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from driver.bundle.images import hand_over
from driver.bundle.loader.extraction import extract, home_hint, require_machine
from driver.bundle.loader.faults import BundleFault
from driver.bundle.loader.layout import MANIFEST
from driver.bundle.loader.manifest import KEPT, next_command, read_manifest
from driver.bundle.loader.signature import check_signature, require_signature
from driver.bundle.loader.verification import check_files, open_bundle
from driver.bundle.loader.volumes import open_source
from driver.errors import DataFault, EnvironmentFault
from driver.events import Progress
from driver.system.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from driver.bundle.loader.signature import Answer
    from driver.bundle.loader.verification import Opened
    from driver.console import Console


def load_bundle(
    bundle: str | None, into: str | None, console: Console, *, require_signed: bool
) -> int:
    """Load a bundle into a new folder, or the images of this tree into the engine; return 0."""
    if not bundle:
        return _load_images(load_settings().root, console)
    folder = check_bundle(Path(bundle), console, require_signed=require_signed, into=into or "")
    assert folder is not None
    if (folder / KEPT / "manifest.json").is_file():
        try:
            _load_images(folder, console)
        except EnvironmentFault as error:
            console.error(error)
            console.say(f"the images stay in {folder / KEPT}, an OCI image layout")
    hint = home_hint(folder)
    if hint is not None:
        console.say(hint)
    step = next_command(read_manifest((folder / KEPT / MANIFEST).read_bytes()))
    console.say(f"next: cd {folder} && {step}; docs/bundles.md has every step")
    return 0


def check_bundle(
    path: Path, console: Console, *, require_signed: bool, into: str | None = None
) -> Path | None:
    """Verify every byte of a bundle; with ``into`` ("" for the default folder), unpack it there.

    Returns the folder, or None without ``into``. Raises DataFault if the bundle is damaged, and
    then leaves nothing behind.
    """
    signers = load_settings().allowed_signers
    try:
        with console, open_source(path) as source:
            opened = open_bundle(source)
            answer = check_signature(opened, None if signers is None else str(signers))
            if require_signed:
                require_signature(answer)
            _describe(opened, answer, console)
            if into is None:
                check_files(opened, progress=_shown(console, "checking"))
                return None
            require_machine(opened.manifest)
            target = Path(into or f"assay-{opened.manifest.id}")
            progress = _shown(console, "loading")
            loaded = extract(opened, target, note=console.note, progress=progress)
    except BundleFault as fault:
        raise DataFault(fault.message, fault.remedy) from fault
    console.say(f"{'already loaded:' if loaded.present else 'loaded into'} {loaded.folder}")
    return loaded.folder


def _describe(opened: Opened, answer: Answer, console: Console) -> None:
    document = opened.manifest.document
    total = sum(place.entry.bytes for place in opened.places)
    console.say(
        f"bundle {opened.manifest.id}: {', '.join(document['cases']) or 'no case'}; {answer}"
    )
    console.say(
        f"  {len(opened.places)} files, {total / 1e6:.1f} MB, commit {document['commit'] or 'unknown'}"
    )
    for missing in document["elsewhere"]:
        console.say(f"  not included: {missing['what']} → {missing['how']}")


def _shown(console: Console, phase: str) -> Callable[[int, int], None]:
    console.task_started(phase)

    def show(done: int, total: int) -> None:
        console.progress(
            Progress(phase=phase, done=done >> 20, total=total >> 20, unit="MiB", rate=None)
        )

    return show


def _load_images(root: Path, console: Console) -> int:
    with console:
        names = hand_over(root / KEPT, on_progress=console.note)
    for name in names:
        console.say(f"  image {name}")
    return 0
