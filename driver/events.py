"""What a session tells while it works; the console shows it, tests record it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.base import StageName
    from driver.models.result import StageRecord


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a stage is, as the guest says in progress.json; for display only, proof of nothing."""

    phase: str
    done: int
    total: int | None
    unit: str
    rate: float | None


class Listener(Protocol):
    """Who is told."""

    def note(self, text: str) -> None:
        """Hear of something worth a line: what is being installed, what came from a cache."""

    def stage_started(self, stage: StageName, repeat: int, repeats: int) -> None:
        """Hear that a stage begins; ``repeat`` counts from 0."""

    def task_started(self, name: str) -> None:
        """Hear that work of ours begins that is no stage: synthetic items are drawn, say."""

    def task_ended(self) -> None:
        """Hear that it is done, or has failed."""

    def progress(self, progress: Progress) -> None:
        """Hear how far the running stage is."""

    def stage_ended(self, record: StageRecord) -> None:
        """Hear how a stage ended."""


def read_progress(path: Path) -> Progress | None:
    """Read a guest's progress.json; None when it is missing or not understood."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        total = document.get("total")
        rate = document.get("rate")
        return Progress(
            phase=str(document["phase"])[:40],
            done=int(document["done"]),
            total=None if total is None else int(total),
            unit=str(document.get("unit", ""))[:20],
            rate=None if rate is None else float(rate),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
