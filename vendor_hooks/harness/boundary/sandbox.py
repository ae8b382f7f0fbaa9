"""Which files the engine's process may reach. Imports nothing of numpy, whose threads would escape it."""

import os
from typing import Iterator, List, Optional, Sequence, Set

from harness.boundary import kernel

#: Written by drivers and runtimes at fixed places.
WRITTEN = ("/dev", "/proc", "/sys", "/run", "/tmp", "/var/tmp")


def restrict(
    hidden: Sequence[str], visible: Sequence[str], writable: Sequence[str]
) -> Optional[int]:
    """Take every path of ``hidden`` away from this process, for ever; writing is left where it is needed.

    Reading stays allowed everywhere else, ``visible`` paths included if their folders cannot be listed.
    Returns the version of Landlock that enforces it, None where the kernel cannot.
    """
    version = kernel.landlock_version()
    if version is None:
        return None
    away = {os.path.realpath(path) for path in hidden}
    try:
        ruleset = kernel.Ruleset(version)
        for path in readable(away, visible):
            ruleset.allow(path, write=False)
        for path in [*WRITTEN, *writable]:
            if not contains(os.path.realpath(path), away):
                ruleset.allow(os.path.realpath(path), write=True)
        ruleset.enforce()
    except OSError:
        return None
    return version


def readable(hidden: Set[str], visible: Sequence[str]) -> List[str]:
    """The largest folders and files without a hidden path in them."""
    found = dict.fromkeys(_below("/", hidden))
    for path in {os.path.realpath(path) for path in visible}:
        found.update(dict.fromkeys(_or_below(path, hidden)))
    return list(found)


def contains(folder: str, hidden: Set[str]) -> bool:
    """Whether ``folder`` is hidden, or has something hidden in it."""
    start = folder.rstrip("/") + "/"
    return any(path == folder or path.startswith(start) for path in hidden)


def _or_below(path: str, hidden: Set[str]) -> Iterator[str]:
    if path in hidden:
        return
    if contains(path, hidden):
        yield from _below(path, hidden)
    else:
        yield path


def _below(folder: str, hidden: Set[str]) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            # What a symbolic link leads to is in a folder of its own.
            paths = [entry.path for entry in entries if not entry.is_symlink()]
    except OSError:
        return
    for path in paths:
        yield from _or_below(path, hidden)
