"""Sweeps: every combination runs once, finished jobs are found by their id, guesses are marked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import load_catalog
from driver.console import Console
from driver.errors import EnvironmentFault, UsageFault
from driver.models.base import RunnerName, Tier
from driver.plan.choice import choose
from driver.plan.sweep import name_of
from driver.results.history import Before, by_runner, estimate, measured_before
from driver.session.inputs.artifact_cache import CacheFolders
from driver.session.prepare import plan_only, prepare
from driver.session.site import open_site
from driver.system.hashing import canonical_digest
from driver.system.stopwatch import Stopwatch
from driver.verbs.showing.sweep import Tally, pairs_asked, show_end
from driver.verbs.sweep import _plan, _run, asked_name, requests
from tests.documents import warned
from tests.driver.session.test_run import Lab

if TYPE_CHECKING:
    from pathlib import Path

    from driver.session.run import FinishedJob

pytestmark = pytest.mark.jobs


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


def test_ratio_accepts_pairs_of_columns() -> None:
    assert pairs_asked(None) == []
    assert pairs_asked("310P/T4, 310P / 310") == ["310P/T4", "310P/310"]


@pytest.mark.parametrize("text", ["310P", "310P/", "/T4", "a/b/c"])
def test_a_ratio_without_two_columns_is_refused(text: str) -> None:
    with pytest.raises(UsageFault, match=f"RATIO={text} is not a ratio of two columns"):
        pairs_asked(text)


def test_a_job_that_was_measured_is_found_by_its_id(lab: Lab) -> None:
    finished = lab.run()
    key = finished.result.job
    # The scripted hook measures by itself.
    assert measured_before(lab.settings.results, key) == Before(
        path=finished.folder / "result.json", marks=("engine in the harness's process",)
    )
    other = key.model_copy(update={"id": "f" * 16})
    assert measured_before(lab.settings.results, other) is None


def test_a_failed_job_counts_as_missing(lab: Lab) -> None:
    lab.behave(infer="fails")
    key = lab.run().result.job
    assert measured_before(lab.settings.results, key) is None


def test_a_truncated_result_counts_as_missing(lab: Lab) -> None:
    finished = lab.run()
    (finished.folder / "result.json").write_text(json.dumps({"job": {}})[:9])
    assert measured_before(lab.settings.results, finished.result.job) is None


def warn(finished: FinishedJob, *codes: str) -> Path:
    """Give a result these warnings and a digest that fits."""
    path = finished.folder / "result.json"
    body = json.loads(path.read_text())
    body["warnings"] = warned(*codes)
    del body["digest"]
    path.write_text(json.dumps(body | {"digest": canonical_digest(body)}))
    return path


def test_a_figure_with_a_warning_is_measured_again_once(lab: Lab) -> None:
    first = lab.run()
    key = first.result.job
    path = warn(first, "device_shared")
    assert measured_before(lab.settings.results, key) == Before(
        path=path, marks=("device shared",), again=True
    )
    path = warn(lab.run(), "unstable")
    found = measured_before(lab.settings.results, key)
    assert found == Before(path=path, marks=("unstable",), again=False), "tried, and kept marked"
    clean = warn(lab.run()), lab.settings.results
    assert measured_before(clean[1], key) == Before(path=clean[0])


def test_a_warning_that_stays_is_no_reason_to_measure_again(lab: Lab) -> None:
    path = warn(finished := lab.run(), "part_of_device", "few_samples")
    assert measured_before(lab.settings.results, finished.result.job) == Before(
        path=path, marks=("part of a device",)
    )


def test_an_edited_result_was_not_measured(lab: Lab) -> None:
    finished = lab.run()
    path = finished.folder / "result.json"
    body = json.loads(path.read_text())
    body["metrics"]["p_infer_core"] *= 2
    path.write_text(json.dumps(body))
    assert measured_before(lab.settings.results, finished.result.job) is None


def test_the_table_at_the_end_marks_what_a_warning_concerns_and_says_why(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    path = warn(lab.run(), "device_shared")
    show_end(Tally(paths=[path], run=1), Console(), 1, [])
    shown = capsys.readouterr()
    assert "4000.0 !" in shown.out
    assert "! One turbo fp32 bs2: device shared" in shown.err
    assert "1 job: 1 run now, 0 measured before" in shown.err


def test_a_sweep_measures_a_warned_figure_again_and_keeps_it_marked(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    site, choice = lab.site(), choose(lab.request, load_catalog(lab.root))
    warn(lab.run(), "device_shared")
    tally = Tally()
    missing = _plan(site, [choice], Console(), tally, again=False)
    assert "measured again (device shared)" in capsys.readouterr().err
    assert len(missing) == 1
    _run(site, missing, Console(), tally)
    (path,) = tally.paths
    body = json.loads(path.read_text())
    body.pop("digest")
    body["warnings"] = warned("device_shared")
    path.write_text(json.dumps(body | {"digest": canonical_digest(body)}))
    kept = Tally()
    assert _plan(site, [choice], Console(), kept, again=False) == []
    assert kept.paths == [path]
    assert "measured before, marked: device shared (AGAIN=1" in capsys.readouterr().err


def test_an_estimate_is_a_guess_until_a_similar_job_ran(lab: Lab) -> None:
    choice = choose(lab.request, load_catalog(lab.root))
    assert not estimate(lab.settings.results, choice).known
    took = lab.run().result.metrics.e2e_time_s
    expected = estimate(lab.settings.results, choice)
    assert expected.known
    assert expected.seconds == pytest.approx(took)


def test_an_interrupted_job_gives_no_estimate(lab: Lab) -> None:
    lab.behave(infer="fails")
    lab.run()
    choice = choose(lab.request, load_catalog(lab.root))
    assert not estimate(lab.settings.results, choice).known


def test_cached_stages_are_known_before_a_job_runs(lab: Lab) -> None:
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


def test_a_guess_for_the_standard_tier_counts_its_repeats(lab: Lab) -> None:
    request = lab.request.model_copy(update={"tier": Tier.STANDARD})
    guess = estimate(lab.settings.results, choose(request, load_catalog(lab.root)))
    assert guess.seconds > 3 * 2 * 60


def test_the_tables_at_the_end_separate_cases_and_smoke_runs(
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


def test_the_name_of_a_job_has_its_chip(lab: Lab) -> None:
    choice = choose(lab.request, load_catalog(lab.root))
    assert name_of(choice) == "tiny acme One turbo fp32 bs2"


def test_a_runner_is_opened_once(lab: Lab) -> None:
    catalog = load_catalog(lab.root)
    choices = [
        choose(lab.request.model_copy(update={"batch_size": size}), catalog) for size in (1, 2)
    ]
    assert list(by_runner(choices).values()) == [choices]


def test_a_plan_names_each_job_that_cannot_run_and_counts_none_as_done(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    site = lab.site()
    asked = lab.request.model_copy(update={"weights": "/nowhere"})
    choice = choose(asked, site.catalog)
    tally = Tally()
    assert _plan(site, [choice], Console(), tally, again=False) == []
    said = capsys.readouterr().err
    assert f"{name_of(choice)}: cannot run" in said
    assert "1 job: 0 done, 0 to run, 1 cannot run" in said
    assert tally.codes == [3]


def test_a_dry_run_installs_fetches_and_makes_nothing(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a dry run installed, or ran a stage")

    monkeypatch.setattr(lab.installer, "install", never)
    monkeypatch.setattr("driver.session.inputs.making.run_stage", never)
    site, tally = lab.site(), Tally()
    drawn = choose(lab.request.model_copy(update={"data": "synthetic"}), site.catalog)
    tensors = choose(lab.request.model_copy(update={"input_kind": "tensor"}), site.catalog)
    found = choose(lab.request, site.catalog)
    missing = _plan(site, [drawn, tensors, found], Console(), tally, again=False, dry=True)
    assert [one.choice for one in missing] == [drawn, tensors, found]
    said = capsys.readouterr().err
    assert said.count("its data is made first") == 2
    assert "3 jobs: 0 done, 3 to run, 0 cannot run" in said


def test_a_dry_run_finds_what_was_measured_before(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.run()
    site = lab.site()
    choice = choose(lab.request, site.catalog)
    assert _plan(site, [choice], Console(), Tally(), again=False, dry=True) == []
    assert "measured before" in capsys.readouterr().err


def test_a_dry_run_names_a_failed_plan_with_its_job_and_counts_it(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    site, tally = lab.site(), Tally()
    bad = choose(lab.request.model_copy(update={"weights": "/nowhere"}), site.catalog)
    _plan(site, [bad], Console(), tally, again=False, dry=True)
    show_end(tally, Console(), 1, [], dry=True)
    said = capsys.readouterr().err
    assert f"{name_of(bad)}: cannot run" in said
    assert "/nowhere does not exist" in said
    assert "1 job: 0 run now, 0 measured before, 1 failed" in said
    assert tally.codes == [3]


def test_a_full_disk_is_seen_before_anything_is_installed(lab: Lab) -> None:
    lab.installer.to_install_bytes = 1 << 60
    site = lab.site()
    with pytest.raises(EnvironmentFault, match=r"the first run of tiny on acme needs .* GiB short"):
        prepare(site, choose(lab.request, site.catalog), Stopwatch())
    lab.installer.to_install_bytes = 0
    prepare(site, choose(lab.request, site.catalog), Stopwatch())


def test_a_full_disk_of_the_container_engine_is_seen_before_anything_is_fetched(
    lab: Lab, tmp_path: Path
) -> None:
    lab.installer.to_install_bytes, lab.installer.disk = 1 << 60, tmp_path / "engine"
    site = lab.site()
    for plan in (prepare, lambda site, choice, _stopwatch: plan_only(site, choice)):
        with pytest.raises(EnvironmentFault, match=r"GiB at .*/engine, but only") as caught:
            plan(site, choose(lab.request, site.catalog), Stopwatch())
        assert "docker system df" in caught.value.remedy
        assert caught.value.exit_code == 3


def test_a_skipped_combination_is_named() -> None:
    (request,) = requests({"case": "sam", "vendor": "nvidia", "precision": "fp99", "bs": "4"})
    assert asked_name(request) == "sam nvidia fp99 bs4"


def test_an_engine_that_is_not_there_fails_its_jobs_and_not_the_sweep(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/engine.sock")
    catalog, tally = load_catalog(lab.root), Tally()
    choice = choose(lab.request.model_copy(update={"runner": RunnerName.DOCKER}), catalog)
    with open_site(RunnerName.DOCKER, lab.settings, catalog, Console()) as site:
        assert _plan(site, [choice], Console(), tally, again=False) == []
    assert f"{name_of(choice)}: cannot run" in capsys.readouterr().err
    assert tally.codes == [3]
