"""Two concurrent runs on one ASSAY_HOME: both succeed, and shared artifacts are made once."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

from tests.driver.session.test_run import Lab, nothing_left

if TYPE_CHECKING:
    from pathlib import Path


def test_two_concurrent_runs_share_the_cache_and_both_succeed(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        statuses = pool.map(_run, [lab, lab])
    assert statuses == ["ok", "ok"]
    assert len(list((lab.settings.home / "cache" / "models").glob("*/report.json"))) == 1
    assert len(list(lab.settings.results.rglob("result.json"))) == 2
    assert nothing_left(lab)


def _run(lab: Lab) -> str:
    return lab.run().result.status
