"""Writes a bundle: one pass of copies at places that the manifest decides, so a killed one can resume.

The parts of a bundle under way have names that end in ``.part``; a journal beside them says how far
the copies had come. Only the last act gives them their names.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driver.bundle.contents import Hashed
from driver.bundle.loader.layout import (
    END,
    MANIFEST,
    SIGNATURE,
    FileEntry,
    member_header,
    padded,
    places,
)
from driver.bundle.loader.manifest import content_digest, spell
from driver.bundle.loader.volumes import HEAD_BYTES, VOLUMES_SCHEMA
from driver.errors import EnvironmentFault, UsageFault

CHUNK_BYTES = 8 << 20
JOURNAL_BYTES = 256 << 20
"""After so much was copied, its end is noted: what a kill costs at most."""
SMALLEST_VOLUME = 1 << 20
MOST_VOLUMES = 999
GIB = 1 << 30

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A bundle to be written: its manifest's bytes, its files in order, its loader, its signature."""

    manifest: bytes
    digest: str
    files: list[Hashed]
    loader: bytes
    signature: bytes | None = None

    @property
    def head(self) -> bytes:
        """Return everything before the first file."""
        parts = [_member(MANIFEST, self.manifest)]
        if self.signature is not None:
            parts.append(_member(SIGNATURE, self.signature))
        return b"".join(parts)

    @property
    def entries(self) -> list[FileEntry]:
        """Return the files as the archive has them."""
        return [
            FileEntry(
                one.content.path, one.bytes, one.sha256, one.content.role, one.content.executable
            )
            for one in self.files
        ]


def _member(name: str, content: bytes) -> bytes:
    padding = bytes(padded(len(content)) - len(content))
    return member_header(name, len(content)) + content + padding


def write_bundle(
    plan: Plan, out: Path, *, volume_bytes: int | None, on_progress: Progress
) -> list[Path]:
    """Write the bundle to ``out``, or ``out`` as an index and volumes beside it; return the files.

    Raises EnvironmentFault for too little disk and a source that changed meanwhile, UsageFault for
    volumes that are too small. After an interruption the same call resumes.
    """
    found = places(plan.entries, len(plan.head))
    end = found[-1].end if found else len(plan.head)
    total = end + len(END) + len(plan.loader)
    _require_volumes(total, volume_bytes)
    out.parent.mkdir(parents=True, exist_ok=True)
    with _journal(out) as journal:
        parts = _Parts(out, total, volume_bytes)
        done = journal.resume(plan, volume_bytes)
        try:
            _require_free(out, total - done)
            parts.open(keep=done)
            if done == 0:
                parts.write(0, plan.head)
                done = journal.note(plan, volume_bytes, len(plan.head))
            for place, one in zip(found, plan.files, strict=True):
                if place.end > done:
                    parts.write(place.start, place.header)
                    _copy(parts, place.data, one)
                    if place.end - done >= JOURNAL_BYTES:
                        parts.sync()
                        done = journal.note(plan, volume_bytes, place.end)
                on_progress(min(place.end, end), total)
            parts.write(end, END + plan.loader)
            files = parts.finish(plan)
        finally:
            parts.close()
        journal.remove()
    return files


def _require_volumes(total: int, volume_bytes: int | None) -> None:
    if volume_bytes is None:
        return
    count = -(-total // volume_bytes)
    if volume_bytes < SMALLEST_VOLUME or count > MOST_VOLUMES:
        raise UsageFault(
            f"volumes of {volume_bytes} bytes would be {count} for {total} bytes",
            f"VOLUME=<at least {max(SMALLEST_VOLUME, -(-total // MOST_VOLUMES))}>, such as VOLUME=4G",
        )


def _require_free(out: Path, needed: int) -> None:
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        raise EnvironmentFault(
            f"the bundle takes {needed / GIB:.2f} GiB in {out.parent}, {free / GIB:.2f} GiB are free",
            "free some space, or OUT=<file on a larger disk>",
        )


def _copy(parts: _Parts, start: int, one: Hashed) -> None:
    source = one.content.source
    if isinstance(source, bytes):
        parts.write(start, source)
        return
    try:
        with source.open("rb") as stream:
            stat = os.fstat(stream.fileno())
            if (stat.st_size, stat.st_mtime_ns) == (one.bytes, one.mtime_ns):
                parts.copy(stream.fileno(), one.bytes, start)
                stat = os.fstat(stream.fileno())
    except FileNotFoundError:
        stat = None
    if stat is None or (stat.st_size, stat.st_mtime_ns) != (one.bytes, one.mtime_ns):
        raise EnvironmentFault(
            f"{source} changed while the bundle was written",
            "the same command again, when nothing else writes there",
        )


@dataclass
class _Parts:
    """The files under way: one, or one a volume; offsets are those of the whole."""

    out: Path
    total: int
    volume_bytes: int | None
    _handles: list[int] = field(default_factory=list)

    @property
    def names(self) -> list[Path]:
        if self.volume_bytes is None:
            return [self.out]
        count = -(-self.total // self.volume_bytes)
        return [
            self.out.with_name(f"{self.out.name}.{number:03d}") for number in range(1, count + 1)
        ]

    @property
    def _size(self) -> int:
        return self.volume_bytes or self.total

    def open(self, keep: int) -> None:
        """Open every part; what stands behind ``keep`` bytes of the whole is dropped."""
        for number, name in enumerate(self.names):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            handle = os.open(_part(name), flags, 0o644)
            self._handles.append(handle)
            os.ftruncate(handle, max(0, min(self._size, keep - number * self._size)))

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            handle, inside, room = self._at(offset)
            count = os.pwrite(handle, view[:room], inside)
            offset, view = offset + count, view[count:]

    def copy(self, source: int, size: int, offset: int) -> None:
        """Copy ``size`` bytes of an open file to ``offset``, in the kernel; zeros follow to a full block."""
        done = 0
        while done < size:
            handle, inside, room = self._at(offset + done)
            count = _copy_range(source, handle, min(room, size - done, CHUNK_BYTES), done, inside)
            if count == 0:
                return
            done += count
        self.write(offset + size, bytes(padded(size) - size))

    def _at(self, offset: int) -> tuple[int, int, int]:
        number, inside = divmod(offset, self._size)
        return self._handles[number], inside, self._size - inside

    def sync(self) -> None:
        for handle in self._handles:
            os.fdatasync(handle)

    def finish(self, plan: Plan) -> list[Path]:
        """Write the parts to the disk and give them their names, the index last."""
        self.sync()
        volumes = [
            _volume(name, handle) for name, handle in zip(self.names, self._handles, strict=True)
        ]
        self.close()
        for name in self.names:
            _part(name).replace(name)
        if self.volume_bytes is None:
            return self.names
        index: dict[str, Any] = {
            "schema": VOLUMES_SCHEMA,
            "bundle": plan.digest,
            "volumes": volumes,
        }
        index["digest"] = content_digest(index)
        line = json.dumps(index, sort_keys=True).encode("ascii")
        _part(self.out).write_bytes(line + b"\n" + plan.loader)
        _part(self.out).replace(self.out)
        return [self.out, *self.names]

    def close(self) -> None:
        for handle in self._handles:
            os.close(handle)
        self._handles = []


def _part(name: Path) -> Path:
    return name.with_name(f"{name.name}.part")


def _volume(name: Path, handle: int) -> dict[str, Any]:
    head = hashlib.sha256(os.pread(handle, HEAD_BYTES, 0)).hexdigest()
    return {"name": name.name, "bytes": os.fstat(handle).st_size, "head_sha256": head}


def _copy_range(source: int, target: int, count: int, at: int, to: int) -> int:
    try:
        return os.copy_file_range(source, target, count, at, to)
    except OSError:
        # Not every file system can (nor every kernel between two); ENOSPC shows in the write too.
        return os.pwrite(target, os.pread(source, count, at), to)


@dataclass
class _Journal:
    """How far the bundle under way is: an offset that everything before has been written to disk."""

    path: Path

    def resume(self, plan: Plan, volume_bytes: int | None) -> int:
        """Return the offset to go on from; 0 where another bundle was under way."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            noted = json.loads(self.path.read_text(encoding="ascii"))
            if noted["key"] == self._key(plan, volume_bytes):
                return int(noted["done"])
        return 0

    def note(self, plan: Plan, volume_bytes: int | None, done: int) -> int:
        """Keep the offset, and return it."""
        part = self.path.with_name(f"{self.path.name}.new")
        part.write_text(json.dumps({"key": self._key(plan, volume_bytes), "done": done}))
        part.replace(self.path)
        return done

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    @staticmethod
    def _key(plan: Plan, volume_bytes: int | None) -> str:
        signature = hashlib.sha256(plan.signature or b"").hexdigest()
        return f"{plan.digest} {signature} {volume_bytes}"


@contextmanager
def _journal(out: Path) -> Iterator[_Journal]:
    """Hold the bundle under way alone; UsageFault where another process writes the same file."""
    lock = out.with_name(f"{out.name}.lock")
    with lock.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageFault(
                f"another process is writing {out}", "wait for it, or OUT=<another file>"
            ) from None
        yield _Journal(out.with_name(f"{out.name}.journal"))
        lock.unlink(missing_ok=True)


def make_manifest(
    document: dict[str, Any], files: list[Hashed], loader: bytes
) -> tuple[bytes, str]:
    """Return the manifest's bytes and its digest; ``document`` has every key but files, loader, digest."""
    listed = [
        {
            "path": one.content.path,
            "bytes": one.bytes,
            "sha256": one.sha256,
            "role": one.content.role,
            "executable": one.content.executable,
        }
        for one in files
    ]
    whole = dict(document)
    whole["files"] = listed
    whole["loader"] = {"bytes": len(loader), "sha256": hashlib.sha256(loader).hexdigest()}
    whole["digest"] = content_digest(whole)
    return spell(whole), whole["digest"]
