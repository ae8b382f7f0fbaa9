"""Where results lie and how they are written: at once, whole, never edited."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from driver.content import file_sha256
from driver.digests import canonical_digest
from driver.errors import EnvironmentFault
from driver.models.result import Result, SampleFile

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from driver.models.job import JobKey

PICTURES = 16
PICTURE_BYTES = 16 << 20


def utc_now() -> str:
    """Return the time in UTC, ISO 8601 with milliseconds."""
    return datetime.now(tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def result_folder(results: Path, key: JobKey) -> Path:
    """Make and return ``<case>/<vendor>/<stack>-<engine>-<precision>-bs<batch>/<UTC>-<id>``."""
    what = f"{key.stack}-{key.engine}-{key.precision}-bs{key.batch_size}"
    parent = results / key.case / key.vendor / what
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
    raise EnvironmentFault(f"{parent} has 99 results of this second", "try again")


def write_result(folder: Path, result: Result) -> Path:
    """Write result.json atomically, with the digest of its own content; return its path."""
    document = json.loads(result.model_dump_json(by_alias=True, exclude={"digest"}))
    document["digest"] = canonical_digest(document)
    return write_atomically(
        folder / "result.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    )


def write_atomically(path: Path, text: str) -> Path:
    """Write ``text`` so that ``path`` is either as before or complete, on disk."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EnvironmentFault(
            f"{path} cannot be written: {error.strerror}",
            "free some space, or OUT=<another folder>",
        ) from error
    return path


def keep_samples(out: Path, folder: Path, stage: str, names: Iterable[str]) -> list[SampleFile]:
    """Copy a stage's raw samples (int64 nanoseconds, .npy) beside the result, as it ends."""
    import numpy as np

    kept = []
    for name in names:
        source = out / name
        if not source.is_file():
            continue
        target = folder / "samples" / f"{stage}-{name}"
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)
        kept.append(
            SampleFile(
                name=f"{stage}-{source.stem}",
                file=f"samples/{target.name}",
                sha256=file_sha256(target),
                count=int(np.load(target, mmap_mode="r", allow_pickle=False).size),
            )
        )
    return kept


def keep_pictures(out: Path, folder: Path) -> list[Path]:
    """Copy what a stage left in out/pictures (PNG, for people) beside the result; return the copies.

    Links, other files, and more than PICTURES of PICTURE_BYTES are left behind.
    """
    # A guest's link could name any file of the host.
    made = [] if (out / "pictures").is_symlink() else sorted((out / "pictures").glob("*.png"))
    found = [
        path
        for path in made
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= PICTURE_BYTES
    ]
    kept = []
    for source in found[:PICTURES]:
        target = folder / "pictures" / source.name
        target.parent.mkdir(exist_ok=True)
        kept.append(shutil.copyfile(source, target))
    return kept


def read_samples(path: Path) -> NDArray[np.int64]:
    """Return the raw samples of one file: shape [N], int64 nanoseconds."""
    import numpy as np

    samples: NDArray[np.int64] = np.load(path, allow_pickle=False).astype(np.int64, copy=False)
    return samples
