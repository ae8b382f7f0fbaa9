"""Atomic file writing, and the digests of files."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Dict, Mapping, Sequence, Union

import numpy as np


def write_json(path: Path, document: Any) -> None:
    """Write ``document`` as JSON, atomically; NaN and Inf raise ValueError."""
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write ``arrays`` (name → array) as an uncompressed .npz, atomically."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    temporary.replace(path)


def write_samples(path: Path, samples_ns: Sequence[int]) -> None:
    """Write ``samples_ns`` as an int64 .npy, atomically."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.save(file, np.array(samples_ns, dtype=np.int64))
    temporary.replace(path)


def sha256(path: Path) -> str:
    """The file's sha256, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def artifact(path: Path, folder: Path) -> Dict[str, Union[str, int]]:
    """A file's entry in the report: path relative to the job folder, bytes, sha256."""
    return {
        "path": path.relative_to(folder).as_posix(),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
    }
