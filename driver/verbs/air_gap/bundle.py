"""`bundle`: writes one file for a lab without a network: images, driver, wheels, models, results."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.bundle.assemble import CHOICES, Assembler, BundleRequest
from driver.bundle.chain import chain
from driver.bundle.documents import read_own_result
from driver.bundle.held import held_in_bundle
from driver.bundle.loader.layout import FileEntry
from driver.bundle.loader.manifest import parts_of
from driver.bundle.parts import JobParts
from driver.bundle.signing import require_key
from driver.errors import DataFault, EnvironmentFault, UsageFault, unknown
from driver.events import Progress
from driver.models.base import IN_CONTAINERS, RunnerName
from driver.plan.choice import choose
from driver.plan.request import parse_request, split_list
from driver.rerun.asking import asked_by
from driver.session.inputs.artifact_cache import CacheFolders
from driver.session.prepare import prepare
from driver.session.site import open_site
from driver.stacks.bill import bill_path
from driver.system.settings import load_settings_here
from driver.system.stopwatch import Stopwatch
from driver.verbs.reading_catalog import read_catalog_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from driver.catalog.catalog import Catalog
    from driver.catalog.vendor import Stack
    from driver.console import Console
    from driver.models.bundle import BundleManifest
    from driver.models.result import Result
    from driver.plan.choice import Choice
    from driver.system.settings import Settings

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]+)([KMGT]?)(?:i?B)?", re.IGNORECASE)
LISTS = ("case", "vendor", "stack", "engine", "precision", "bs")
SUFFIX = ".assay"


@dataclass(frozen=True, kw_only=True)
class BundleOptions:
    """The variables that only `bundle` has."""

    result: str | None = None
    include: str | None = None
    out: str | None = None
    volume: str | None = None
    key: str | None = None


def make_bundle(given: Mapping[str, str | None], options: BundleOptions, console: Console) -> int:
    """Write the bundle that ``given`` and ``options`` request; return 0."""
    settings = load_settings_here()
    include = _included(options.include)
    key = Path(options.key).expanduser() if options.key else None
    if key is not None:
        require_key(key)
    volume_bytes = None if not options.volume else size_bytes("VOLUME", options.volume)
    catalog = read_catalog_here(settings, console)
    results = [read_own_result(Path(path)) for path in (options.result or "").split(",") if path]
    asked = [
        {**asked_by(result, catalog), **_without_none(given)} for _, result in results
    ] or list(_combinations(given))
    out = _out(options.out, _default_name(asked))
    choices = [_choice(one, catalog) for one in asked]
    with console:
        jobs = [_parts(choice, settings, catalog, console) for choice in choices]
        runners = _runners(given.get("runner"), choices)
        request = BundleRequest(
            jobs=tuple(jobs),
            vendors=tuple({choice.vendor.name: choice.vendor for choice in choices}.values()),
            stacks=tuple(_stacks(choices, catalog)),
            results=tuple(results),
            include=include,
            images=bool(runners & IN_CONTAINERS),
            wheels=bool(runners - IN_CONTAINERS),
        )
        assembler = Assembler(settings, note=console.note, progress=_shown(console))
        manifest, files = assembler.write(request, out, volume_bytes=volume_bytes, key=key)
    _show(manifest, files, console)
    _say_what_differs(manifest, results, console)
    return 0


def _out(given: str | None, name: str) -> Path:
    """Return the file to write; UsageFault for a folder: OUT is one for `run` and `report` alone."""
    out = Path(given or name).absolute()
    if out.is_dir():
        raise UsageFault(
            f"OUT={given or name} is a folder, and a bundle is a file", f"OUT={out / name}"
        )
    return out


def size_bytes(variable: str, text: str) -> int:
    """Return a size such as ``4G`` or ``700M`` in bytes. Raises UsageFault."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageFault(
            f"{variable}={text} is not a size", f"for example: {variable}=4G or {variable}=700M"
        )
    return int(found[1]) * UNITS[found[2].upper()]


def _included(text: str | None) -> frozenset[str]:
    names = [name for name in split_list(text) if name is not None]
    for name in names:
        if name not in CHOICES:
            raise unknown("part of a bundle (WITH)", name, CHOICES)
    return frozenset(names)


def _combinations(given: Mapping[str, str | None]) -> Iterable[dict[str, str | None]]:
    """Yield the request of every combination of CASE, VENDOR, STACK and so on, as a sweep does."""
    for values in product(*(split_list(given.get(name)) for name in LISTS)):
        yield {**given, **dict(zip(LISTS, values, strict=True))}


def _without_none(given: Mapping[str, str | None]) -> dict[str, str | None]:
    return {key: value for key, value in given.items() if value}


def _choice(asked: Mapping[str, str | None], catalog: Catalog) -> Choice:
    # RUNNER may list several runners that the bundle is for; planning needs one of them.
    runner = (asked.get("runner") or "").split(",")[0] or None
    choice = choose(parse_request({**asked, "runner": runner}), catalog)
    if choice.stack.found is not None:
        raise UsageFault(
            "STACK_PYTHON names a Python of this host, which cannot be bundled",
            "unset STACK_PYTHON; a bundle has pinned stacks only",
        )
    return choice


def _default_name(asked: list[dict[str, str | None]]) -> str:
    cases = dict.fromkeys(one.get("case") or "vit_digits" for one in asked)
    vendors = dict.fromkeys(one.get("vendor") or "cpu" for one in asked)
    return "-".join([*cases, *vendors]) + SUFFIX


def _runners(text: str | None, choices: list[Choice]) -> set[RunnerName]:
    """Return the runners that the bundle is for: the named ones, else the default of each job."""
    if not text:
        return {choice.runner for choice in choices}
    names = text.split(",")
    for name in names:
        if name not in set(RunnerName):
            raise unknown("runner", name, RunnerName)
    return {RunnerName(name) for name in names}


def _stacks(choices: list[Choice], catalog: Catalog) -> list[Stack]:
    found = {("", ""): catalog.reference}
    found |= {(choice.vendor.name, choice.stack.name): choice.stack for choice in choices}
    return list(found.values())


def _parts(choice: Choice, settings: Settings, catalog: Catalog, console: Console) -> JobParts:
    """Return the files of a job on this host; only the case, with a note, if the host cannot run it."""
    try:
        with open_site(choice.runner, settings, catalog, console) as site:
            prepared = prepare(site, choice, Stopwatch())
    except DataFault:
        raise
    except EnvironmentFault as error:
        console.note(f"no exported model of {choice.case.name}: {error.message}")
        return JobParts(case=choice.case)
    kept = CacheFolders.of(settings.cache, prepared.planned)
    if not kept.has_model:
        console.note(
            f"{choice.case.name} was not exported here yet; the first run in the lab will do it"
        )
    return JobParts(
        case=choice.case,
        model=kept.model if kept.has_model else None,
        golden=kept.golden if kept.has_golden else None,
        engine=kept.engine if kept.has_engine else None,
        weights=prepared.weights,
        dataset=prepared.dataset,
        synthetic_data=choice.request.data == "synthetic",
        bills=_bills(prepared.provenance, settings),
    )


def _bills(provenance: Mapping[str, Any], settings: Settings) -> tuple[Path, ...]:
    """Return the bills of materials of a prepared job's stacks; two stacks may share one."""
    digests = [provenance[role]["bill_sha256"] for role in ("reference_stack", "vendor_stack")]
    return tuple(bill_path(settings.home, digest) for digest in dict.fromkeys(digests))


def _shown(console: Console) -> Callable[[str, int, int], None]:
    """Return a callback that shows the progress of hashing and writing."""
    state = {"phase": ""}

    def show(phase: str, done: int, total: int) -> None:
        if state["phase"] != phase:
            state["phase"] = phase
            console.task_ended()
            console.task_started(phase)
        progress = Progress(
            phase=phase, done=done >> 20, total=(total >> 20) or None, unit="MiB", rate=None
        )
        console.progress(progress)

    return show


def _say_what_differs(
    manifest: BundleManifest, results: list[tuple[Path, Result]], console: Console
) -> None:
    """Say where a result rests on something else than what the bundle holds: the lab will see it too."""
    document = manifest.model_dump(mode="json")
    entries = [
        FileEntry(one.path, one.bytes, one.sha256, one.role, one.executable)
        for one in manifest.files
    ]
    for _, result in results:
        for link in chain(result, held_in_bundle(document, entries, result)):
            if (link.state == "differs" and link.counts) or (link.state, link.what) == (
                "not here",
                "ONNX",
            ):
                console.say(
                    f"  ! result {result.job.id}: {link.what}: {link.state} ({link.detail})"
                )


def _show(manifest: BundleManifest, files: list[Path], console: Console) -> None:
    if console.as_json:
        document = manifest.model_dump(mode="json", by_alias=True, exclude={"files"})
        console.document({**document, "written": [str(path) for path in files]})
        return
    total = sum(path.stat().st_size for path in files)
    rows = [
        (role, str(count), f"{size / 1e6:.1f} MB") for role, count, size in parts_of(manifest.files)
    ]
    console.table(("part", "files", "size"), rows, title=f"bundle {manifest.digest[:12]}")
    for missing in manifest.elsewhere:
        console.say(f"  not included: {missing.what} → {missing.how}")
    shown = f"{files[0]}" if len(files) == 1 else f"{files[0]} and {len(files) - 1} more volumes"
    console.say(f"written: {shown} ({total / 1e6:.1f} MB)")
    console.say(
        f"next: `make verify BUNDLE={files[0]}` here, then `python3 {files[0].name}` in the lab"
    )
