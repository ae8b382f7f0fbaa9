"""`verify`: checks every byte of a bundle, or a result and its inputs. Needs no network and no device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from driver.bundle.chain import chain, own_files, parse_result
from driver.bundle.documents import document_links, read_own_result, require_own_figures
from driver.bundle.held import held_here, held_in_bundle
from driver.bundle.loader.verification import open_bundle
from driver.bundle.loader.volumes import open_source
from driver.errors import DataFault, UsageFault
from driver.models.bundle import BundleManifest
from driver.system.plain_text import counted
from driver.system.settings import load_settings
from driver.verbs.air_gap.load import check_bundle
from driver.verbs.reading_catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from driver.bundle.chain import Link
    from driver.bundle.loader.layout import Place
    from driver.bundle.loader.verification import Opened
    from driver.console import Console
    from driver.models.result import Result

DIFFERS = 1
SIGNS = {"verified": "✓", "differs": "✗", "not here": "-"}


def verify(
    bundle: str | None, result: str | None, console: Console, *, require_signed: bool
) -> int:
    """Verify a bundle or a result.

    Returns 0 if everything available matches, 1 if an input differs. Raises DataFault, with the
    first file that differs, if the bundle or the result itself is damaged.
    """
    if bool(bundle) == bool(result):
        raise UsageFault(
            "verify needs either a bundle or a result",
            "make verify BUNDLE=<file>, or make verify RESULT=<folder>",
        )
    if bundle:
        return _verify_bundle(Path(bundle), console, require_signed=require_signed)
    assert result is not None
    return _verify_result(Path(result), console)


def _verify_bundle(path: Path, console: Console, *, require_signed: bool) -> int:
    check_bundle(path, console, require_signed=require_signed)
    links: list[tuple[str, Link]] = []
    with open_source(path) as source:
        opened = open_bundle(source)
        document = opened.manifest.document
        BundleManifest.model_validate(document)
        entries = opened.manifest.entries
        for place in opened.places:
            name = place.entry.path
            if name.startswith("results/") and name.endswith("/result.json"):
                result = parse_result(_content(opened, place).decode("utf-8", "replace"), name)
                require_own_figures(name, result, _reports(opened, name))
                held = held_in_bundle(document, entries, result)
                links += [(result.job.id, link) for link in chain(result, held)]
    if console.as_json:
        console.document(
            {"bundle": document["digest"], "files": len(entries), "links": _listed(links)}
        )
    else:
        console.say(f"{counted(len(entries), 'file')} verified against the manifest")
        for job, link in links:
            _say(link, console, prefix=f"result {job}: ")
    return _code(links)


def _content(opened: Opened, place: Place) -> bytes:
    return opened.source.read(place.data, place.entry.bytes)


def _reports(opened: Opened, result: str) -> Iterator[bytes]:
    """Yield the stage reports beside a result in a bundle."""
    start = result.removesuffix("result.json") + "reports/"
    for place in opened.places:
        if place.entry.path.startswith(start):
            yield _content(opened, place)


def _verify_result(path: Path, console: Console) -> int:
    settings = load_settings()
    folder, result = read_own_result(path)
    catalog = read_catalog(settings, console)
    beside = (*own_files(folder, result), *document_links(folder, result))
    own = [(result.job.id, link) for link in beside]
    broken = next((link for _, link in own if link.state == "differs"), None)
    if broken is not None:
        raise DataFault(
            f"{folder / broken.what} differs: {broken.detail}",
            "ask the sender for the original folder; the figures cannot be traced to this one",
        )
    links = [(result.job.id, link) for link in chain(result, held_here(settings, catalog, result))]
    if console.as_json:
        console.document({"result": result.digest, "links": _listed([*own, *links])})
    else:
        _describe(result, console)
        console.say(f"  ✓ {counted(len(own), 'file')} of the result verified")
        for _, link in links:
            _say(link, console)
    return _code(links)


def _describe(result: Result, console: Console) -> None:
    job = result.job
    marks = [mark for mark, there in (("simulated", result.simulated),) if there]
    shown = f" [{', '.join(marks)}]" if marks else ""
    console.say(
        f"{job.case} on {job.vendor} {job.chip}, {job.stack}, {job.engine}, {job.precision}{shown}"
    )


def _say(link: Link, console: Console, prefix: str = "") -> None:
    detail = f" ({link.detail})" if link.detail else ""
    console.say(f"  {SIGNS[link.state]} {prefix}{link.what}: {link.state}{detail}")


def _listed(links: Sequence[tuple[str, Link]]) -> list[dict[str, str]]:
    return [
        {"job": job, "what": link.what, "state": link.state, "detail": link.detail}
        for job, link in links
    ]


def _code(links: Sequence[tuple[str, Link]]) -> int:
    return DIFFERS if any(link.state == "differs" and link.counts for _, link in links) else 0
