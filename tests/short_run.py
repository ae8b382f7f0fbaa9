"""`python -m tests.short_run SECONDS VERB …`: the driver, with smoke runs whose loops last SECONDS.

A test that uses no figure need not wait for one: warm-up, core and latency of two stages keep both cores busy for six
seconds. They compute with one thread: two wait for each other by spinning, for as long again where tests share the
cores. Stages that hand over to the harness are forks (tests/harness/forked_runner.py). Everything else is as
`driver/assay` does it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driver.__main__ import main
from driver.models.base import RunnerName, Tier
from driver.plan.scenario import RULES, Rules
from driver.plan.tiers import MEASURES
from driver.runners import RUNNERS
from driver.session import site
from driver.system.host.machine import HostFacts, host_facts
from tests.harness.forked_runner import ForkedRunner
from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

ROOT = Path(__file__).resolve().parents[1]
SHORT_S = 0.2
"""Long enough for checks of what a loop computed, too short for those of its time."""
CLOCK_S = 1.0
"""A smoke run's own core loop, which the driver's clock can check to a hundredth."""


def short_run(
    *words: str, variables: Mapping[str, str], seconds: float = SHORT_S
) -> subprocess.CompletedProcess[str]:
    """Call the driver with ``words`` and these variables beside the caller's own."""
    return subprocess.run(
        [sys.executable, "-m", "tests.short_run", str(seconds), *words],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


VALIDATED_BY = 'validate_engine = "eager"\n'


def copy_of_cpu(folder: Path, *, validates: bool) -> Path:
    """Copy vendor cpu with its images to ``folder``, for VENDOR_PATH; return its folder.

    Without validation a run imports no torch.
    """
    vendor = Path(shutil.copytree(ROOT / "vendor_hooks" / "cpu", folder / "cpu"))
    shutil.copytree(ROOT / "images" / "cpu", vendor / "images")
    if not validates:
        manifest = vendor / "vendor.toml"
        text = manifest.read_text(encoding="utf-8")
        assert VALIDATED_BY in text
        manifest.write_text(text.replace(VALIDATED_BY, ""), encoding="utf-8")
    return vendor


def measure_briefly(monkeypatch: pytest.MonkeyPatch, seconds: float = SHORT_S) -> None:
    """Have smoke runs in this process measure as ``short_run`` does, until the test ends."""
    monkeypatch.setitem(MEASURES, Tier.SMOKE, _measure(seconds))
    monkeypatch.setitem(RULES, Tier.SMOKE, _rules(seconds))
    monkeypatch.setattr(site, "host_facts", _one_thread)
    monkeypatch.setitem(RUNNERS, RunnerName.PROCESS, lambda _: ForkedRunner())


def _measure(seconds: float) -> dict[str, Any]:
    brief = {"min_seconds": seconds, "warmup_max_seconds": 0.3, "latency_max_seconds": 0.1}
    return MEASURES[Tier.SMOKE] | brief


def _rules(seconds: float) -> Rules:
    brief_ms = int(1000 * seconds)
    return RULES[Tier.SMOKE]._replace(min_duration_ms=brief_ms, probe_duration_ms=brief_ms)


def _one_thread() -> HostFacts:
    return host_facts().model_copy(update={"threads": 1})


if __name__ == "__main__":
    seconds = float(sys.argv.pop(1))
    MEASURES[Tier.SMOKE] = _measure(seconds)
    RULES[Tier.SMOKE] = _rules(seconds)
    vars(site)["host_facts"] = _one_thread
    RUNNERS[RunnerName.PROCESS] = lambda _: ForkedRunner()
    sys.exit(main())
