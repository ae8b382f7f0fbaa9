"""Two runs at once on one ASSAY_HOME: both end well, and what they share is made once and whole."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING

from tests.driver.test_session import Lab, nothing_left

if TYPE_CHECKING:
    from pathlib import Path


def test_two_runs_at_once_share_the_cache_and_both_end_well(tmp_path: Path) -> None:
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
