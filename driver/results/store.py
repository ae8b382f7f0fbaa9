"""Where results are stored, and how they are written: immediately, atomically, never edited."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from driver.errors import EnvironmentFault
from driver.models.result import Result, SampleFile
from driver.results.received.left import LOG_BYTES
from driver.system.files import write_atomically
from driver.system.hashing import canonical_digest
from driver.system.untrusted import opener
from driver.system.untrusted.arrays import SAMPLES_LIMIT_BYTES
from driver.system.untrusted.opener import RefusedFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from driver.models.job import JobKey
    from driver.models.report import Measurement
    from driver.results.received.left import Samples

PICTURES = 16
PICTURE_BYTES = 16 << 20


def utc_now() -> str:
    """Return the current time in UTC, as ISO 8601 with milliseconds."""
    return datetime.now(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def utc_after(started_utc: str, elapsed_s: float) -> str:
    """Return the time ``elapsed_s`` after ``started_utc``, whatever steps the wall clock took meanwhile."""
    finished = datetime.fromisoformat(started_utc) + timedelta(seconds=elapsed_s)
    return finished.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def job_folder(results: Path, key: JobKey) -> Path:
    """Return the folder of a job's results: ``<case>/<vendor>/<stack>-<engine>-<precision>-bs<batch>``."""
    what = f"{key.stack}-{key.engine}-{key.precision}-bs{key.batch_size}"
    return results / key.case / key.vendor / what


def result_folder(results: Path, key: JobKey) -> Path:
    """Create and return the folder of one result: ``<folder of its job>/<UTC>-<id>``.

    Raises EnvironmentFault if it cannot be created.
    """
    parent = job_folder(results, key)
    stamp = datetime.now(tz=UTC).strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = parent / f"{stamp}-{key.id}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise EnvironmentFault(
                f"no result can be written to {results}: {error.strerror}", "OUT=<another folder>"
            ) from error
        return folder
    raise EnvironmentFault(f"{parent} already has 99 results of this second", "run it again")


def write_result(folder: Path, result: Result) -> Path:
    """Write result.json atomically, with the digest of its content, and return its path."""
    document = json.loads(result.model_dump_json(by_alias=True, exclude={"digest"}))
    document["digest"] = canonical_digest(document)
    return write_atomically(
        folder / "result.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    )


def keep_samples(
    out: Path, folder: Path, stage: str, loops: Iterable[Measurement], samples: Samples
) -> list[SampleFile]:
    """Copy the raw samples of a finished stage, which were read, to the result's folder."""
    kept = []
    for loop in loops:
        if loop.samples is None or loop.name not in samples:
            continue
        target = folder / "samples" / f"{stage}-{loop.samples}"
        target.parent.mkdir(exist_ok=True)
        kept.append(
            SampleFile(
                name=f"{stage}-{loop.samples.removesuffix('.npy')}",
                file=f"samples/{target.name}",
                sha256=opener.copy(out, loop.samples, target, SAMPLES_LIMIT_BYTES),
                count=int(samples[loop.name].size),
            )
        )
    return kept


def keep_pictures(out: Path, folder: Path) -> list[Path]:
    """Copy the PNG files of out/pictures to the result's folder; return the copies.

    What may not be opened is skipped, and so are files over PICTURE_BYTES and all after PICTURES.
    """
    names = [
        name
        for name in opener.files_below(out)
        if name.startswith("pictures/") and name.count("/") == 1 and name.endswith(".png")
    ]
    kept: list[Path] = []
    for name in names:
        if len(kept) == PICTURES:
            break
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        try:
            opener.copy(out, name, target, PICTURE_BYTES)
        except (RefusedFile, FileNotFoundError):
            continue
        kept.append(target)
    return kept


def keep_log(stage_folder: Path, name: str, target: Path) -> bool:
    """Copy a stage's log to ``target``; return False if there is none that may be opened."""
    target.parent.mkdir(exist_ok=True)
    try:
        opener.copy(stage_folder, name, target, LOG_BYTES)
    except (RefusedFile, FileNotFoundError):
        return False
    return True
