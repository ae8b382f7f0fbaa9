"""Sweeps: every combination once, what was measured is known by its job id, guesses are called so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from driver.catalog import load_catalog
from driver.console import Console
from driver.digests import canonical_digest
from driver.errors import UsageFault
from driver.models.base import Tier
from driver.plan import choose
from driver.preparation import prepare
from driver.stage_cache import CacheFolders
from driver.stopwatch import Stopwatch
from driver.sweep import by_runner, estimate, measured_before
from driver.verbs.sweep import Tally, name, pairs_asked, requests, show_end
from tests.driver.test_session import Lab

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_lists_make_every_combination_in_order() -> None:
    found = requests({"case": "a", "bs": "1,4", "precision": "fp32,bf16", "limit": "8"})
    assert [(one.precision, one.batch_size) for one in found] == [
        ("fp32", 1),
        ("fp32", 4),
        ("bf16", 1),
        ("bf16", 4),
    ]
    assert {one.limit for one in found} == {8}


def test_a_bad_member_of_a_list_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageFault, match="BS=x"):
        requests({"bs": "1,x"})


def test_ratio_takes_pairs_of_columns() -> None:
    assert pairs_asked(None) == []
    assert pairs_asked("310P/T4, 310P / 310") == ["310P/T4", "310P/310"]


@pytest.mark.parametrize("text", ["310P", "310P/", "/T4", "a/b/c"])
def test_a_ratio_that_names_no_two_columns_is_refused(text: str) -> None:
    with pytest.raises(UsageFault, match=f"RATIO={text} names no two columns"):
        pairs_asked(text)


def test_a_job_that_was_measured_is_found_by_its_id(lab: Lab) -> None:
    booked = lab.run()
    key = booked.result.job
    assert measured_before(lab.settings.results, key) == booked.folder / "result.json"
    other = key.model_copy(update={"id": "f" * 16})
    assert measured_before(lab.settings.results, other) is None


def test_a_failed_job_counts_as_missing(lab: Lab) -> None:
    lab.behave(infer="fails")
    key = lab.run().result.job
    assert measured_before(lab.settings.results, key) is None


def test_half_a_result_is_no_result(lab: Lab) -> None:
    booked = lab.run()
    (booked.folder / "result.json").write_text(json.dumps({"job": {}})[:9])
    assert measured_before(lab.settings.results, booked.result.job) is None


def test_an_estimate_is_a_guess_until_something_like_it_ran_here(lab: Lab) -> None:
    choice = choose(lab.request, load_catalog(lab.root))
    assert not estimate(lab.settings.results, choice).known
    took = lab.run().result.metrics.e2e_time_s
    expected = estimate(lab.settings.results, choice)
    assert expected.known
    assert expected.seconds == pytest.approx(took)


def test_a_job_that_was_cut_off_estimates_nothing(lab: Lab) -> None:
    lab.behave(infer="fails")
    lab.run()
    choice = choose(lab.request, load_catalog(lab.root))
    assert not estimate(lab.settings.results, choice).known


def test_what_is_cached_is_known_before_a_job_runs(lab: Lab) -> None:
    def present() -> str:
        site = lab.site()
        planned = prepare(site, choose(lab.request, site.catalog), Stopwatch()).planned
        return CacheFolders.of(site.settings.cache, planned).present()

    assert present() == ""
    lab.behave(compile="fails")
    lab.run()
    assert present() == "export"
    lab.behave()
    lab.run()
    assert present() == "export, engine"


def test_a_standard_guess_counts_its_repeats(lab: Lab) -> None:
    request = lab.request.model_copy(update={"tier": Tier.STANDARD})
    guess = estimate(lab.settings.results, choose(request, load_catalog(lab.root)))
    assert guess.seconds > 3 * 2 * 60


def test_the_table_at_the_end_tells_cases_and_looks_apart(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [lab.run(), lab.run(batch_size=1)]
    other = json.loads((paths[0].folder / "result.json").read_text())
    other["job"].update(case="other")
    other["simulated"] = True
    other["digest"] = canonical_digest(other)
    (lab.root / "result.json").write_text(json.dumps(other))
    tally = Tally(paths=[*(one.folder / "result.json" for one in paths), lab.root / "result.json"])
    show_end(tally, Console(), 3, [])
    shown = capsys.readouterr().out
    assert "images/s: other · published weights · real data · smoke" in shown
    assert "SIMULATED" in shown
    assert "One (simulated, smoke)" in shown
    assert shown.count("best batch") == 2
    assert "/" not in "".join(line for line in shown.splitlines() if line.startswith("Throughput"))


def test_a_line_of_a_job_names_its_chip(lab: Lab) -> None:
    choice = choose(lab.request, load_catalog(lab.root))
    assert name(choice) == "tiny acme One turbo fp32 bs2"


def test_a_runner_is_opened_once(lab: Lab) -> None:
    catalog = load_catalog(lab.root)
    choices = [
        choose(lab.request.model_copy(update={"batch_size": size}), catalog) for size in (1, 2)
    ]
    assert list(by_runner(choices).values()) == [choices]
