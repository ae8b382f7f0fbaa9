"""Checks a bundle to its last byte: structure first, which costs nothing, then every file's content."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, ContextManager, NamedTuple, Optional

from .faults import COPY_AGAIN, BundleFault
from .layout import (
    BLOCK,
    END,
    Place,
    describe,
    manifest_size,
    padded,
    places,
    signature_size,
)
from .manifest import LIMIT_BYTES, Manifest, read_manifest
from .volumes import Source

CHUNK_BYTES = 1 << 20
THREADS = 2
SIGNATURE_LIMIT = 64 << 10

Progress = Callable[[int, int], None]
"""Gets bytes done and bytes in all."""
Sink = Callable[[memoryview], None]
Sinks = Callable[[Place], ContextManager[Sink]]
"""Gives for each file a context manager with the function that takes its content."""


class Opened(NamedTuple):
    """A bundle whose structure is sound; its files' contents are not checked yet."""

    source: Source
    manifest: Manifest
    signature: Optional[bytes]
    places: list[Place]


def open_bundle(source: Source) -> Opened:
    """Read manifest and signature and check that the rest has the size that they call for.

    Raises BundleFault: no bundle, a damaged or newer manifest, a truncated or lengthened file.
    """
    manifest, start = _read_manifest(source)
    signature = None
    size = signature_size(source.read(start, BLOCK))
    if size is not None:
        signature, start = _read_signature(source, start, size)
    found = places(manifest.entries, start)
    end = (found[-1].end if found else start) + len(END) + manifest.loader[0]
    if source.size != end:
        what = "truncated" if source.size < end else "longer than its manifest says"
        raise BundleFault(
            f"{source.name} is {what}: it has {source.size} bytes, its manifest calls for {end}",
            COPY_AGAIN,
        )
    _require_loader(source, manifest, end)
    return Opened(source, manifest, signature, found)


def _read_manifest(source: Source) -> tuple[Manifest, int]:
    size = manifest_size(source.read(0, BLOCK))
    if size is None:
        raise BundleFault(
            f"{source.name} is not a bundle: it does not start with a manifest",
            "BUNDLE=<file that `make bundle` wrote>; or " + COPY_AGAIN,
        )
    if size > LIMIT_BYTES or BLOCK + size > source.size:
        raise BundleFault(f"{source.name} is truncated within its manifest", COPY_AGAIN)
    manifest = read_manifest(source.read(BLOCK, size))
    _require_zeros(source.read(BLOCK + size, padded(size) - size), "the manifest")
    return manifest, BLOCK + padded(size)


def _read_signature(source: Source, start: int, size: int) -> tuple[bytes, int]:
    if size > SIGNATURE_LIMIT:
        raise BundleFault(f"{source.name} has a damaged signature: {size} bytes", COPY_AGAIN)
    data = source.read(start + BLOCK, padded(size))
    _require_zeros(data[size:], "the signature")
    return data[:size], start + BLOCK + padded(size)


def _require_zeros(padding: bytes, what: str) -> None:
    if padding.strip(b"\0"):
        raise BundleFault(f"the bundle is damaged: bytes after {what} are not zero", COPY_AGAIN)


def _require_loader(source: Source, manifest: Manifest, end: int) -> None:
    size, digest = manifest.loader
    tail = source.read(end - size - len(END), len(END) + size)
    copies = [tail[len(END) :]] + ([] if source.index_loader is None else [source.index_loader])
    if tail[: len(END)] != END:
        raise BundleFault(
            f"the bundle has more files than its manifest lists: {describe(tail[:BLOCK])}",
            COPY_AGAIN,
        )
    if any(hashlib.sha256(copy).hexdigest() != digest for copy in copies):
        raise BundleFault("the bundle's loader is not the one that its manifest lists", COPY_AGAIN)


def check_files(
    opened: Opened,
    sinks: Sinks | None = None,
    progress: Progress | None = None,
) -> None:
    """Check header and content of every file, two at a time; BundleFault names the first that differs."""
    work = _Work(opened, sinks, progress)
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(work.check, number) for number in range(len(opened.places))]
        try:
            for future in futures:
                future.result()
        except BaseException:
            work.stop = True
            raise
    if work.faults:
        raise work.faults[min(work.faults)]


class _Work:
    """What the threads of a check share."""

    def __init__(
        self,
        opened: Opened,
        sinks: Sinks | None,
        progress: Progress | None,
    ) -> None:
        self.opened = opened
        self.sinks = sinks
        self.progress = progress
        self.total = sum(place.entry.bytes for place in opened.places)
        self.done = 0
        self.stop = False
        self.faults = {}  # type: dict[int, BundleFault]
        self._lock = threading.Lock()

    def check(self, number: int) -> None:
        """Check one file; what is wrong with it is kept, and no later one is begun."""
        if self.stop or (self.faults and min(self.faults) < number):
            return
        place = self.opened.places[number]
        try:
            require_header(self.opened.source, place)
            if self.sinks is None:
                self._content(place, None)
            else:
                with self.sinks(place) as sink:
                    self._content(place, sink)
        except BundleFault as fault:
            with self._lock:
                self.faults[number] = _with_volumes(fault, self.opened.source, place)

    def _content(self, place: Place, sink: Sink | None) -> None:
        entry, source = place.entry, self.opened.source
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(min(CHUNK_BYTES, max(1, entry.bytes))))
        offset, left = place.data, entry.bytes
        while left and not self.stop:
            count = source.read_into(offset, buffer[: min(left, len(buffer))])
            if count == 0:
                raise BundleFault(f"{source.name} ends within {entry.path}", COPY_AGAIN)
            digest.update(buffer[:count])
            if sink is not None:
                sink(buffer[:count])
            offset, left = offset + count, left - count
            self._advance(count)
        if self.stop:
            return
        if digest.hexdigest() != entry.sha256:
            raise BundleFault(
                f"{entry.path} differs: its sha256 is {digest.hexdigest()}, the manifest says {entry.sha256}",
                COPY_AGAIN,
            )
        _require_zeros(source.read(offset, place.end - offset), entry.path)

    def _advance(self, count: int) -> None:
        if self.progress is not None:
            with self._lock:
                self.done += count
                self.progress(self.done, self.total)


def _with_volumes(fault: BundleFault, source: Source, place: Place) -> BundleFault:
    """Return the fault with the names of the volumes that hold the file: those are to be copied again."""
    volumes = source.volumes(place.start, place.end)
    if not volumes:
        return fault
    return BundleFault(f"{fault.message} (in {', '.join(volumes)})", fault.remedy)


def require_header(source: Source, place: Place) -> None:
    """Raise BundleFault where a file's header is not the only one that it can have, and say what it is."""
    found = source.read(place.start, len(place.header))
    if found == place.header:
        return
    wanted = f"a file of {place.entry.bytes} bytes named {place.entry.path!r}"
    shown = describe(found[-BLOCK:] if found[156:157] == b"x" else found[:BLOCK])
    if found[:100] == place.header[:100] and found[156:157] == place.header[156:157]:
        shown = "one with another size, mode, owner or time"
    raise BundleFault(
        f"the bundle has {shown} where its manifest lists {wanted}",
        "do not use it; " + COPY_AGAIN,
    )
