"""Events of a running session; the console shows them, tests record them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from driver.models.base import StageName
    from driver.models.result import StageRecord


NEVER_S = 48 * 3600.0
"""A guest may write anything as its progress; a longer time left is not shown."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A stage's progress as reported by the guest in progress.json; for display only.

    ``left_s`` is how long the phase will still take, in seconds; None if nothing tells.
    """

    phase: str
    done: int
    total: int | None
    unit: str
    rate: float | None
    left_s: float | None = None

    def left_by_count(self) -> float | None:
        """Return the seconds that the remaining items take at this rate, None if that is not known."""
        if not self.total or not self.rate or self.rate <= 0:
            return None
        left = max(0.0, self.total - self.done) / self.rate
        return left if left < NEVER_S else None


class Listener(Protocol):
    """Receives a session's events."""

    def note(self, text: str) -> None:
        """Show one line, such as what is being installed."""

    def stage_started(self, stage: StageName, repeat: int, repeats: int) -> None:
        """A stage begins; ``repeat`` counts from 0."""

    def task_started(self, name: str) -> None:
        """Work outside the stages begins, such as drawing synthetic items."""

    def task_ended(self) -> None:
        """That work has ended or failed."""

    def progress(self, progress: Progress) -> None:
        """The running stage has made progress."""

    def stage_ended(self, record: StageRecord) -> None:
        """A stage has ended."""


def progress_of(document: Any) -> Progress | None:
    """Return the progress in the document of a progress.json, None when it has none."""
    try:
        total = document.get("total")
        rate = document.get("rate")
        return Progress(
            phase=str(document["phase"])[:40],
            done=int(document["done"]),
            total=None if total is None else int(total),
            unit=str(document.get("unit", ""))[:20],
            rate=None if rate is None else float(rate),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
