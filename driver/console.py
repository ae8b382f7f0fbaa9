"""The only module that prints: messages to standard error, tables or one JSON document to standard output."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from driver.errors import EnvironmentFault, nearest
from driver.system import streams
from driver.system.plain_text import accept_every_character, plain, writes_every_character
from driver.system.user.own_command import OwnCommand, completed
from driver.system.user.terminal import folded, table_text, time_left

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import TextIO

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from driver.errors import AssayError
    from driver.events import Progress
    from driver.models.base import Failure, StageName, Warn
    from driver.models.result import StageRecord

PLAIN_PROGRESS_S = 10.0
"""Without a terminal, progress is one line per this many seconds."""


def prepare_streams() -> None:
    """Let no output fail: for a closed stream, or for an encoding that lacks some of its characters."""
    streams.open_closed_descriptors()
    sys.stdout = streams.opened_again(sys.stdout, 1)
    sys.stderr = streams.opened_again(sys.stderr, 2)
    accept_every_character(sys.stdout, sys.stderr)


def finish_streams() -> None:
    """Write what is left in the streams' buffers, so that the exit code is the verb's, not Python's."""
    for stream in (sys.stdout, sys.stderr):
        streams.write(stream, "")


def _print(text: str) -> None:
    """Write to standard output. Raises EnvironmentFault where it takes no more, such as on a full disk."""
    error = streams.write(sys.stdout, text)
    if error is not None:
        raise EnvironmentFault(
            f"standard output cannot be written: {error.strerror}",
            "send it to a disk with space; results are on disk, and `make report` shows them again",
        ) from error


class Console:
    """Prints the output of a verb; also the listener of a session."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._live: RichProgress | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._last_line = 0.0

    # --- documents and tables -------------------------------------------------------------------
    def document(self, document: Any) -> None:
        """Print a JSON document to standard output; with FORMAT=json, a verb prints exactly one."""
        # Escapes that JSON itself defines: ours would not be valid in it.
        escaped = not writes_every_character(sys.stdout)
        _print(json.dumps(document, indent=1, ensure_ascii=escaped) + "\n")

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """Print a table to standard output; one that is too wide for the terminal turns vertical."""
        cells = [[plain(cell) for cell in row] for row in rows]
        text = table_text(headers, cells, self.columns())
        heading = f"\n{folded(title, self.columns())}\n" if title else ""
        _print(f"{heading}{text}\n")

    def columns(self) -> int | None:
        """Return the width of the terminal, or None if standard output is not a terminal."""
        return _columns(sys.stdout)

    def text(self, text: str) -> None:
        """Print text to standard output; a terminal breaks its lines between words."""
        _print(folded(text, self.columns()) + "\n")

    # --- messages -------------------------------------------------------------------------------
    def say(self, text: str) -> None:
        """Print a line to standard error; a terminal breaks it between words."""
        text = folded(text, _columns(sys.stderr))
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return
        # Messages that nobody can read are lost; the verb's exit code is not.
        streams.write(sys.stderr, text + "\n")

    def error(self, error: AssayError) -> None:
        """Print an expected failure: what happened, and what to type next."""
        self.fault(error.message, error.remedy)

    def failure(self, failure: Failure) -> None:
        """Print the failure of a job."""
        where = f"{failure.stage}: " if failure.stage else ""
        self.fault(f"{where}[{failure.kind}] {failure.message}", failure.remedy)

    def fault(self, message: str, remedy: str) -> None:
        """Print what went wrong and what to type next, without control characters."""
        lines = [plain(line) for line in message.splitlines()]
        self.say("\n".join([f"assay: {lines[0]}" if lines else "assay: failed", *lines[1:]]))
        self.say(f"  → {self.advice(remedy)}")

    @staticmethod
    def advice(text: str) -> str:
        """Return what to type next, with the user's own command whole, on one line."""
        return plain(completed(text, OwnCommand.of(sys.argv, os.environ)))

    @staticmethod
    def own_command() -> OwnCommand | None:
        """Return the command that the user typed, None where this is not a process of Assay's own."""
        return OwnCommand.of(sys.argv, os.environ)

    def usage_fault(self, error: Exception) -> None:
        """Print a command-line error, with the nearest option."""
        message = str(getattr(error, "format_message", error.__str__)())
        typed, context = getattr(error, "option_name", None), getattr(error, "ctx", None)
        if typed and context is not None and "?" not in message:
            known = [name for parameter in context.command.params for name in parameter.opts]
            message += nearest(typed, known)
        self.fault(message, "`driver/assay --help` or `make help` lists the verbs and options")

    def warning(self, warning: Warn) -> None:
        """Print a result's warning with its remedy."""
        self.warn(f"{warning.code}: {warning.message}", warning.remedy)

    def warn(self, message: str, remedy: str) -> None:
        """Print a warning, of one line or more, with its remedy."""
        lines = [plain(line) for line in message.splitlines()]
        self.say("\n  ".join([f"  ! {lines[0]}", *lines[1:]]))
        self.say(f"    → {self.advice(remedy)}")

    # --- the session's listener -----------------------------------------------------------------
    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self.as_json:
            self._live = _live_progress()
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def note(self, text: str) -> None:
        """Print a note."""
        self.say(f"  {plain(text)}")

    def stage_started(self, stage: StageName, repeat: int, repeats: int) -> None:
        """Show that a stage starts."""
        self.task_started(str(stage) if repeats == 1 else f"{stage} {repeat + 1}/{repeats}")

    def task_started(self, name: str) -> None:
        """Show progress under this name until ``task_ended``."""
        self._stage = name
        self._last_line = time.monotonic()
        if self._live is not None:
            self._task = self._live.add_task(self._stage, total=None, detail="starting")

    def task_ended(self) -> None:
        """Stop showing the progress of the current task."""
        if self._live is not None and self._task is not None:
            self._live.remove_task(self._task)
            self._task = None

    def progress(self, progress: Progress) -> None:
        """Show the progress of the current task: phase, items, rate, time left."""
        detail = plain(progress.phase)
        if progress.rate:
            detail += f"  {progress.rate:.4g} {plain(progress.unit)}/s"
        left = progress.left_by_count() if progress.left_s is None else progress.left_s
        if left is not None:
            detail += f", {time_left(left)}"
        if self._live is not None and self._task is not None:
            self._live.update(
                self._task, completed=progress.done, total=progress.total, detail=detail
            )
        elif time.monotonic() - self._last_line >= PLAIN_PROGRESS_S:
            self._last_line = time.monotonic()
            of = f"/{progress.total}" if progress.total else ""
            # A phase that counts nothing, such as an export, has no 0 after its name.
            count = f" {progress.done}{of}" if progress.done or of else ""
            self.say(f"  {self._stage}: {detail}{count}")

    def stage_ended(self, record: StageRecord) -> None:
        """Print one line that says how a stage ended."""
        self.task_ended()
        name = str(record.name) if not record.repeat else f"{record.name} {record.repeat + 1}"
        how = "from the cache" if record.cached else f"{record.wall_s:.1f} s{_memory(record)}"
        sign = {"ok": "✓", "cached": "✓"}.get(record.status, "✗")
        self.say(f"  {sign} {name:<9} {how}")


def _memory(record: StageRecord) -> str:
    """Return ``", 1.6 GiB of memory"`` for an export, which decides whether a model fits this host."""
    peak = record.peak_memory_bytes
    if peak is None or str(record.name) != "export":
        return ""
    return f", {peak / 2**30:.1f} GiB of memory"


def _columns(stream: TextIO) -> int | None:
    """Return the width of a stream's terminal, None if it is not one."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def _live_progress() -> RichProgress:
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = RichConsole(stderr=True)
    # A short bar on a narrow terminal leaves room for the time left.
    return Progress(
        SpinnerColumn("dots" if writes_every_character(sys.stderr) else "line"),
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=8 if console.width < 100 else 24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
