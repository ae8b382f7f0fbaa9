"""The wheelhouse: every wheel that a lock names, by hash, on this host; environments and images use it.

pip fetches what is missing, under its own settings (mirror, certificates, proxies). A wheelhouse that
was filled elsewhere needs no network.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from driver.errors import ImageFault
from driver.stacks.install.pip_download import DownloadFailed, download, shares
from driver.stacks.install.pip_settings import PipConfigUnreadable
from driver.system.file_lock import locked
from driver.system.hashing import remembered_sha256
from driver.system.offline import require_online

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from packaging.tags import Tag

    from driver.stacks.locks import Pin, Target

TORCH = "torch"
"""The one package that may also come from PyTorch's own CPU index."""

WAITING = "waiting for wheels that another process fetches"

LARGE_DOWNLOAD = re.compile(r"^\s*Downloading (\S+) \((\d{2,}(?:\.\d+)? [MG]B)\)")


def wheel_tags(target: Target) -> tuple[Tag, ...]:
    """Return the tags of wheels that a target takes, best first."""
    from packaging.tags import compatible_tags, cpython_tags

    version = (3, int(target.python.split(".")[1]))
    interpreter = f"cp{version[0]}{version[1]}"
    return (
        *cpython_tags(version, platforms=target.platforms),
        *compatible_tags(version, interpreter, target.platforms),
    )


class Wheelhouse:
    """A folder of wheels. Files appear in it only complete and with the hash that a lock names."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "wheelhouse"
        self._memory = home / "cache" / "sha256"

    def find(self, pins: Iterable[Pin], target: Target) -> dict[str, Path | None]:
        """Return for each pin's name the wheel that is there and fits the target, or None."""
        rank = {tag: place for place, tag in enumerate(wheel_tags(target))}
        present = self._by_hash()
        return {pin.name: _best(pin, present, rank) for pin in pins}

    def present(self, pins: tuple[Pin, ...], target: Target) -> dict[str, Path] | None:
        """Return every pin's name with its wheel, None if one is missing."""
        found = self.find(pins, target)
        wheels = {name: wheel for name, wheel in found.items() if wheel is not None}
        return wheels if len(wheels) == len(found) else None

    def fill(
        self,
        pins: tuple[Pin, ...],
        target: Target,
        *,
        torch_index: str,
        on_progress: Callable[[str], None],
    ) -> dict[str, Path]:
        """Fetch the wheels that are missing; return every pin's name with its wheel.

        Raises ImageFault when pip cannot fetch one, or none of its wheels fits the target.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        there = self.present(pins, target)
        if there is not None:
            # Without the lock: what another stack lacks may be on its way for minutes.
            return there
        with locked(self.folder / ".lock", on_wait=lambda: on_progress(WAITING)):
            present = self.find(pins, target)
            missing = [pin for pin in pins if present[pin.name] is None]
            if missing:
                names = ", ".join(f"{pin.name} {pin.version}" for pin in missing)
                require_online(
                    f"wheels of Python {target.python} are missing in {self.folder}: {names}",
                    "have a bundle made with this stack, or copy there what `make wheelhouse` fetched elsewhere",
                )
                on_progress(f"fetching {len(missing)} of {len(pins)} wheels")
                self._fetch(missing, target, torch_index, on_progress)
            found = self.find(pins, target)
        wheels = {name: wheel for name, wheel in found.items() if wheel is not None}
        lost = sorted(set(found) - set(wheels))
        if lost:
            raise ImageFault(
                f"no wheel of {', '.join(lost)} fits Python {target.python} on {target.arch}",
                "pin a version that has one in requirements.in, then: make lock",
            )
        return wheels

    def _fetch(
        self,
        missing: list[Pin],
        target: Target,
        torch_index: str,
        on_progress: Callable[[str], None],
    ) -> None:
        ordinary = [pin for pin in missing if pin.name != TORCH]
        torch = [pin.line for pin in missing if pin.name == TORCH]
        dealt = shares([pin.line for pin in ordinary])
        try:
            self._download([*dealt, *([torch] if torch else [])], target, on_progress)
        except ImageFault:
            if not torch or None in self.find(ordinary, target).values():
                raise
            on_progress(f"torch is not where pip's own settings point; asking {torch_index}")
            self._download([torch], target, on_progress, ("--extra-index-url", torch_index))

    def _download(
        self,
        dealt: Sequence[Sequence[str]],
        target: Target,
        on_progress: Callable[[str], None],
        more: tuple[str, ...] = (),
    ) -> None:
        try:
            download(
                dealt,
                self.folder,
                pip=(sys.executable, "-I", "-m", "pip"),
                options=(*platform_options(target), *more),
                on_line=lambda line: _tell(line, on_progress),
            )
        except DownloadFailed as error:
            raise _unfetched(error, self.folder) from error
        except PipConfigUnreadable as error:
            raise ImageFault(
                f"pip's configuration cannot be read: {error}",
                "fix that file, or leave it out: PIP_CONFIG_FILE=/dev/null",
            ) from error

    def sha256(self, wheel: Path) -> str:
        """Return a wheel's sha256, computed once."""
        return remembered_sha256(wheel, self._memory)

    def _by_hash(self) -> dict[str, Path]:
        wheels = self.folder.glob("*.whl")
        return {self.sha256(wheel): wheel for wheel in wheels}


def platform_options(target: Target) -> tuple[str, ...]:
    """Return pip's options for the wheels of a target, whatever Python runs it."""
    platforms = [word for name in target.platforms for word in ("--platform", name)]
    return ("--implementation", "cp", "--python-version", target.python, *platforms)


def _tell(line: str, on_progress: Callable[[str], None]) -> None:
    """Tell of what takes a while; four dozen small wheels are not worth a line each."""
    found = LARGE_DOWNLOAD.search(line)
    if found:
        on_progress(f"downloading {found[1].rpartition('/')[2]} ({found[2]})")


def _best(pin: Pin, present: Mapping[str, Path], rank: Mapping[Tag, int]) -> Path | None:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    fitting = []
    for digest in pin.hashes & present.keys():
        try:
            tags = parse_wheel_filename(present[digest].name)[3]
        except InvalidWheelFilename:
            continue
        places = [rank[tag] for tag in tags if tag in rank]
        if places:
            fitting.append((min(places), present[digest].name, present[digest]))
    return min(fitting)[2] if fitting else None


def _unfetched(error: DownloadFailed, folder: Path) -> ImageFault:
    names = ", ".join(line.partition(" ")[0] for line in error.share[:3])
    more = f" and {len(error.share) - 3} more" if len(error.share) > 3 else ""
    if "HASHES" in error.output:
        return ImageFault(
            f"what pip fetched for {names}{more} is not what the lock names: {error.tail}",
            "the index serves other files than the lock's author saw; ask who runs it, or: make lock",
        )
    if "No space left" in error.output:
        return ImageFault(
            f"no disk space is left for {names}{more} in {folder}",
            "free some space (make clean), or set ASSAY_HOME to a larger disk",
        )
    return ImageFault(
        f"pip could not fetch {names}{more}: {error.tail}",
        "check that pip reaches a package index (pip config list); without a network copy into "
        f"{folder} the wheels that `make wheelhouse` fetched on a host that has one",
    )
