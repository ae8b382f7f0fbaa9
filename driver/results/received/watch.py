"""Watches the out folder of a running stage: shows its progress, and holds it to its quota."""

from __future__ import annotations

import time
from math import prod
from typing import TYPE_CHECKING

from driver.errors import ContractFault
from driver.events import progress_of
from driver.results.received.left import read_progress_document
from driver.system.untrusted import opener
from driver.system.untrusted.opener import RefusedFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from driver.events import Progress
    from driver.models.base import StageName
    from driver.models.job import JobFile

PROGRESS_S = 0.5
USAGE_S = 2.0
"""How often progress is read and the out folder measured."""

OUT_BASE_BYTES = 4 << 30
OUT_ITEM_BYTES = 1 << 20
OUT_COPIES = 2
ELEMENT_BYTES = 8
EXPORT_BYTES_PER_PARAMETER = 48
"""The quota of an out folder: several times what the largest case leaves there (see ``out_limit``)."""
OUT_ENTRIES = 100_000


def out_limit(job: JobFile, parameters: int, count: int) -> int:
    """Return how many bytes a stage's out folder may take, for a model and ``count`` items."""
    elements = sum(prod(spec.shape) * spec.rows_per_item for spec in (*job.inputs, *job.outputs))
    per_item = OUT_COPIES * elements * ELEMENT_BYTES + OUT_ITEM_BYTES
    return OUT_BASE_BYTES + EXPORT_BYTES_PER_PARAMETER * parameters + per_item * count


class OutWatch:
    """Called on every tick of a stage; what it raises ends the stage, under every runner."""

    def __init__(
        self,
        out: Path,
        stage: StageName,
        limit_bytes: int,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._out = out
        self._stage = stage
        self._limit_bytes = limit_bytes
        self._on_progress = on_progress
        self._next_progress = 0.0
        self._next_usage = 0.0

    def __call__(self) -> None:
        """Show new progress. Raises ContractFault for what no stage may leave while it runs."""
        now = time.monotonic()
        if now < self._next_progress:
            return
        self._next_progress = now + PROGRESS_S
        try:
            progress = progress_of(read_progress_document(self._out))
        except RefusedFile as error:
            raise self._fault(f"left a progress file that is refused: {error}") from error
        if progress is not None:
            self._on_progress(progress)
        if now >= self._next_usage:
            self._next_usage = now + USAGE_S
            self._require_within_quota()

    def _require_within_quota(self) -> None:
        found = opener.usage(self._out)
        if found.bytes > self._limit_bytes:
            raise self._fault(
                f"wrote {found.bytes:,} bytes to its out folder, more than the "
                f"{self._limit_bytes:,} that its items can need"
            )
        if found.entries > OUT_ENTRIES:
            raise self._fault(
                f"made {found.entries:,} files in its out folder, more than {OUT_ENTRIES:,}"
            )

    def _fault(self, what: str) -> ContractFault:
        return ContractFault(
            f"{self._stage} {what}; it was stopped",
            "docs/contract.md says what a stage may leave in its out folder; write the rest to TMPDIR",
        )
