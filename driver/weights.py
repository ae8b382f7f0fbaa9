"""Weights on the host: find them, check that they are what they must be, and name them by digest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from driver.content import key_of, remembered_sha256
from driver.errors import DataFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog import Case
    from driver.models.manifest import WeightsFile, WeightsFormat
    from driver.settings import Settings

FormatKind = Literal["huggingface", "pth", "npz"]


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """The weights of a job: ``folder`` is what the guest gets, None when they are synthetic."""

    kind: Literal["published", "synthetic", "trained-here"]
    format: FormatKind | None
    folder: Path | None
    files: tuple[str, ...]
    digest: str
    hub_id: str | None = None


SYNTHETIC = WeightsSource(kind="synthetic", format=None, folder=None, files=(), digest="synthetic")


def locate_weights(
    case: Case, asked: str | None, settings: Settings, environ: Mapping[str, str] | None = None
) -> WeightsSource:
    """Find the case's weights: what was asked for, bundled ones, the host's setting, the hub's cache.

    Raises DataFault, which names both ways out, when there are none; synthetic is never chosen silently.
    """
    if asked == "synthetic":
        return SYNTHETIC
    spec = case.manifest.weights
    if asked:
        return _from_path(case, Path(asked).expanduser(), "WEIGHTS", settings)
    if spec.bundled:
        return _from_path(case, case.folder / spec.bundled, "bundled", settings)
    if case.name in settings.weights:
        return _from_path(case, settings.weights[case.name], f"weights.{case.name}", settings)
    env = os.environ if environ is None else environ
    for form in spec.formats:
        cached = _hub_cache(form, env)
        if cached is not None:
            return _from_path(case, cached, "the hub's cache", settings)
    raise DataFault(
        f"case {case.name} needs weights, and this host has none: "
        + "; ".join(form.source for form in spec.formats),
        f'WEIGHTS=<folder or file>, or [weights] {case.name} = "<folder>" in assay.local.toml; '
        "or WEIGHTS=synthetic (the true architecture, random weights; the result says so)",
    )


def _hub_cache(form: WeightsFormat, environ: Mapping[str, str]) -> Path | None:
    """Return the newest snapshot of the hub's cache that holds every file of the format."""
    if form.hub_id is None:
        return None
    home = environ.get("HF_HOME") or str(
        Path(environ.get("HOME", "~")).expanduser() / ".cache/huggingface"
    )
    hub = Path(environ.get("HF_HUB_CACHE") or f"{home}/hub")
    snapshots = hub / f"models--{form.hub_id.replace('/', '--')}" / "snapshots"
    if not snapshots.is_dir():
        return None
    complete = [
        folder
        for folder in snapshots.iterdir()
        if all((folder / file.name).is_file() for file in form.files if not file.optional)
    ]
    return max(complete, key=lambda folder: folder.stat().st_mtime, default=None)


def _from_path(case: Case, path: Path, setting: str, settings: Settings) -> WeightsSource:
    if not path.exists():
        raise DataFault(f"{setting}: {path} does not exist", "mend the path, or WEIGHTS=synthetic")
    form, folder, names = _match_format(case, path, setting)
    memory = settings.cache / "sha256"
    for expected in form.files:
        if expected.name in names:
            _check_file(folder / expected.name, expected, memory)
    digests = {name: remembered_sha256(folder / name, memory) for name in names}
    return WeightsSource(
        kind="trained-here" if setting == "bundled" else "published",
        format=form.kind,
        folder=folder,
        files=names,
        digest=key_of({"format": form.kind, "files": digests}),
        hub_id=form.hub_id,
    )


def _match_format(
    case: Case, path: Path, setting: str
) -> tuple[WeightsFormat, Path, tuple[str, ...]]:
    formats = case.manifest.weights.formats
    if path.is_file():
        for form in formats:
            if path.suffix == f".{form.kind}":
                return form, path.parent, (path.name,)
        kinds = ", ".join(form.kind for form in formats)
        raise DataFault(f"{setting}: {path} is none of {kinds}", formats[0].source)
    problems = []
    for form in formats:
        wanted = [file.name for file in form.files if not file.optional]
        missing = [name for name in wanted if not (path / name).is_file()]
        if wanted and not missing:
            present = [file.name for file in form.files if (path / file.name).is_file()]
            return form, path, tuple(present)
        problems.append(f"{form.kind} needs {', '.join(missing or wanted)}")
    raise DataFault(
        f"{setting}: {path} holds no weights of {case.name}: {'; '.join(problems)}",
        formats[0].source + ", or WEIGHTS=synthetic",
    )


def _check_file(path: Path, expected: WeightsFile, memory: Path) -> None:
    found_bytes = path.stat().st_size
    if expected.bytes is not None and found_bytes != expected.bytes:
        raise DataFault(
            f"{path} has {found_bytes} bytes, {expected.bytes} were expected: it was cut or is another file",
            "fetch it again",
        )
    if expected.sha256 is not None:
        found = remembered_sha256(path, memory)
        if found != expected.sha256:
            raise DataFault(
                f"{path} has sha256 {found}, expected {expected.sha256}", "fetch it again"
            )
    if expected.md5 is not None:
        found = _md5(path)
        if found != expected.md5:
            raise DataFault(f"{path} has md5 {found}, expected {expected.md5}", "fetch it again")


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
