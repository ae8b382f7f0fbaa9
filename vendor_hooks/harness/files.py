"""Files that are either there whole or not at all, and their digests."""

import hashlib
import json
import os

import numpy as np


def write_json(path, document):
    """``document`` as JSON at ``path``, atomically; NaN and Inf are refused (ValueError)."""
    text = json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_npz(path, arrays):
    """``arrays`` (name → array) as an uncompressed .npz at ``path``, atomically."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    temporary.replace(path)


def write_samples(path, samples_ns):
    """``samples_ns`` (array('q') or a list of int) as an int64 .npy at ``path``, atomically."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        np.save(file, np.array(samples_ns, dtype=np.int64))
    temporary.replace(path)


def sha256(path):
    """The file's sha256, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def artifact(path, folder):
    """What the report says about a file: path relative to the job folder, bytes, sha256."""
    return {
        "path": path.relative_to(folder).as_posix(),
        "bytes": path.stat().st_size,
        "sha256": sha256(path),
    }
