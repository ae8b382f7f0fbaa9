"""Finds result.json files below folders, whatever hangs in the tree."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.problem import Problem, ProblemKind
from driver.aggregate.text import plain
from driver.errors import UsageFault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RESULT = "result.json"


class FoundFile(NamedTuple):
    """A file with what tells that it changed: ``ctime_ns`` cannot be set back by copying tools."""

    path: str
    ctime_ns: int
    size: int


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
            raise UsageFault(
                f"there is no folder {plain(str(folder))}",
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
    waiting = [root]
    seen: set[str] = set()
    while waiting:
        folder = waiting.pop()
        if _take_result(folder, tree):
            continue
        try:
            with os.scandir(folder) as entries:
                waiting += [
                    entry.path for entry in entries if _leads_on(entry, folder, roots, seen, tree)
                ]
        except NotADirectoryError:
            tree.problems.append(
                Problem(folder, ProblemKind.OTHER_SCHEMA, "it is no result.json", "leave it out")
            )
        except OSError as error:
            tree.problems.append(_unreadable(folder, error))


def _take_result(folder: str, tree: Tree) -> bool:
    path = folder if folder.endswith(f"/{RESULT}") else f"{folder}/{RESULT}"
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path per file would double the walk's time
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        tree.problems.append(_unreadable(folder, error))
        return True
    except OSError as error:
        tree.problems.append(_unreadable(path, error))
        return True
    if stat.S_ISDIR(found.st_mode):
        return False
    tree.files.append(FoundFile(path, found.st_ctime_ns, found.st_size))
    return True


def _leads_on(
    entry: os.DirEntry[str], folder: str, roots: list[str], seen: set[str], tree: Tree
) -> bool:
    """Say whether an entry is a folder to search, noting links that lead back up.

    What a link shows inside ``roots`` is found under its own name, and counts once.
    """
    if not entry.is_symlink():
        return entry.is_dir()
    try:
        target = os.path.realpath(entry.path, strict=True)
    except OSError as error:
        tree.problems.append(_unreadable(entry.path, error))
        return False
    if f"{os.path.realpath(folder)}/".startswith(f"{target.rstrip('/')}/"):
        message = f"this symbolic link leads back up to {plain(target)}"
        tree.problems.append(Problem(entry.path, ProblemKind.LINK_LOOP, message, "remove the link"))
        return False
    if target in seen or not entry.is_dir():
        return False
    seen.add(target)
    return not any(f"{target}/".startswith(f"{root}/") for root in roots)


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
