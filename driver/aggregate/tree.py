"""Finds the result.json files below folders; survives links, pipes and unreadable folders."""

from __future__ import annotations

import errno
import os
import stat
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from driver.aggregate.problem import ProblemKind, ResultProblem, unreadable_remedy
from driver.errors import UsageFault
from driver.system.plain_text import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

RESULT = "result.json"
EXAMPLES = ("measured", ".examples")
"""The folder of example results, and the file in it that marks it."""
THREADS = 8
"""Threads that list folders: a cold disk answers many requests in the time of one."""
SLOW_S = 0.0001
"""A folder that takes longer waits for a disk. From the system's caches it takes a twentieth, and handing it to a
thread half as long again."""
SLICE = 256
"""Folders per task of a thread; one task per folder would cost more than listing it."""


class FoundFile(NamedTuple):
    """A file and how to detect that it changed: copying tools cannot set ``ctime_ns`` back.

    Files are read in the order of ``inode``, which is roughly their order on disk.
    """

    path: str
    ctime_ns: int
    size: int
    inode: int


@dataclass
class FoundFiles:
    """Files as columns, so that 100,000 of them do not take 100,000 objects; each is made when it is asked for."""

    paths: list[str] = field(default_factory=list)
    ctimes_ns: array[int] = field(default_factory=lambda: array("q"))
    sizes: array[int] = field(default_factory=lambda: array("q"))
    inodes: array[int] = field(default_factory=lambda: array("Q"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> FoundFile:
        state = (self.ctimes_ns[place], self.sizes[place], self.inodes[place])
        return FoundFile(self.paths[place], *state)

    def __iter__(self) -> Iterator[FoundFile]:
        return map(FoundFile, self.paths, self.ctimes_ns, self.sizes, self.inodes)

    def add(self, found: Sequence[tuple[str, os.stat_result]]) -> None:
        """Add files with their states."""
        self.paths += [path for path, _ in found]
        self.ctimes_ns.extend([state.st_ctime_ns for _, state in found])
        self.sizes.extend([state.st_size for _, state in found])
        self.inodes.extend([state.st_ino for _, state in found])

    def extend(self, more: FoundFiles) -> None:
        """Add all files of another one."""
        self.paths += more.paths
        self.ctimes_ns += more.ctimes_ns
        self.sizes += more.sizes
        self.inodes += more.inodes

    def at(self, places: Sequence[int]) -> FoundFiles:
        """Return the files at these places, in this order."""
        return FoundFiles(
            [self.paths[place] for place in places],
            array("q", map(self.ctimes_ns.__getitem__, places)),
            array("q", map(self.sizes.__getitem__, places)),
            array("Q", map(self.inodes.__getitem__, places)),
        )


class _Entry(NamedTuple):
    """A folder, or a link that may point to one."""

    inode: int
    path: str
    is_link: bool


@dataclass
class Tree:
    """What was found below the folders, sorted by path."""

    files: FoundFiles = field(default_factory=FoundFiles)
    problems: list[ResultProblem] = field(default_factory=list)


def find_results(folders: Iterable[Path]) -> Tree:
    """Return every result.json below the folders, each file once; a path may be a file itself.

    A folder with a result.json is not searched further (it has samples and logs). Examples that came
    with the tree are found only where a folder among them is named. Symbolic links
    are followed, except one to a parent folder, which is listed as a problem. Raises UsageFault if
    a folder does not exist.
    """
    tree = Tree()
    roots: list[str] = []
    for folder in folders:
        if not folder.exists():
            why = "is a link to nothing, or to itself" if folder.is_symlink() else "does not exist"
            raise UsageFault(
                f"{plain(str(folder))} {why}",
                "name a folder of results, such as results/, or measure something: make run",
            )
        roots.append(os.path.realpath(folder))
    outermost = _outermost(roots)
    for root in outermost:
        _walk(root, outermost, tree, _examples(root, roots))
    paths = tree.files.paths
    tree.files = tree.files.at(sorted(range(len(paths)), key=paths.__getitem__))
    _leave_out_unnamed(tree)
    return tree


def _leave_out_unnamed(tree: Tree) -> None:
    """List files whose path no table, page or index can hold: Linux's names are bytes of any kind."""
    paths = tree.files.paths
    unnamed = {path for path in paths if not (path.isascii() or _is_text(path))}
    if not unnamed:
        return
    tree.files = tree.files.at([n for n, path in enumerate(paths) if path not in unnamed])
    tree.problems += [
        ResultProblem(
            plain(path),
            ProblemKind.UNREADABLE,
            "its path is not UTF-8",
            "give the folder a name in UTF-8",
        )
        for path in sorted(unnamed)
    ]


def _is_text(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 are half surrogates in Python's paths
        return False
    return True


def _outermost(roots: list[str]) -> list[str]:
    kept: list[str] = []
    for root in sorted(set(roots)):
        if not any(root.startswith(f"{outer.rstrip('/')}/") for outer in kept):
            kept.append(root)
    return kept


def _examples(root: str, named: list[str]) -> str | None:
    """Return the folder of examples to skip below ``root``, unless a path in it was named."""
    folder, marker = EXAMPLES
    path = f"{root.rstrip('/')}/{folder}"
    wanted = any(f"{one}/".startswith(f"{path}/") for one in named)
    return None if wanted or not os.path.isfile(f"{path}/{marker}") else path  # noqa: PTH113


def _walk(root: str, roots: list[str], tree: Tree, passed_over: str | None) -> None:
    """Search level by level, the folders of each level in the order of the disk."""
    waiting = [_Entry(0, root, is_link=False)]
    seen: set[str] = set()
    with ThreadPoolExecutor(THREADS) as pool:
        while waiting:
            waiting.sort()
            folders = [entry.path for entry in waiting]
            waiting = []
            slices = [folders[start : start + SLICE] for start in range(0, len(folders), SLICE)]
            for found in _listings(slices, partial(_listed, passed_over), pool):
                tree.files.extend(found.files)
                tree.problems += found.problems
                waiting += [
                    entry
                    for entry in found.entries
                    if not entry.is_link or _leads_on(entry.path, roots, seen, tree)
                ]


def _listings(
    slices: list[list[str]],
    listed: Callable[[list[str]], _Listing],
    pool: ThreadPoolExecutor,
) -> Iterator[_Listing]:
    """List each slice: here while the system's caches answer, from the first that waits on in threads."""
    for place, folders in enumerate(slices):
        started = time.perf_counter()
        found = listed(folders)
        asked = len(folders) + len(found.entries) + len(found.files)
        waited = time.perf_counter() - started > SLOW_S * asked
        yield found
        if waited:
            yield from pool.map(listed, slices[place + 1 :])
            return


class _NoFileError(Exception):
    """A path named result.json is neither a file nor a folder."""


class _Listing(NamedTuple):
    """What some folders contain: results, folders to search, and unreadable paths."""

    files: FoundFiles
    entries: list[_Entry]
    problems: list[ResultProblem]


def _listed(passed_over: str | None, folders: list[str]) -> _Listing:
    listing = _Listing(FoundFiles(), [], [])
    for folder in folders:
        try:
            if not _result_in(folder, listing.files):
                _look_into(folder, passed_over, listing)
        except NotADirectoryError:
            listing.problems.append(_no_result(folder, "it is not a result.json"))
        except _NoFileError as error:
            listing.problems.append(_no_result(str(error), "it is a pipe or a device, not a file"))
        except OSError as error:
            # A folder is listed by its descriptor, which an error then names.
            named = error.filename if isinstance(error.filename, str) else folder
            listing.problems.append(_unreadable(named, error))
    return listing


def _result_in(folder: str, files: FoundFiles) -> bool:
    """Add the folder's result (or the file itself); return False if the folder must be searched."""
    path = folder if folder.endswith(f"/{RESULT}") else f"{folder}/{RESULT}"
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path per file would double the walk's time
    except (FileNotFoundError, NotADirectoryError):
        return False
    except PermissionError as error:
        raise PermissionError(error.errno, error.strerror, folder) from None
    if stat.S_ISDIR(found.st_mode):
        return False
    if not stat.S_ISREG(found.st_mode):
        # Reading a pipe or a device may never end.
        raise _NoFileError(path)
    files.add([(path, found)])
    return True


def _look_into(folder: str, passed_over: str | None, listing: _Listing) -> None:
    """List the results of the folders in ``folder``; of those without one, the folder itself."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with os.scandir(descriptor) as entries:
            inner = [
                (entry.inode(), entry.name, entry.is_symlink())
                for entry in entries
                if entry.is_symlink() or entry.is_dir()
            ]
        inner.sort()
        prefix = f"{folder.rstrip('/')}/"
        results: list[tuple[str, os.stat_result]] = []
        for inode, name, is_link in inner:
            path = prefix + name
            if path == passed_over:
                continue
            state = None if is_link else _plain_result(name, descriptor)
            if state is None:
                listing.entries.append(_Entry(inode, path, is_link))
            else:
                results.append((f"{path}/{RESULT}", state))
        # Few are sorted fast, and what is sorted in part is sorted faster as a whole.
        results.sort()
        listing.files.add(results)
    finally:
        os.close(descriptor)


def _plain_result(name: str, within: int) -> os.stat_result | None:
    """Return the state of the result in the folder ``name``, None where it has none or that takes a closer look.

    From ``within``, its parent, which saves the system the way from the root for each of 100,000.
    """
    try:
        found = os.stat(f"{name}/{RESULT}", dir_fd=within)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _leads_on(link: str, roots: list[str], seen: set[str], tree: Tree) -> bool:
    """Return whether a link points to a folder to search; record one that points to a parent.

    A target inside ``roots`` is found under its own path anyway.
    """
    try:
        target = os.path.realpath(link, strict=True)
    except OSError as error:
        tree.problems.append(_unreadable(link, error))
        return False
    folder = os.path.realpath(os.path.dirname(link))  # noqa: PTH120 - as above
    if f"{folder}/".startswith(f"{target.rstrip('/')}/"):
        message = f"this symbolic link points to its own parent folder {plain(target)}"
        tree.problems.append(ResultProblem(link, ProblemKind.LINK_LOOP, message, "remove the link"))
        return False
    if target in seen or not os.path.isdir(target):  # noqa: PTH112 - as above
        return False
    seen.add(target)
    return not any(f"{target}/".startswith(f"{root}/") for root in roots)


def _no_result(path: str, message: str) -> ResultProblem:
    return ResultProblem(path, ProblemKind.OTHER_SCHEMA, message, "leave it out")


def _unreadable(path: str, error: OSError) -> ResultProblem:
    if error.errno == errno.ELOOP:
        message = "this symbolic link points to itself"
        return ResultProblem(path, ProblemKind.LINK_LOOP, message, "remove the link")
    return ResultProblem(
        path,
        ProblemKind.UNREADABLE,
        f"it cannot be read: {error.strerror}",
        unreadable_remedy(error),
    )
