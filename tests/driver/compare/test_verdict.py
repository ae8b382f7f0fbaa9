"""Comparison: what is comparable, what differs, and which is faster by how much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.compare.pairing import compare_paths, compare_published
from driver.compare.speed import SpeedVerdict
from driver.compare.verdict import Comparable, Comparison
from driver.errors import UsageFault
from tests import documents
from tests.driver.published_figure import FIGURE_OF_000
from tests.driver.results.scenarios.test_warnings import scenario

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]


def figures(core: float, *, noise: float = 0.01, processes: int = 3, **changes: Any) -> Any:
    steps = [0.0, -noise, noise, noise / 2, -noise / 2][:processes]
    values = [core * (1 + step) for step in steps]
    spread = {"p_infer_core": {"values": values, "median": core, "cv": noise}}
    return documents.metrics(core, **{"spread": spread, **changes})


@pytest.fixture
def versus(tmp_path: Path) -> Callable[..., Comparison]:
    """Compare a result (A) with another (B) that has the changes of the test."""

    def compared(b: dict[str, Any] | None = None, a: dict[str, Any] | None = None) -> Comparison:
        sides = []
        for day, (name, changes) in enumerate((("a", a or {}), ("b", b or {})), start=1):
            stamp = f"2024-03-0{day}T08:00:00Z"
            when = {"started_utc": stamp, "finished_utc": stamp}
            body = {"metrics": figures(100.0), **when, **changes}
            sides.append(documents.write(tmp_path / name, documents.document(**body)))
        first, second = sides
        (found,) = compare_paths(first, second).made
        return found

    return compared


def provenance(**changes: Any) -> dict[str, Any]:
    """Return a job's provenance with members of its parts replaced."""
    found = documents.provenance(documents.job())
    for part, members in changes.items():
        found[part] = {**found.get(part, {}), **members} if isinstance(members, dict) else members
    return found


def test_equal_results_are_comparable_and_indistinguishable(versus: Any) -> None:
    found = versus()
    assert found.comparable is Comparable.YES
    assert found.verdict is SpeedVerdict.INDISTINGUISHABLE
    assert found.differences == ()
    assert "indistinguishable" in found.sentence()


@pytest.mark.parametrize(
    ("core", "verdict", "words"),
    [
        (120.0, SpeedVerdict.FASTER, "faster by 20.0%"),
        (80.0, SpeedVerdict.SLOWER, "slower by 20.0%"),
    ],
)
def test_a_clear_difference_has_its_size_and_interval(
    versus: Any, core: float, verdict: SpeedVerdict, words: str
) -> None:
    found = versus({"metrics": figures(core)})
    assert found.verdict is verdict
    assert words in found.sentence()
    assert found.interval is not None
    assert found.interval.low <= core / 100 <= found.interval.high
    assert found.whole_ratio == pytest.approx(core / 100)


def test_a_difference_within_the_spread_cannot_be_told(versus: Any) -> None:
    found = versus({"metrics": figures(103.0, noise=0.05)}, {"metrics": figures(100.0, noise=0.05)})
    assert found.verdict is SpeedVerdict.CANNOT_TELL
    assert "cannot tell" in found.sentence()
    assert found.more is not None


def test_what_the_processes_can_show_is_said(versus: Any) -> None:
    quiet = {"metrics": figures(100.0, noise=0.001)}
    found = versus(quiet, quiet)
    assert found.power() == (
        "3 processes of each can show a difference of 4.1%; none below 2.0% counts"
    )
    assert found.more is None
    assert versus({"weights": "synthetic"}).power() is None


@pytest.mark.parametrize(
    ("core", "verdict"), [(110.0, SpeedVerdict.CANNOT_TELL), (120.0, SpeedVerdict.FASTER)]
)
def test_single_processes_are_assumed_to_be_noisy_and_the_answer_says_so(
    versus: Any, core: float, verdict: SpeedVerdict
) -> None:
    found = versus(
        {"metrics": figures(core, processes=1)}, {"metrics": figures(100.0, processes=1)}
    )
    assert found.verdict is verdict
    assert "1 process of each" in found.power()
    assert "assuming noise of 5%" in found.power()


DECIDING = [
    ("case", {"job": documents.job(case="sam")}),
    ("weights", {"weights": "synthetic"}),
    ("weights_digest", {"provenance": provenance(weights={"digest": "f" * 64})}),
    ("data", {"data": "synthetic"}),
    ("dataset", {"provenance": provenance(dataset={"sha256": "f" * 64})}),
    ("core_item", {"core_item": "unet step"}),
    ("chips", {"provenance": provenance(chips=4)}),
    ("onnx", {"provenance": provenance(export={"onnx_sha256": "f" * 64})}),
    ("arithmetic", {"provenance": provenance(effective={"infer": {"arithmetic": "fp32"}})}),
]


@pytest.mark.parametrize(("field", "changes"), DECIDING)
def test_the_field_that_makes_two_results_incomparable_is_named(
    versus: Any, field: str, changes: dict[str, Any]
) -> None:
    found = versus(changes)
    assert found.comparable is Comparable.NO
    severities = {item.field: item.severity for item in found.differences}
    assert severities[field] is Comparable.NO
    assert found.verdict is SpeedVerdict.NONE
    assert not found.passes(0.0)


CAVEATS = [
    ("batch_size", {"job": documents.job(batch_size=32)}),
    ("tier", {"job": documents.job(tier="official"), "metrics": figures(100.0, processes=5)}),
    ("runner", {"job": documents.job(runner="process")}),
    ("clock", {"provenance": provenance(core={"clock": "vendor-tool"})}),
    ("clock", {"provenance": provenance(core={"clock": "hook"})}),
    ("input", {"provenance": provenance(input="tensor")}),
    ("in_flight", {"provenance": provenance(core={"in_flight": 8})}),
    (
        "onnx",
        {"provenance": provenance(export={"onnx_sha256": "f" * 64, "opset": 11})},
    ),
]


@pytest.mark.parametrize(("field", "changes"), CAVEATS)
def test_a_difference_that_matters_less_is_a_caveat(
    versus: Any, field: str, changes: dict[str, Any]
) -> None:
    found = versus(changes)
    assert found.comparable is Comparable.CAVEATS
    assert field in {item.field for item in found.differences}
    assert found.verdict is SpeedVerdict.INDISTINGUISHABLE


@pytest.mark.parametrize("clock", ["vendor-tool", "hook"])
def test_programs_that_time_themselves_are_different_clocks(versus: Any, clock: str) -> None:
    own = provenance(core={"clock": clock})
    other = documents.job(vendor="kunlunxin", engine="xtcl")
    assert versus({"provenance": own}, {"provenance": own}).comparable is Comparable.YES
    found = versus({"provenance": own, "job": other}, {"provenance": own})
    assert {item.field: item.b for item in found.differences} == {
        "clock": f"{clock} (kunlunxin xtcl)"
    }


def test_different_chips_stacks_and_engines_are_comparable(versus: Any) -> None:
    other = documents.job(vendor="kunlunxin", chip="R200", stack="xpu", engine="xtcl")
    key = documents.job()
    found = versus({"job": other, "provenance": documents.provenance(key)})
    assert found.comparable is Comparable.YES


EPYC = "AMD EPYC 9B14, 64 of 64 threads, 64 GiB"
XEON = "Intel Xeon Gold 6348, 64 of 64 threads, 64 GiB"


def of_processors(tmp_path: Path, *cpus: str) -> Comparison:
    stamps = [f"2024-03-0{number + 1}T08:00:00Z" for number in range(2)]
    a, b = (
        documents.write(tmp_path / at, documents.host_result(cpu, started_utc=at, finished_utc=at))
        for cpu, at in zip(cpus, stamps, strict=True)
    )
    (found,) = compare_paths(a, b).made
    return found


def test_two_processors_are_two_chips_and_both_are_named(tmp_path: Path) -> None:
    found = of_processors(tmp_path, "AMD EPYC 9B14", "Intel(R) Xeon(R) Gold 6348")
    assert found.comparable is Comparable.CAVEATS
    (difference,) = [one for one in found.differences if one.field == "processor"]
    assert (difference.a, difference.b) == (EPYC, XEON)
    assert EPYC in found.a.name
    assert XEON in found.b.name
    assert not found.passes(0.5), "a bound is for one processor"


def test_results_of_one_processor_are_compared_as_before(tmp_path: Path) -> None:
    found = of_processors(tmp_path, "AMD EPYC 9B14", "AMD EPYC 9B14")
    assert found.differences == ()
    assert found.passes(0.9)


def test_two_parts_of_a_processor_are_two_chips(tmp_path: Path) -> None:
    a = documents.write(tmp_path / "a", documents.host_result("AMD EPYC 9B14"))
    b = documents.write(tmp_path / "b", documents.host_result("AMD EPYC 9B14", threads=2))
    (found,) = compare_paths(a, b).made
    assert [one.b for one in found.differences] == ["AMD EPYC 9B14, 2 of 64 threads, 64 GiB"]


def test_two_processors_are_never_pooled(tmp_path: Path) -> None:
    for number, cpu in enumerate(("AMD EPYC 9B14", "Intel(R) Xeon(R) Gold 6348")):
        stamp = f"2024-03-0{number + 1}T08:00:00Z"
        body = documents.host_result(cpu, started_utc=stamp, finished_utc=stamp)
        documents.write(tmp_path / "a", body)
        if number == 0:
            documents.write(tmp_path / "b", body)
    found = compare_paths(tmp_path / "a", tmp_path / "b")
    assert [len(pair.a.values) for pair in found.made] == [3]


GATE = {"passed": False, "allowed_relative_drop": 0.01, "reason": "70.0 against 79.3"}
REFUSALS = [
    ({"simulated": True}, "simulated"),
    ({"job": documents.job(tier="smoke")}, "smoke"),
    ({"status": "accuracy_failed", "gate": GATE}, "70.0 against 79.3"),
    (
        {
            "status": "failed",
            "failure": {"kind": "infer", "stage": "infer", "message": "boom", "remedy": "-"},
            "metrics": {"acc_metric": "acc1"},
        },
        "boom",
    ),
]


@pytest.mark.parametrize(("changes", "words"), REFUSALS)
def test_some_results_are_never_compared(versus: Any, changes: dict[str, Any], words: str) -> None:
    for found in (versus(changes), versus({}, changes)):
        assert found.comparable is Comparable.NO
        assert any(words in reason for reason in found.refusals)


def test_an_edited_result_is_never_compared(tmp_path: Path) -> None:
    body = documents.document()
    a = documents.write(tmp_path / "a", body)
    body["metrics"]["p_infer_core"] = 9999.0
    (found,) = compare_paths(a, documents.write(tmp_path / "b", body)).made
    assert found.comparable is Comparable.NO
    assert "edited" in found.refusals[0]


@pytest.mark.parametrize("code", ["throttled", "part_of_device", "host_bound"])
def test_warnings_that_weaken_a_figure_are_caveats(versus: Any, code: str) -> None:
    found = versus({"warnings": documents.warned(code)})
    assert found.comparable is Comparable.CAVEATS
    assert found.caveats == (f"B: warning {code}",)


@pytest.mark.parametrize(("core", "passes"), [(97.5, True), (96.5, False), (120.0, True)])
def test_fail_below_compares_the_ratio_with_a_bound(versus: Any, core: float, passes: bool) -> None:
    assert versus({"metrics": figures(core)}).passes(0.97) is passes


def write_all(root: Path, *keys: dict[str, Any], core: float = 100.0) -> Path:
    for number, key in enumerate(keys):
        started = f"2024-03-0{number + 1}T08:0{core / 100:.0f}:{core % 60:02.0f}Z"
        documents.write(
            root,
            documents.document(
                job=documents.job(**key),
                metrics=figures(core),
                started_utc=started,
                finished_utc=started,
            ),
        )
    return root


def test_folders_are_paired_by_configuration_and_unpaired_results_are_listed(
    tmp_path: Path,
) -> None:
    a = write_all(tmp_path / "a", {"batch_size": 1}, {"batch_size": 2}, {"batch_size": 4})
    b = write_all(tmp_path / "b", {"batch_size": 1}, {"batch_size": 2}, {"case": "sam"}, core=90.0)
    found = compare_paths(a, b)
    assert [pair.a.facts["batch_size"] for pair in found.made] == ["1", "2"]
    assert all(pair.verdict is SpeedVerdict.SLOWER for pair in found.made)
    assert len(found.only_a) == len(found.only_b) == 1
    assert "bs4" in found.only_a[0]
    assert not found.passes(0.5)


def load(name: str = "server", bound_ms: float | None = 15.0, figure: float = 40.0) -> Any:
    """Return what makes a result one of a load scenario."""
    unit = "ms (p90)" if name == "singlestream" else "samples/s"
    found = scenario(name=name, latency_bound_ms=bound_ms, figure=figure, unit=unit)
    return {"metrics": figures(100.0, scenario=found.model_dump())}


@pytest.mark.parametrize("other", [load("offline", None), load(bound_ms=20.0), {}])
def test_only_equal_scenarios_with_equal_bounds_are_compared(versus: Any, other: Any) -> None:
    found = versus(a=load(), b=other)
    assert found.comparable is Comparable.NO
    assert [one.field for one in found.differences] == ["scenario"]
    assert found.load() is None


def test_equal_scenarios_have_the_ratio_of_their_own_figures(versus: Any) -> None:
    found = versus(a=load(), b=load(figure=50.0))
    assert found.comparable is Comparable.YES
    assert "server, 15 ms: B ÷ A = 1.250 (50 and 40 samples/s, more is better" in found.load()


def test_of_latencies_less_is_better(versus: Any) -> None:
    streams = [load("singlestream", None, figure) for figure in (8.0, 6.0)]
    said = versus(a=streams[0], b=streams[1]).load()
    assert "singlestream: B ÷ A = 0.750 (6 and 8 ms (p90), less is better" in said


def test_an_invalid_run_has_no_ratio(versus: Any) -> None:
    found = load()
    found["metrics"]["scenario"]["valid"] = False
    assert versus(a=load(), b=found).load() is None


def test_folders_are_paired_by_scenario(tmp_path: Path) -> None:
    bodies = [load(), load("offline", None), {}]
    found = compare_paths(of_days(tmp_path / "a", *bodies), of_days(tmp_path / "b", *bodies[:2]))
    assert [pair.a.facts["scenario"] for pair in found.made] == ["server, 15 ms", "offline"]
    assert len(found.only_a) == 1


def test_repeated_results_of_one_configuration_are_pooled(tmp_path: Path) -> None:
    a = write_all(tmp_path / "a", {}, {}, {})
    (found,) = compare_paths(a, write_all(tmp_path / "b", {})).made
    assert len(found.a.values) == 9
    assert "3 results" in found.a.name


def of_days(root: Path, *bodies: dict[str, Any]) -> Path:
    """Write results of one job, one a day, with what a test changes of each."""
    for day, changes in enumerate(bodies, start=1):
        stamp = f"2024-03-0{day}T08:00:00Z"
        body = {"metrics": figures(100.0), "started_utc": stamp, "finished_utc": stamp, **changes}
        documents.write(root, documents.document(**body))
    return root


ODD = [
    ("weights", {"provenance": provenance(weights={"digest": "f" * 64})}),
    ("dataset", {"provenance": provenance(dataset={"sha256": "f" * 64})}),
    ("arithmetic", {"provenance": provenance(effective={"infer": {"arithmetic": "fp32"}})}),
    ("clock", {"provenance": provenance(core={"clock": "hook"})}),
    ("threads", {"provenance": provenance(host={"threads": 2})}),
    ("host", {"provenance": provenance(host={"name": "lab-b"})}),
    ("stack", {"job": documents.job(stack="cuda12.4-trt10.4")}),
    ("runner", {"job": documents.job(runner="process")}),
    ("options of the case", {"provenance": provenance(settings={"options": {"steps": 3}})}),
    ("host driver", {"provenance": provenance(device={"driver": "1"})}),
]


@pytest.mark.parametrize(("fact", "changes"), ODD)
def test_results_that_differ_in_a_deciding_fact_are_not_pooled(
    tmp_path: Path, fact: str, changes: dict[str, Any]
) -> None:
    a = of_days(tmp_path / "a", {}, changes)
    found = compare_paths(a, of_days(tmp_path / "b", {"metrics": figures(101.0)}))
    assert [len(pair.a.values) for pair in found.made] == [3]
    assert len(found.only_a) == 1, "what B lacks is said, and fails FAIL_BELOW"
    assert not found.passes(0.5)
    assert len(found.kept_apart) == 1
    assert f"differ in {fact}" in found.kept_apart[0]


def test_tiers_are_not_pooled(tmp_path: Path) -> None:
    other = {"job": documents.job(tier="official"), "metrics": figures(100.0, processes=5)}
    a = of_days(tmp_path / "a", {}, other)
    found = compare_paths(a, of_days(tmp_path / "b", {"metrics": figures(101.0)}))
    assert [len(pair.a.values) for pair in found.made] == [3]


def test_other_weights_than_all_of_the_other_side_are_compared_and_refused(tmp_path: Path) -> None:
    """A folder whose second result had other weights, dataset, arithmetic and clock said "yes"."""
    odd = provenance(
        weights={"digest": "f" * 64},
        dataset={"sha256": "e" * 64},
        effective={"infer": {"arithmetic": "fp32"}},
        core={"clock": "hook"},
    )
    a = of_days(tmp_path / "a", {}, {"provenance": odd})
    other = {"job": documents.job(stack="cuda12.4-trt10.4")}
    found = compare_paths(a, of_days(tmp_path / "b", other))
    assert [pair.comparable for pair in found.made] == [Comparable.YES, Comparable.NO]


def test_official_is_what_ran_not_what_was_asked_for(versus: Any) -> None:
    official = documents.job(tier="official")
    five = {"job": official, "metrics": figures(100.0, processes=5)}
    assert versus(five).a.facts["tier"] == "standard"
    assert versus(five).b.facts["tier"] == "official"
    assert versus({"job": official}).b.facts["tier"] == "standard", "three processes"
    short = {**five, "warnings": documents.warned("too_short")}
    assert versus(short).b.facts["tier"] == "standard"


def test_a_copy_counts_once(tmp_path: Path) -> None:
    body = documents.document()
    for name in ("x", "y"):
        documents.write(tmp_path / "a" / name, body)
    other = documents.document(job=documents.job(chip="T4"))
    (found,) = compare_paths(tmp_path / "a", documents.write(tmp_path / "b", other)).made
    assert len(found.a.values) == 3


def test_different_results_with_one_id_have_no_verdict(tmp_path: Path) -> None:
    a = documents.write(tmp_path / "a", documents.document())
    b = documents.write(tmp_path / "b", documents.document(metrics=figures(1400.0)))
    (found,) = compare_paths(a, b).made
    assert found.comparable is Comparable.NO
    assert "different results have the id" in found.refusals[0]


def test_folders_of_two_chips_are_paired_by_case_precision_and_batch_size(tmp_path: Path) -> None:
    a = write_all(tmp_path / "a", {"batch_size": 1}, {"batch_size": 2})
    b = write_all(tmp_path / "b", *({"batch_size": size, "chip": "T4"} for size in (1, 2)))
    assert [pair.b.facts["batch_size"] for pair in compare_paths(a, b).made] == ["1", "2"]


def test_folders_with_nothing_in_common_are_a_usage_error(tmp_path: Path) -> None:
    a = write_all(tmp_path / "a", {"batch_size": 1}, {"batch_size": 2})
    b = write_all(tmp_path / "b", {"batch_size": 4}, {"batch_size": 8})
    with pytest.raises(UsageFault, match="in common"):
        compare_paths(a, b)


def test_a_folder_without_a_usable_result_says_why(tmp_path: Path) -> None:
    good = documents.write(tmp_path / "a", documents.document())
    bad = tmp_path / "b" / "result.json"
    bad.parent.mkdir()
    bad.write_text("{")
    with pytest.raises(UsageFault, match="not complete JSON"):
        compare_paths(good, bad)


def test_a_published_figure_is_compared_with_a_caveat_that_lists_unstated_facts(
    tmp_path: Path,
) -> None:
    path = documents.write(tmp_path, documents.document(metrics=figures(1500.0)))
    (found,) = compare_published(path, [FIGURE_OF_000]).made
    assert found.comparable is Comparable.CAVEATS
    assert found.ratio == pytest.approx(1500.0 / 1329.2)
    assert found.verdict is SpeedVerdict.FASTER
    assert "dataset" in found.caveats[0]
    assert found.differences == ()


def test_a_published_figure_of_four_chips_is_not_comparable_with_one_chip(tmp_path: Path) -> None:
    path = documents.write(tmp_path, documents.document())
    (found,) = compare_published(path, [FIGURE_OF_000.model_copy(update={"chips": 4})]).made
    assert found.comparable is Comparable.NO


def test_the_number_of_chips_per_card_does_not_matter(versus: Any) -> None:
    """A figure counts one chip, whether its card has one (310P) or four (310)."""
    found = versus({"provenance": provenance(chips_per_card=4)})
    assert found.comparable is Comparable.YES


def test_one_chip_of_a_card_of_four_is_not_the_published_card(tmp_path: Path) -> None:
    four = documents.document(provenance=provenance(chips_per_card=4))
    path = documents.write(tmp_path, four)
    (found,) = compare_published(path, [FIGURE_OF_000.model_copy(update={"chips": 4})]).made
    assert found.comparable is Comparable.NO
    assert [(d.a, d.b) for d in found.differences if d.field == "chips"] == [("4", "1")]


def test_in_flight_is_that_of_the_timed_loop(versus: Any) -> None:
    """The vendor tool that times keeps one in flight, the runtime that predicts reports eight."""
    effective = {"infer": {"arithmetic": "fp16", "in_flight": 8}}
    found = versus({"provenance": provenance(effective=effective)})
    assert found.comparable is Comparable.YES


def test_the_same_batch_size_is_preferred(tmp_path: Path) -> None:
    path = documents.write(tmp_path, documents.document())
    other = FIGURE_OF_000.model_copy(update={"batch_size": 8})
    assert len(compare_published(path, [FIGURE_OF_000, other]).made) == 1
    (found,) = compare_published(path, [other]).made
    assert "batch_size" in {item.field for item in found.differences}


def test_a_case_without_published_figures_is_a_usage_error(tmp_path: Path) -> None:
    path = documents.write(tmp_path, documents.document(job=documents.job(case="vit_digits")))
    with pytest.raises(UsageFault, match="no figure was published"):
        compare_published(path, [FIGURE_OF_000])


def test_comparing_imports_nothing_slow(tmp_path: Path) -> None:
    a = documents.write(tmp_path / "a", documents.document())
    b = documents.write(tmp_path / "b", documents.document(metrics=figures(1400.0)))
    program = (
        "import sys; from pathlib import Path; from driver.compare.pairing import compare_paths; "
        f"compare_paths(Path({str(a)!r}), Path({str(b)!r})); "
        "slow = {'scipy', 'pyarrow', 'jinja2', 'docker', 'rich'} & set(sys.modules); "
        "raise SystemExit(', '.join(slow) or 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
