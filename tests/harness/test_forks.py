"""A fork does what a hook does that hands over to the harness, and no other hook is taken for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.forks import HANDED_OVER, exported_by
from tests.harness.job_folder import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness.conftest import MakeJob
    from tests.harness.job_folder import Outcome


def left(outcome: Outcome) -> dict[str, Any]:
    """Return what a stage reported and left that is no measurement."""
    report = outcome.ok
    assert report.engine_process is not None
    return {
        "effective": report.effective,
        "versions": report.versions,
        "warnings": report.warnings,
        "loops": [(one.name, one.clock, one.in_flight) for one in report.measurements],
        "apart": (report.engine_process.separate, report.engine_process.landlock),
        "classes": outcome.npz("predictions.npz")["classes"].tolist(),
        "files": sorted(str(path.relative_to(outcome.out)) for path in outcome.out.rglob("*")),
    }


@pytest.mark.parametrize(
    ("engine", "options"), [("colours", {}), ("enqueue", {"item_ms": 1.0})], ids=["now", "later"]
)
def test_a_fork_leaves_what_the_hook_leaves(
    make_job: MakeJob, engine: str, options: dict[str, float]
) -> None:
    settings: dict[str, Any] = {"engine": engine, "engine_options": options}
    by_hook, forked = (make_job(**settings).with_pictures(10) for _ in range(2))
    assert left(by_hook.run()) == left(forked.run_forked())


def test_a_hook_that_does_more_is_not_forked(make_job: MakeJob, tmp_path: Path) -> None:
    hook = tmp_path / "hook" / "hook"
    hook.parent.mkdir()
    before = 'if [ "$1" = infer ]; then exit 3; fi'
    hook.write_text(f"#!/bin/sh\nset -eu\n{before}\n{HANDED_OVER}\n", encoding="utf-8")
    assert exported_by(hook) is None
    with pytest.raises(AssertionError, match="does more than a fork would"):
        make_job(hook=hook.parent).with_pictures(4).run_forked()


def test_variables_of_a_hook_that_hands_over_are_those_of_the_fork(tmp_path: Path) -> None:
    assert exported_by(ROOT / "vendor_hooks" / "cpu" / "hook") == {}
    assert exported_by(ROOT / "vendor_hooks" / "reference" / "hook") == {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TQDM_DISABLE": "1",
    }
    assert exported_by(tmp_path / "no hook") is None
