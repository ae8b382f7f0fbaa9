"""Every case of the tree passes the same check that a stranger's folder must pass."""

from __future__ import annotations

import pytest

from driver.check.case import check_case, judge_macs, plan_case_trial
from driver.check.trial import Trial, judge, run_trial
from driver.console import Console
from driver.doctor.finding import Finding
from driver.system.settings import load_settings
from tests.contract.test_vendors import CATALOG, messages, went_wrong

#: The others take minutes and gigabytes: tests/container/test_full_size.py.
PLANNED = {name: plan_case_trial(case, None) for name, case in CATALOG.cases.items()}
SMALL = {name: trial for name, trial in PLANNED.items() if isinstance(trial, Trial)}


@pytest.mark.parametrize("name", sorted(CATALOG.cases))
def test_a_cases_folder_is_whole(name: str) -> None:
    assert messages(check_case(CATALOG.cases[name])) == []


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_small_case_runs_and_counts_what_it_states(name: str) -> None:
    case, trial = CATALOG.cases[name], SMALL[name]
    result = run_trial(trial, load_settings(), CATALOG, Console())
    if isinstance(result, Finding):
        pytest.skip(f"{result.found}; {result.remedy}")
    assert went_wrong([*judge(trial.what, result), judge_macs(case, result)]) == []
