"""Skipping a test that would fill the disk."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SPARE_BYTES = 2_000_000_000
"""What else a machine writes meanwhile."""


def require_disk(folder: Path, written_bytes: int) -> None:
    """Skip the test unless what it writes fits on the disk of ``folder`` with 2 GB to spare."""
    needed_bytes = written_bytes + SPARE_BYTES
    if shutil.disk_usage(folder).free < needed_bytes:
        pytest.skip(f"{needed_bytes:,} bytes are not free below {folder}")
