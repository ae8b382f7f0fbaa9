"""The bytes of a bundle, whether it is one file or a set of volumes in one folder.

A set has an index, ``name.assay``: one line of JSON that lists the volumes, then the loader's zip file.
``cat name.assay.0* > whole.assay`` makes the one file of it again.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

from .faults import COPY_AGAIN, BundleFault
from .manifest import content_digest

VOLUMES_SCHEMA = "assay/bundle-volumes/1"
HEAD_BYTES = 1 << 20
INDEX_LIMIT = 1 << 20
_VOLUME_NAME = re.compile(r"[A-Za-z0-9._+@=,~-]+\.[0-9]{3,}")
_SUFFIX = re.compile(r"\.[0-9]{3,}$")


class Source:
    """The bytes of a bundle by offset; ``size`` is their number, ``name`` what people call it."""

    def __init__(
        self,
        path: Path,
        files: list[tuple[int, int]],
        loader: bytes | None = None,
        volumes: list[str] | None = None,
    ) -> None:
        self.path = path
        self.name = path.name
        self.size = sum(size for _, size in files)
        self.index_loader = loader
        """The loader's zip file of a set's index; None for a bundle in one file."""
        self._files = files
        self._ends = list(itertools.accumulate(size for _, size in files))
        self._volumes = volumes or []

    def volumes(self, start: int, end: int) -> list[str]:
        """Return the names of the volumes that hold these bytes; none for a bundle in one file."""
        first, last = (bisect.bisect_right(self._ends, offset) for offset in (start, end - 1))
        return self._volumes[first : last + 1]

    def close(self) -> None:
        """Close its files."""
        for handle, _ in self._files:
            os.close(handle)
        self._files = []

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read_into(self, offset: int, buffer: memoryview) -> int:
        """Fill ``buffer`` from ``offset`` on; return how many bytes there were."""
        done = 0
        first = 0
        for handle, size in self._files:
            while first <= offset + done < first + size and done < len(buffer):
                inside = offset + done - first
                part = buffer[done : done + min(len(buffer) - done, size - inside)]
                count = os.preadv(handle, [part], inside)
                if count == 0:
                    return done
                done += count
            first += size
        return done

    def read(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes from ``offset`` on."""
        buffer = bytearray(max(0, min(size, self.size - offset)))
        count = self.read_into(offset, memoryview(buffer))
        return bytes(buffer[:count])


def open_source(path: Path) -> Source:
    """Open a bundle: one file, or the index (or any volume) of a set. BundleFault where it is none."""
    index = path.with_name(_SUFFIX.sub("", path.name))
    if index != path and index.is_file():
        path = index
    handle, size = _open(path)
    start = os.pread(handle, 1, 0)
    if start != b"{":
        return Source(path, [(handle, size)])
    try:
        if size > INDEX_LIMIT:
            raise BundleFault(f"{path} is not a bundle: it is too large for an index", COPY_AGAIN)
        line, _, loader = os.pread(handle, size, 0).partition(b"\n")
    finally:
        os.close(handle)
    listed = _read_index(path, line)
    names = [one["name"] for one in listed]
    return Source(path, _open_volumes(path, listed), loader, names)


def _open(path: Path) -> tuple[int, int]:
    try:
        handle = os.open(str(path), os.O_RDONLY | os.O_CLOEXEC)
        info = os.fstat(handle)
    except OSError as error:
        raise BundleFault(
            f"{path} cannot be read: {error.strerror}",
            "BUNDLE=<file that `make bundle` wrote>",
        ) from None
    if not path.is_file():
        os.close(handle)
        raise BundleFault(f"{path} is not a file", "BUNDLE=<file that `make bundle` wrote>")
    return handle, info.st_size


def _read_index(path: Path, line: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(line.decode("ascii"))
        schema, listed = document["schema"], document["volumes"]
        whole = document["digest"] == content_digest(document)
        names = [one["name"] for one in listed]
        shaped = all(_VOLUME_NAME.fullmatch(name) for name in names) and all(
            type(one["bytes"]) is int and one["bytes"] > 0 for one in listed
        )
    except (UnicodeDecodeError, ValueError, KeyError, TypeError):
        raise BundleFault(
            f"{path} is not a bundle, and not an index of volumes", COPY_AGAIN
        ) from None
    if schema != VOLUMES_SCHEMA:
        raise BundleFault(
            f"{path} has the format {schema!r}, this loader reads {VOLUMES_SCHEMA}",
            f"use the loader that it carries: python3 {path}",
        )
    if not whole or not shaped:
        raise BundleFault(f"{path} is damaged: it is not what its digest says", COPY_AGAIN)
    return list(listed)


def _open_volumes(path: Path, listed: list[dict[str, Any]]) -> list[tuple[int, int]]:
    opened = []  # type: list[tuple[int, int]]
    try:
        for number, one in enumerate(listed, 1):
            beside = path.with_name(one["name"])
            if not beside.exists():
                raise BundleFault(
                    f"volume {number} of {len(listed)} is missing: {beside}",
                    f"put all volumes into the folder of {path.name}",
                )
            opened.append(_open(beside))
            _require_volume(beside, number, opened[-1], listed)
    except BaseException:
        for handle, _ in opened:
            os.close(handle)
        raise
    return opened


def _require_volume(
    path: Path, number: int, found: tuple[int, int], listed: list[dict[str, Any]]
) -> None:
    handle, size = found
    wanted = listed[number - 1]
    head = hashlib.sha256(os.pread(handle, HEAD_BYTES, 0)).hexdigest()
    if head != wanted["head_sha256"]:
        twin = [place for place, one in enumerate(listed, 1) if one["head_sha256"] == head]
        what = f"volume {twin[0]} once more" if twin else "of another bundle, or damaged"
        raise BundleFault(
            f"{path} should be volume {number} of {len(listed)}, and is {what}",
            COPY_AGAIN,
        )
    if size != wanted["bytes"]:
        raise BundleFault(
            f"{path} has {size} bytes, volume {number} has {wanted['bytes']}", COPY_AGAIN
        )
