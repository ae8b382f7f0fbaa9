"""A lock's packages, and their wheels in a folder, found by name, version and sha256.

Standard library only: the driver's own environment is made with it. Which wheel fits which Python is left
to pip and uv.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from typing import TYPE_CHECKING, NamedTuple

from driver.stacks.install.installed import normalized
from driver.system.subprocesses import ChildFailed, run_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WINDOWS = re.compile(r";[^\\]*sys_platform == 'win32'")


class Pin(NamedTuple):
    """One package of the lock: its name, version, sha256 sums, and its lines."""

    name: str
    version: str
    hashes: frozenset[str]
    line: str


def read_lock(path: Path) -> tuple[Pin, ...]:
    """Return what a lock names for Linux."""
    text = "".join(
        line
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
        if not line.lstrip().startswith("#")
    )
    return tuple(_pins(re.sub(r"\\\n\s*", " ", text)))


def _pins(text: str) -> Iterator[Pin]:
    for line in text.splitlines():
        found = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", line)
        if found and not WINDOWS.search(line):
            hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", line))
            yield Pin(normalized(found[1]), found[2], hashes, line)


def absent(pins: tuple[Pin, ...], house: Path) -> tuple[Pin, ...]:
    """Return the pins of which no wheel is there."""
    return tuple(pin for pin in pins if not any(True for _ in wheels(pin, house)))


def wheels(pin: Pin, house: Path) -> Iterator[Path]:
    """Yield the wheels of a pin that are there, with a sum that the lock names."""
    for wheel in sorted(house.glob(f"*-{pin.version}-*.whl")):
        if normalized(wheel.name.partition("-")[0]) == pin.name:
            with wheel.open("rb") as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() in pin.hashes:
                    yield wheel


def unpacked_uv(pins: tuple[Pin, ...], house: Path, scratch: Path) -> Path | None:
    """Return uv's program out of the wheelhouse, where one is there that runs on this machine."""
    for wheel in (wheel for pin in pins if pin.name == "uv" for wheel in wheels(pin, house)):
        program = scratch / "uv"
        with zipfile.ZipFile(wheel) as archive:
            inside = [name for name in archive.namelist() if name.endswith(".data/scripts/uv")]
            for name in inside:
                program.write_bytes(archive.read(name))
        if not inside:
            continue
        program.chmod(0o700)
        try:
            run_child([str(program), "--version"])
        except (OSError, ChildFailed):
            continue  # of another processor's or C library's
        return program
    return None
