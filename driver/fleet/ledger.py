"""The ledger of a results folder: which task was run by whom, and how each attempt ended.

One file for an attempt, whose name says all that following needs: ``<key>.<attempt>.<state>``. Its
content is a line on who runs it, and one or more on how it ended, the last of which counts. A claim is a hard link, which succeeds for
one process alone; an end is a rename, which succeeds once. Both are decided by the server of a shared
disk, so that neither locks, nor clocks, nor what a node has cached of a folder matters.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from driver.errors import DISK_REMEDIES, FREE_SPACE, EnvironmentFault
from driver.models.base import FailureKind
from driver.models.sweep import Holder, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

RUNNING = "running"
OK = "ok"
SHARD_CHARACTERS = 2
FRESH_S = 3.0
"""A folder first seen to have changed less than this ago is read again: it may change twice within the
same tick of its disk's clock, which is not compared with this host's."""

TRY_AGAIN = frozenset(
    {
        FailureKind.HOST.value,
        FailureKind.IMAGE.value,
        FailureKind.DATA.value,
        FailureKind.OUT_OF_MEMORY.value,
        FailureKind.TIMEOUT.value,
        FailureKind.INTERRUPTED.value,
    }
)
"""States after which the next sweep runs a task again: the chip and the vendor's code had no part in it."""


class Entry(NamedTuple):
    """An attempt at a task, as its file's name says: ``state`` is RUNNING, OK or a FailureKind."""

    key: str
    attempt: int
    state: str

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.key}.{self.attempt}.{self.state}"

    @property
    def final(self) -> bool:
        """Whether no sweep runs the task again unless AGAIN=1 asks for it."""
        return self.state != RUNNING and self.state not in TRY_AGAIN


def parsed(name: str) -> Entry | None:
    """Return the entry that a file's name says, None for a draft and for what others put there."""
    parts = name.split(".")
    if len(parts) != 3 or not parts[1].isdecimal():
        return None
    return Entry(parts[0], int(parts[1]), parts[2])


class _Shard(NamedTuple):
    """One folder of the ledger as last read; both times are this process's monotonic seconds."""

    changed_ns: int = -1
    seen_s: float = 0.0
    read_s: float = 0.0
    newest: Mapping[str, Entry] = {}


@dataclass
class Ledger:
    """The ledger in ``folder``, of all sweeps into one results folder."""

    folder: Path
    _known: dict[str, _Shard] = field(default_factory=dict)

    def latest(self, keys: Iterable[str]) -> dict[str, Entry]:
        """Return the newest attempt at each task that has one.

        Folders that did not change since the last call are not read again.
        """
        wanted = list(keys)
        for shard in {key[:SHARD_CHARACTERS] for key in wanted}:
            self._refresh(shard)
        found = ((key, self._known[key[:SHARD_CHARACTERS]].newest.get(key)) for key in wanted)
        return {key: entry for key, entry in found if entry is not None}

    def claim(self, key: str, holder: Holder, attempt: int) -> Entry | None:
        """Become the one who runs a task; None if somebody else made this attempt's claim before.

        Raises EnvironmentFault if the disk takes no claim.
        """
        entry = Entry(key, attempt, RUNNING)
        path = self.path(entry)
        draft = path.with_name(f".{entry.file}.{holder.node}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_durably(draft, holder.model_dump_json() + "\n")
            os.link(draft, path)
        except FileExistsError:
            return None
        except OSError as error:
            remedy = DISK_REMEDIES.get(error.errno or 0, FREE_SPACE)
            raise EnvironmentFault(f"{path} cannot be written: {error.strerror}", remedy) from error
        finally:
            with suppress(OSError):
                draft.unlink()
        # This attempt may have ended before, under another name. A link changes the folder, so that a
        # shared disk's client drops what it has cached of it, and this look is a true one.
        newest = self.latest([key]).get(key)
        if newest is not None and newest != entry:
            with suppress(OSError):
                path.unlink()
            return None
        return entry

    def end(self, entry: Entry, state: str, outcome: Outcome) -> Entry | None:
        """End a running attempt; None if somebody else has ended it before."""
        ended = entry._replace(state=state)
        try:
            self.path(entry).rename(self.path(ended))
        except FileNotFoundError:
            return None
        self.amend(ended, outcome)
        return ended

    def amend(self, entry: Entry, outcome: Outcome) -> None:
        """Add what became known of an attempt; a disk without room keeps the state alone."""
        # Never created: an entry that somebody else has ended has another name.
        with suppress(OSError), self.path(entry).open("r+", encoding="utf-8") as stream:
            stream.seek(0, os.SEEK_END)
            stream.write(outcome.model_dump_json(exclude_defaults=True) + "\n")

    def holder(self, entry: Entry) -> Holder | None:
        """Return who runs or ran an attempt, None where its file cannot be read."""
        lines = self._lines(entry)
        try:
            return Holder.model_validate_json(lines[0])
        except (IndexError, ValueError):
            return None

    def outcome(self, entry: Entry) -> Outcome:
        """Return what is known of an attempt, the last line first; empty where its file does not say."""
        known: dict[str, object] = {}
        for line in self._lines(entry)[1:]:
            with suppress(ValueError):
                known |= Outcome.model_validate_json(line).model_dump(exclude_defaults=True)
        return Outcome.model_validate(known)

    def path(self, entry: Entry) -> Path:
        """Return the file of an entry."""
        return self.folder / entry.key[:SHARD_CHARACTERS] / entry.file

    def _lines(self, entry: Entry) -> list[str]:
        try:
            return self.path(entry).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []

    def _refresh(self, shard: str) -> None:
        folder, known, now_s = (
            self.folder / shard,
            self._known.get(shard, _Shard()),
            time.monotonic(),
        )
        try:
            changed_ns = folder.stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            self._known[shard] = _Shard()
            return
        if changed_ns == known.changed_ns and known.read_s - known.seen_s > FRESH_S:
            return
        seen_s = known.seen_s if changed_ns == known.changed_ns else now_s
        entries = [found for path in folder.iterdir() if (found := parsed(path.name))]
        newest = {entry.key: entry for entry in sorted(entries, key=_order)}
        self._known[shard] = _Shard(changed_ns, seen_s, now_s, newest)


def _order(entry: Entry) -> tuple[str, int, bool]:
    """Order attempts, an ended one after its own claim: a folder may be read in the middle of a rename."""
    return entry.key, entry.attempt, entry.state != RUNNING


def _write_durably(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def next_attempt(entry: Entry | None) -> int:
    """Return the number of the attempt after ``entry``, 1 without one."""
    return 1 if entry is None else entry.attempt + 1
