"""The logs of a stage's load scenario: read, checked against the job, and kept beside the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.models.base import StageName
from driver.results.figures import measured
from driver.results.scenarios.detail_log import read_detail
from driver.results.scenarios.figures import contradiction, scenario_figures
from driver.system.untrusted import opener

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.job import JobFile
    from driver.models.report import StageReport
    from driver.models.result import Scenario
    from driver.results.scenarios.detail_log import Logged


class WrongScenarioError(Exception):
    """What a stage reports of a load scenario is not the job's; the text follows "<stage> reported"."""


FOLDER = "loadgen"
"""Below a stage's out folder and beside the result."""
LOGS = ("mlperf_log_summary.txt", "mlperf_log_detail.txt", "mlperf_log_accuracy.json")
LOG_BYTES = 1 << 30
"""An accuracy log takes some 100 bytes an item."""
MOST_LOGS = 300


def read_scenario(job: JobFile, report: StageReport, out: Path) -> Logged | None:
    """Return what LoadGen logged in a stage, None where the stage runs no scenario.

    Raises RefusedFile for a log that is missing or may not be read, WrongScenarioError where the report or the log is
    not of the job's scenario.
    """
    due = job.scenario is not None and job.stage is StageName.INFER and not job.repeat
    loop, said = measured(report, "scenario"), report.scenario
    if not due:
        if loop is None and said is None:
            return None
        raise WrongScenarioError("a load scenario, which this stage does not run")
    if said is None or loop is None:
        raise WrongScenarioError(f"no load scenario, but the job's is {job.job.scenario}")
    assert job.scenario is not None, "it is due"
    log = read_detail(out, f"{FOLDER}/{said.run}")
    wrong = contradiction(job.scenario, said, log, loop)
    if wrong is not None:
        raise WrongScenarioError(wrong)
    return log


def keep_scenario(
    log: Logged, job: JobFile, report: StageReport, out: Path, folder: Path
) -> Scenario:
    """Copy LoadGen's logs to the result's folder; return the figures with their digests."""
    assert job.scenario is not None, "a scenario was read"
    assert report.scenario is not None, "a scenario was read"
    names = [
        name
        for name in opener.files_below(out)
        if name.startswith(f"{FOLDER}/") and name.rpartition("/")[2] in LOGS
    ]
    kept: dict[str, str] = {}
    for name in names[:MOST_LOGS]:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        kept[name] = opener.copy(out, name, target, LOG_BYTES)
    return scenario_figures(job.scenario, report.scenario, log, kept)
