"""A job with a load scenario: LoadGen's logs are read, checked and kept; others are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from driver.models.base import FailureKind, Tier, WarningCode
from driver.plan.scenario import RULES, Rules
from driver.session.result import exit_code
from tests.driver.results.scenarios.genuine import FOLDER, run_scenario
from tests.driver.session.test_run import Lab, nothing_left

if TYPE_CHECKING:
    from pathlib import Path

    from driver.models.result import Result
    from driver.session.run import FinishedJob

pytestmark = pytest.mark.jobs

LEAVE = """python:
import shutil, time
time.sleep({wait_s})
shutil.copytree({logs!r}, out / "loadgen")
wall_ns = int({wait_s} * 1e9)
loads = dict(name="scenario", items=9000, calls=9000, wall_ns=wall_ns, in_flight=1, clock="hook")
said = {{"name": {said!r}, "run": "performance/run_1", "samples_a_call": 1.5, "call_ns": 2_000_000, "agreement": 1.0,
         "sampled": 3, "largest_difference": 0.0, "tried": [{{"rate": 40.0, "latency_ns": 1, "met": {met}}}]}}
leave(document(measurements=[loop("core"), loop("whole"), loads], scenario=said))
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    made = Lab(tmp_path)
    stack = made.root / "images/acme/v1/stack.toml"
    text = stack.read_text().replace("versions = {}", 'versions = { mlcommons-loadgen = "6" }')
    stack.write_text(text)
    monkeypatch.setitem(
        RULES, Tier.SMOKE, Rules(100, dict.fromkeys(RULES[Tier.SMOKE].min_queries, 1), 50)
    )
    return made


def left(lab: Lab, name: str, *, said: str = "", share: float = 1.0, met: bool = True) -> None:
    """Let infer leave genuine logs of a run of ``name``.

    Its report says that it was ``said``, and that it took ``share`` of the time that it did.
    """
    made = run_scenario(name, lab.root.parent / "genuine")
    logs = str(made.out / FOLDER.partition("/")[0])
    wait_s = share * made.loop.wall_ns / 1e9
    code = LEAVE.format(logs=logs, said=said or name, wait_s=wait_s, met=met)
    lab.behave(infer=code)


def run(lab: Lab, scenario: str | None = "server") -> FinishedJob:
    bound = "500ms" if scenario == "server" else None
    return lab.run(scenario=scenario, latency_bound=bound)


def refused(lab: Lab, scenario: str | None = "server") -> str:
    result: Result = run(lab, scenario).result
    assert result.failure is not None
    assert (result.failure.kind, exit_code(result)) == (FailureKind.CONTRACT, 5)
    assert result.metrics.scenario is None
    assert nothing_left(lab)
    return result.failure.message


def test_the_logs_are_kept_and_their_figures_are_the_results(lab: Lab) -> None:
    left(lab, "server")
    finished = run(lab)
    found = finished.result.metrics.scenario
    assert finished.result.failure is None
    assert found is not None
    assert (found.name, found.latency_bound_ms, found.best_qps) == ("server", 500.0, 40.0)
    assert finished.result.job.scenario == "server"
    assert {name.rpartition("/")[2] for name in found.logs} == {
        "mlperf_log_summary.txt",
        "mlperf_log_detail.txt",
        "mlperf_log_accuracy.json",
    }
    assert all((finished.folder / name).is_file() for name in found.logs)
    assert finished.result.metrics.p_infer_core == 4000.0


def test_an_invalid_run_is_a_warning_and_the_other_figures_stay(lab: Lab) -> None:
    left(lab, "multistream")  # far from 662 queries
    result = run(lab, "multistream").result
    (found,) = [one for one in result.warnings if one.code is WarningCode.SCENARIO_INVALID]
    assert "Need to process at least" in found.message
    assert exit_code(result) == 0


def test_a_bound_that_no_rate_keeps_fails_the_job_with_its_figures(lab: Lab) -> None:
    left(lab, "server", met=False)
    result = run(lab).result
    assert result.failure is not None
    assert (result.failure.kind, exit_code(result)) == (FailureKind.INFER, 1)
    assert "no rate keeps LATENCY_BOUND=500ms" in result.failure.message
    assert result.metrics.p_infer_core == 4000.0


def test_a_job_without_its_scenario_breaks_the_contract(lab: Lab) -> None:
    assert "no load scenario, but the job's is server" in refused(lab)


def test_a_scenario_that_nobody_asked_for_breaks_the_contract(lab: Lab) -> None:
    left(lab, "server")
    assert "which this stage does not run" in refused(lab, None)


def test_the_log_of_another_scenario_breaks_the_contract(lab: Lab) -> None:
    left(lab, "offline", said="server")
    assert "effective_scenario 'Offline'" in refused(lab)


def test_a_loop_shorter_than_its_queries_breaks_the_contract(lab: Lab) -> None:
    left(lab, "server", share=0.2)
    assert "LoadGen's queries took" in refused(lab)
