"""A job folder for every test that asks for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.job_folder import JobFolder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeJob = Callable[..., JobFolder]


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    """Return what makes a job folder (its arguments are JobFolder's) below tmp_path."""
    made: list[JobFolder] = []

    def make(**arguments: Any) -> JobFolder:
        job = JobFolder(tmp_path / f"job{len(made)}", **arguments)
        made.append(job)
        return job

    return make
