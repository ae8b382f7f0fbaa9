"""The only module that prints. People read standard error; standard output holds tables or one JSON document."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from driver.aggregate.text import plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from driver.errors import AssayError
    from driver.events import Progress
    from driver.models.base import Failure, StageName, Warn
    from driver.models.result import StageRecord

PLAIN_PROGRESS_S = 10.0
"""Without a terminal a stage's progress is a line every ten seconds."""


class Console:
    """Where a verb's words go; also the session's listener."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self._live: RichProgress | None = None
        self._task: TaskID | None = None
        self._stage = ""
        self._last_line = 0.0

    # --- documents and tables -------------------------------------------------------------------
    def document(self, document: Any) -> None:
        """Print one JSON document to standard output; a verb does so once, with FORMAT=json."""
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
        """Print a table to standard output; one row that a terminal is too narrow for stands upright."""
        cells = [[plain(cell) for cell in row] for row in rows]
        text = _table_text(headers, cells)
        width = max((len(line) for line in text.splitlines()), default=0)
        if len(cells) == 1 and sys.stdout.isatty() and width > shutil.get_terminal_size().columns:
            text = _table_text(("figure", "value"), list(zip(headers, cells[0], strict=True)))
        sys.stdout.write((f"\n{title}\n" if title else "") + text + "\n")
        sys.stdout.flush()

    def columns(self) -> int | None:
        """Return how wide the terminal is; None where standard output is none."""
        return shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def text(self, text: str) -> None:
        """Print text to standard output."""
        sys.stdout.write(text + "\n")

    # --- words for people -----------------------------------------------------------------------
    def say(self, text: str) -> None:
        """Say a line to people."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def error(self, error: AssayError) -> None:
        """Say an expected failure: what happened, and what to type next."""
        self.fault(error.message, error.remedy)

    def failure(self, failure: Failure) -> None:
        """Say a job's failure."""
        where = f"{failure.stage}: " if failure.stage else ""
        self.fault(f"{where}[{failure.kind}] {failure.message}", failure.remedy)

    def fault(self, message: str, remedy: str) -> None:
        """Say what went wrong and what to type next; foreign text has no effect on the terminal."""
        lines = [plain(line) for line in message.splitlines()]
        self.say("\n".join([f"assay: {lines[0]}" if lines else "assay: failed", *lines[1:]]))
        self.say(f"  → {plain(remedy)}")

    def usage_fault(self, error: Exception) -> None:
        """Say a mistake on the command line."""
        format_message = getattr(error, "format_message", error.__str__)
        self.fault(
            str(format_message()), "`driver/assay --help` or `make help` shows what there is"
        )

    def warning(self, warning: Warn) -> None:
        """Say a warning with its remedy."""
        self.say(f"  ! {warning.code}: {plain(warning.message)}")
        self.say(f"    → {plain(warning.remedy)}")

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
        """Hear of something worth a line."""
        self.say(f"  {plain(text)}")

    def stage_started(self, stage: StageName, repeat: int, repeats: int) -> None:
        """Hear that a stage begins."""
        self.task_started(str(stage) if repeats == 1 else f"{stage} {repeat + 1}/{repeats}")

    def task_started(self, name: str) -> None:
        """Show progress under this name from now on."""
        self._stage = name
        self._last_line = time.monotonic()
        if self._live is not None:
            self._task = self._live.add_task(self._stage, total=None, detail="starting")

    def task_ended(self) -> None:
        """Show its progress no longer."""
        if self._live is not None and self._task is not None:
            self._live.remove_task(self._task)
            self._task = None

    def progress(self, progress: Progress) -> None:
        """Hear how far the stage is: phase, items, rate, time left."""
        detail = plain(progress.phase)
        if progress.rate:
            detail += f"  {progress.rate:.4g} {plain(progress.unit)}/s"
        if self._live is not None and self._task is not None:
            self._live.update(
                self._task, completed=progress.done, total=progress.total, detail=detail
            )
        elif time.monotonic() - self._last_line >= PLAIN_PROGRESS_S:
            self._last_line = time.monotonic()
            of = f"/{progress.total}" if progress.total else ""
            self.say(f"  {self._stage}: {detail} {progress.done}{of}")

    def stage_ended(self, record: StageRecord) -> None:
        """Hear how a stage ended: one line stays."""
        self.task_ended()
        name = str(record.name) if not record.repeat else f"{record.name} {record.repeat + 1}"
        how = "from the cache" if record.cached else f"{record.wall_s:.1f} s"
        sign = {"ok": "✓", "cached": "✓"}.get(record.status, "✗")
        self.say(f"  {sign} {name:<9} {how}")


def _table_text(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    from tabulate import tabulate

    return tabulate(rows, headers=list(headers), tablefmt="github", disable_numparse=True)


def _live_progress() -> RichProgress:
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=RichConsole(stderr=True),
        transient=True,
    )
