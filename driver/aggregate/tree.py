"""Finds result.json files below folders, whatever hangs in the tree."""

from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.problem import Problem, ProblemKind
from driver.aggregate.text import plain
from driver.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RESULT = "result.json"
LOOKS = 8
"""Folders looked into at once: a cold disk answers many questions in the time of one."""
SLICE = 256
"""Folders that a thread looks into before it tells: handing over each would cost more than looking."""


class FoundFile(NamedTuple):
    """A file with what tells that it changed: ``ctime_ns`` cannot be set back by copying tools.

    ``inode`` is where a disk keeps it, nearly: files are read in this order.
    """

    path: str
    ctime_ns: int
    size: int
    inode: int


class _Entry(NamedTuple):
    """A folder, or a link that may lead to one."""

    inode: int
    path: str
    is_link: bool


@dataclass
class Tree:
    """What was found below the folders, in the order of their paths."""

    files: list[FoundFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def find_results(folders: Iterable[Path]) -> Tree:
    """Return every result.json below the folders (or the files themselves), each file once.

    A folder that holds a result.json is a result; what lies below it (samples, logs) is not
    searched. Symbolic links are followed; one that leads back up is listed and not followed.
    Raises UsageFault for a folder that does not exist.
    """
    tree = Tree()
    roots: list[str] = []
    for folder in folders:
        if not folder.exists():
            what = "a link that leads nowhere, or to itself" if folder.is_symlink() else "no folder"
            raise UsageFault(
                f"there is {what}: {plain(str(folder))}",
                "name a folder of results, such as results/, or measure something: make run",
            )
        roots.append(os.path.realpath(folder))
    outermost = _outermost(roots)
    for root in outermost:
        _walk(root, outermost, tree)
    tree.files.sort()
    return tree


def _outermost(roots: list[str]) -> list[str]:
    kept: list[str] = []
    for root in sorted(set(roots)):
        if not any(root.startswith(f"{outer.rstrip('/')}/") for outer in kept):
            kept.append(root)
    return kept


def _walk(root: str, roots: list[str], tree: Tree) -> None:
    """Search level by level: each level's folders in the order of the disk, many at once."""
    waiting = [_Entry(0, root, is_link=False)]
    seen: set[str] = set()
    with ThreadPoolExecutor(LOOKS) as pool:
        while waiting:
            waiting.sort()
            folders = [entry.path for entry in waiting]
            waiting = []
            slices = [folders[start : start + SLICE] for start in range(0, len(folders), SLICE)]
            for found in pool.map(_look_into, slices):
                tree.files += found.files
                tree.problems += found.problems
                waiting += [
                    entry
                    for entry in found.entries
                    if not entry.is_link or _leads_on(entry.path, roots, seen, tree)
                ]


class _NoFileError(Exception):
    """What is named result.json is neither a file nor a folder."""


class _Look(NamedTuple):
    """What folders hold: results, folders to search, and what could not be read."""

    files: list[FoundFile]
    entries: list[_Entry]
    problems: list[Problem]


def _look_into(folders: list[str]) -> _Look:
    look = _Look([], [], [])
    for folder in folders:
        try:
            result = _result_in(folder)
            if result is None:
                look.entries.extend(_entries_of(folder))
            else:
                look.files.append(result)
        except NotADirectoryError:
            look.problems.append(_no_result(folder, "it is no result.json"))
        except _NoFileError as error:
            look.problems.append(_no_result(str(error), "it is no file, but a pipe or a device"))
        except OSError as error:
            look.problems.append(_unreadable(error.filename or folder, error))
    return look


def _result_in(folder: str) -> FoundFile | None:
    """Return the folder's result (or the file itself), or None where it is a folder to search."""
    path = folder if folder.endswith(f"/{RESULT}") else f"{folder}/{RESULT}"
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path per file would double the walk's time
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise PermissionError(error.errno, error.strerror, folder) from None
    if stat.S_ISDIR(found.st_mode):
        return None
    if not stat.S_ISREG(found.st_mode):
        # Reading a pipe or a device may never end.
        raise _NoFileError(path)
    return FoundFile(path, found.st_ctime_ns, found.st_size, found.st_ino)


def _entries_of(folder: str) -> list[_Entry]:
    with os.scandir(folder) as entries:
        return [
            _Entry(entry.inode(), entry.path, entry.is_symlink())
            for entry in entries
            if entry.is_symlink() or entry.is_dir()
        ]


def _leads_on(link: str, roots: list[str], seen: set[str], tree: Tree) -> bool:
    """Say whether a link leads to a folder to search, noting one that leads back up.

    What a link shows inside ``roots`` is found under its own name, and counts once.
    """
    try:
        target = os.path.realpath(link, strict=True)
    except OSError as error:
        tree.problems.append(_unreadable(link, error))
        return False
    folder = os.path.realpath(os.path.dirname(link))  # noqa: PTH120 - as above
    if f"{folder}/".startswith(f"{target.rstrip('/')}/"):
        message = f"this symbolic link leads back up to {plain(target)}"
        tree.problems.append(Problem(link, ProblemKind.LINK_LOOP, message, "remove the link"))
        return False
    if target in seen or not os.path.isdir(target):  # noqa: PTH112 - as above
        return False
    seen.add(target)
    return not any(f"{target}/".startswith(f"{root}/") for root in roots)


def _no_result(path: str, message: str) -> Problem:
    return Problem(path, ProblemKind.OTHER_SCHEMA, message, "leave it out")


def _unreadable(path: str, error: OSError) -> Problem:
    if error.errno == errno.ELOOP:
        message = "this symbolic link leads to itself"
        return Problem(path, ProblemKind.LINK_LOOP, message, "remove the link")
    return Problem(
        path,
        ProblemKind.UNREADABLE,
        f"it cannot be read: {error.strerror}",
        "give yourself the right to read it, or leave it out",
    )
