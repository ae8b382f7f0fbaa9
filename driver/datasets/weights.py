"""Weights on this host: finds them, checks them against the case, and computes their digest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from driver.datasets.hidden import is_hidden
from driver.datasets.missing import Lack, MissingFault
from driver.errors import DataFault
from driver.system.hashing import key_of, remembered_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.catalog.catalog import Case
    from driver.models.case import FormatKind, WeightsFile, WeightsFormat
    from driver.system.settings import Settings


@dataclass(frozen=True, kw_only=True)
class WeightsSource:
    """The weights of a job: ``folder`` is for the guest, None when they are synthetic."""

    kind: Literal["published", "synthetic", "trained-here"]
    format: FormatKind | None
    folder: Path | None
    files: tuple[str, ...]
    digest: str
    hub_id: str | None = None


SYNTHETIC = WeightsSource(kind="synthetic", format=None, folder=None, files=(), digest="synthetic")


@dataclass(frozen=True, kw_only=True)
class FoundWeights:
    """Weights on this host, complete by name; their bytes are not yet read."""

    kind: Literal["published", "trained-here"]
    form: WeightsFormat
    folder: Path
    files: tuple[str, ...]


def locate_weights(
    case: Case, asked: str | None, settings: Settings, environ: Mapping[str, str] | None = None
) -> WeightsSource:
    """Find the weights, check their bytes against the case, and compute their digest.

    Raises DataFault, as ``find_weights`` and ``read_weights`` do.
    """
    return read_weights(find_weights(case, asked, settings, environ), settings)


def find_weights(
    case: Case, asked: str | None, settings: Settings, environ: Mapping[str, str] | None = None
) -> FoundWeights | None:
    """Find the weights: ``WEIGHTS``, the case's bundled ones, this host's setting, or the hub's cache.

    Reads none of them; None for synthetic ones. Raises MissingFault, listing the options, when there
    are none (synthetic is never chosen silently), and DataFault for an incomplete folder.
    """
    if asked == "synthetic":
        return None
    spec = case.manifest.weights
    if asked:
        return _from_path(case, Path(asked).expanduser(), "WEIGHTS")
    if spec.bundled:
        return _from_path(case, case.folder / spec.bundled, "bundled")
    if case.name in settings.weights:
        return _from_path(case, settings.weights[case.name], f"weights.{case.name}")
    env = os.environ if environ is None else environ
    for form in spec.formats:
        cached = _hub_cache(form, env)
        if cached is not None:
            return _from_path(case, cached, "the hub's cache")
    raise MissingFault(
        case.name,
        [
            Lack(
                what="weights",
                source="; ".join(form.source for form in spec.formats),
                pair="WEIGHTS=<folder or file>",
                setting=f'[weights] {case.name} = "<folder>"',
                synthetic="true architecture, random weights",
            )
        ],
    )


def read_weights(found: FoundWeights | None, settings: Settings) -> WeightsSource:
    """Check the bytes of what was found against the case, and compute their digest; None: synthetic.

    Raises DataFault for files of another size or digest than the case expects.
    """
    if found is None:
        return SYNTHETIC
    memory = settings.cache / "sha256"
    for expected in found.form.files:
        if expected.name in found.files:
            _check_file(found.folder / expected.name, expected, memory)
    digests = {name: remembered_sha256(found.folder / name, memory) for name in found.files}
    return WeightsSource(
        kind=found.kind,
        format=found.form.kind,
        folder=found.folder,
        files=found.files,
        digest=key_of({"format": found.form.kind, "files": digests}),
        hub_id=found.form.hub_id,
    )


def _hub_cache(form: WeightsFormat, environ: Mapping[str, str]) -> Path | None:
    """Return the newest snapshot in the hub's cache with every file of the format, None without one."""
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


def _from_path(case: Case, path: Path, setting: str) -> FoundWeights:
    if not path.exists():
        raise DataFault(
            f"{setting}: {path} does not exist", "fix the path, or use WEIGHTS=synthetic"
        )
    form, folder, names = _match_format(case, path, setting)
    kind: Literal["published", "trained-here"] = (
        "trained-here" if setting == "bundled" else "published"
    )
    return FoundWeights(kind=kind, form=form, folder=folder, files=names)


def _match_format(
    case: Case, path: Path, setting: str
) -> tuple[WeightsFormat, Path, tuple[str, ...]]:
    formats = case.manifest.weights.formats
    if path.is_file():
        for form in formats:
            if path.suffix == f".{form.kind}":
                return form, path.parent, (path.name,)
        kinds = ", ".join(form.kind for form in formats)
        raise DataFault(f"{setting}: {path} is not any of {kinds}", formats[0].source)
    problems = []
    for form in formats:
        wanted = [file.name for file in form.files if not file.optional]
        missing = [name for name in wanted if not (path / name).is_file()]
        if wanted and not missing:
            present = [file.name for file in form.files if (path / file.name).is_file()]
            return form, path, tuple(present)
        single = [] if wanted else _visible(path, form.kind)
        if len(single) == 1:
            return form, path, (single[0].name,)
        problems.append(
            f"{form.kind} needs {', '.join(missing or wanted) or f'exactly one .{form.kind} file'}"
        )
    raise DataFault(
        f"{setting}: {path} has no complete weights of {case.name}: {'; '.join(problems)}",
        formats[0].source + ", or use WEIGHTS=synthetic",
    )


def _visible(folder: Path, kind: str) -> list[Path]:
    """Return the files of a kind, without those that macOS adds ("._model.pth")."""
    return [one for one in sorted(folder.glob(f"*.{kind}")) if not is_hidden(one.name)]


def _check_file(path: Path, expected: WeightsFile, memory: Path) -> None:
    found_bytes = path.stat().st_size
    if expected.bytes is not None and found_bytes != expected.bytes:
        raise DataFault(
            f"{path} has {found_bytes} bytes instead of {expected.bytes}: it is truncated or a "
            "different file",
            "download it again",
        )
    if expected.sha256 is not None:
        found = remembered_sha256(path, memory)
        if found != expected.sha256:
            raise DataFault(
                f"{path} has sha256 {found} instead of {expected.sha256}", "download it again"
            )
    if expected.md5 is not None:
        found = _md5(path)
        if found != expected.md5:
            raise DataFault(
                f"{path} has md5 {found} instead of {expected.md5}", "download it again"
            )


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
