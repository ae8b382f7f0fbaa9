"""Where every byte of a bundle stands: the manifest alone decides it.

A bundle is a POSIX tar archive (ustar; pax records only for 8 GiB and more) with a zip file of the
loader behind its end. Owners, times and modes are constants, so a header has one possible spelling:
whatever is not spelled so is not a bundle's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MANIFEST = "assay-bundle.json"
SIGNATURE = "assay-bundle.json.sig"
BLOCK = 512
END = bytes(2 * BLOCK)
USTAR_BYTES = 8**11
"""From this size on a member's header needs a pax record."""
USTAR_NAME = 100
PLAIN_MODE, PROGRAM_MODE = 0o644, 0o755

KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a folder",
    b"6": "a named pipe",
    b"S": "a sparse file",
    b"g": "a global pax header",
    b"x": "a pax header",
    b"L": "a GNU long name",
}


class FileEntry(NamedTuple):
    """A file of the manifest: its path in the bundle, its size, its sha256 (hex), what it is part of."""

    path: str
    bytes: int
    sha256: str
    role: str
    executable: bool = False

    @property
    def mode(self) -> int:
        """Return its mode after loading."""
        return PROGRAM_MODE if self.executable else PLAIN_MODE


class Place(NamedTuple):
    """A member of the archive: ``start`` is the offset of its header, ``data`` that of its content."""

    entry: FileEntry
    start: int
    header: bytes

    @property
    def data(self) -> int:
        """Return the offset of the first byte of its content."""
        return self.start + len(self.header)

    @property
    def end(self) -> int:
        """Return the offset behind its padding."""
        return self.data + padded(self.entry.bytes)


def padded(size: int) -> int:
    """Return a size rounded up to whole blocks."""
    return -(-size // BLOCK) * BLOCK


def member_header(name: str, size: int, mode: int = PLAIN_MODE) -> bytes:
    """Return the header of a plain file, with a pax record before it where ustar is too small."""
    records = {}
    prefix, short = _split(name)
    if short is None:
        prefix, short = "", name[:USTAR_NAME]
        records["path"] = name
    shown = size
    if size >= USTAR_BYTES:
        shown = 0
        records["size"] = str(size)
    return _pax(records) + _ustar(short, prefix, shown, mode, b"0")


def _split(name: str) -> tuple[str, str | None]:
    """Return prefix and name as ustar splits them, with None for a name that does not fit."""
    if len(name) <= USTAR_NAME:
        return "", name
    for found in re.finditer("/", name):
        cut = found.start()
        if len(name) - cut - 1 <= USTAR_NAME and cut <= 155:
            return name[:cut], name[cut + 1 :]
    return "", None


def _pax(records: dict[str, str]) -> bytes:
    if not records:
        return b""
    body = b"".join(_record(key, value) for key, value in sorted(records.items()))
    padding = bytes(padded(len(body)) - len(body))
    return _ustar("pax/assay", "", len(body), PLAIN_MODE, b"x") + body + padding


def _record(key: str, value: str) -> bytes:
    rest = len(f" {key}={value}\n")
    size = rest + len(str(rest))
    size = rest + len(str(size))
    return f"{size} {key}={value}\n".encode("ascii")


def _ustar(name: str, prefix: str, size: int, mode: int, kind: bytes) -> bytes:
    fields = (
        _text(name, 100),
        b"%07o\0" % mode,
        b"%07o\0%07o\0" % (0, 0),
        b"%011o\0" % size,
        b"%011o\0" % 0,
        b" " * 8,
        kind,
        bytes(100),
        b"ustar\x0000",
        bytes(64),
        b"%07o\0%07o\0" % (0, 0),
        _text(prefix, 155),
        bytes(12),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _text(text: str, width: int) -> bytes:
    return text.encode("ascii").ljust(width, b"\0")


def manifest_size(block: bytes) -> int | None:
    """Return the manifest's size as the first block of a bundle says it; None where it is not a bundle."""
    try:
        size = int(block[124:135], 8)
    except ValueError:
        return None
    return size if block == member_header(MANIFEST, size) else None


def signature_size(block: bytes) -> int | None:
    """Return the size of the signature where a block is its header, None where it is not."""
    try:
        size = int(block[124:135], 8)
    except ValueError:
        return None
    return size if block == member_header(SIGNATURE, size) else None


def places(entries: list[FileEntry], start: int) -> list[Place]:
    """Return where each file stands, the first one's header at the offset ``start``."""
    found = []
    for entry in entries:
        place = Place(entry, start, member_header(entry.path, entry.bytes, entry.mode))
        found.append(place)
        start = place.end
    return found


def describe(block: bytes) -> str:
    """Return what a header block that should not be there says it is, in words."""
    if block.count(0) == len(block):
        return "the end of the archive"
    name = block[:100].split(b"\0")[0].decode("ascii", "backslashreplace")
    prefix = block[345:500].split(b"\0")[0].decode("ascii", "backslashreplace")
    kind = KINDS.get(block[156:157])
    if block[257:262] != b"ustar":
        return "no header of a tar archive"
    whole = f"{prefix}/{name}" if prefix else name
    return f"{kind or 'a file'} named {whole!r}"
