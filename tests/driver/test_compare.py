"""Comparison: what may be compared, what differs, and which is faster by how much."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.compare import Comparable, Comparison, Verdict
from driver.errors import UsageFault
from driver.sides import compare_paths, compare_published
from tests import documents
from tests.driver.seed_figure import SEED_000

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


def figures(core: float, *, noise: float = 0.01, processes: int = 3, **changes: Any) -> Any:
    steps = [0.0, -noise, noise, noise / 2, -noise / 2][:processes]
    values = [core * (1 + step) for step in steps]
    spread = {"p_infer_core": {"values": values, "median": core, "cv": noise}}
    return documents.metrics(core, **{"spread": spread, **changes})


@pytest.fixture
def versus(tmp_path: Path) -> Callable[..., Comparison]:
    """Compare a result (A) with another (B) that differs from it in what the test says."""

    def compared(b: dict[str, Any] | None = None, a: dict[str, Any] | None = None) -> Comparison:
        sides = []
        for day, (name, changes) in enumerate((("a", a or {}), ("b", b or {})), start=1):
            stamp = f"2024-03-0{day}T08:00:00Z"
            when = {"started_utc": stamp, "finished_utc": stamp}
            body = {"metrics": figures(100.0), **when, **changes}
            sides.append(documents.write(tmp_path / name, documents.document(**body)))
        (found,) = compare_paths(*sides).made
        return found

    return compared


def provenance(**changes: Any) -> dict[str, Any]:
    """Return a job's provenance with members of its parts replaced."""
    found = documents.provenance(documents.job())
    for part, members in changes.items():
        found[part] = {**found[part], **members} if isinstance(members, dict) else members
    return found


def test_equal_results_are_comparable_and_indistinguishable(versus: Any) -> None:
    found = versus()
    assert found.comparable is Comparable.YES
    assert found.verdict is Verdict.INDISTINGUISHABLE
    assert found.differences == ()
    assert "indistinguishable" in found.sentence()


@pytest.mark.parametrize(
    ("core", "verdict", "words"),
    [(120.0, Verdict.FASTER, "faster by 20.0%"), (80.0, Verdict.SLOWER, "slower by 20.0%")],
)
def test_a_clear_difference_has_its_size_and_interval(
    versus: Any, core: float, verdict: Verdict, words: str
) -> None:
    found = versus({"metrics": figures(core)})
    assert found.verdict is verdict
    assert words in found.sentence()
    assert found.interval is not None
    assert found.interval.low <= core / 100 <= found.interval.high
    assert found.whole_ratio == pytest.approx(core / 100)


def test_a_difference_within_the_spread_is_none(versus: Any) -> None:
    found = versus({"metrics": figures(103.0, noise=0.05)}, {"metrics": figures(100.0, noise=0.05)})
    assert found.verdict is Verdict.INDISTINGUISHABLE


@pytest.mark.parametrize(
    ("core", "verdict"), [(104.0, Verdict.INDISTINGUISHABLE), (106.0, Verdict.FASTER)]
)
def test_single_processes_have_no_interval_and_5_percent_of_noise(
    versus: Any, core: float, verdict: Verdict
) -> None:
    found = versus(
        {"metrics": figures(core, processes=1)}, {"metrics": figures(100.0, processes=1)}
    )
    assert found.interval is None
    assert found.verdict is verdict
    assert "no interval" in found.sentence()


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
def test_what_makes_two_results_incomparable_is_named(
    versus: Any, field: str, changes: dict[str, Any]
) -> None:
    found = versus(changes)
    assert found.comparable is Comparable.NO
    severities = {item.field: item.severity for item in found.differences}
    assert severities[field] is Comparable.NO
    assert found.verdict is Verdict.NONE
    assert not found.passes(0.0)


CAVEATS = [
    ("batch_size", {"job": documents.job(batch_size=32)}),
    ("tier", {"job": documents.job(tier="official")}),
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
def test_what_a_reader_must_know_is_a_caveat(
    versus: Any, field: str, changes: dict[str, Any]
) -> None:
    found = versus(changes)
    assert found.comparable is Comparable.CAVEATS
    assert field in {item.field for item in found.differences}
    assert found.verdict is Verdict.INDISTINGUISHABLE


@pytest.mark.parametrize("clock", ["vendor-tool", "hook"])
def test_two_programs_that_timed_themselves_are_two_clocks(versus: Any, clock: str) -> None:
    own = provenance(core={"clock": clock})
    other = documents.job(vendor="kunlunxin", engine="xtcl")
    assert versus({"provenance": own}, {"provenance": own}).comparable is Comparable.YES
    found = versus({"provenance": own, "job": other}, {"provenance": own})
    assert {item.field: item.b for item in found.differences} == {
        "clock": f"{clock} (kunlunxin xtcl)"
    }


def test_another_chip_stack_or_engine_is_what_is_compared(versus: Any) -> None:
    other = documents.job(vendor="kunlunxin", chip="R200", stack="xpu", engine="xtcl")
    key = documents.job()
    found = versus({"job": other, "provenance": documents.provenance(key)})
    assert found.comparable is Comparable.YES


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


def test_doubtful_warnings_are_caveats(versus: Any) -> None:
    warning = {"code": "throttled", "message": "m", "remedy": "r"}
    found = versus({"warnings": [warning]})
    assert found.comparable is Comparable.CAVEATS
    assert found.doubts == ("B: warning throttled",)


@pytest.mark.parametrize(("core", "passes"), [(97.5, True), (96.5, False), (120.0, True)])
def test_fail_below_is_for_a_vendors_ci(versus: Any, core: float, passes: bool) -> None:
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


def test_folders_are_paired_by_configuration_and_the_rest_is_told(tmp_path: Path) -> None:
    a = write_all(tmp_path / "a", {"batch_size": 1}, {"batch_size": 2}, {"batch_size": 4})
    b = write_all(tmp_path / "b", {"batch_size": 1}, {"batch_size": 2}, {"case": "sam"}, core=90.0)
    found = compare_paths(a, b)
    assert [pair.a.facts["batch_size"] for pair in found.made] == ["1", "2"]
    assert all(pair.verdict is Verdict.SLOWER for pair in found.made)
    assert len(found.only_a) == len(found.only_b) == 1
    assert "bs4" in found.only_a[0]
    assert not found.passes(0.5)


def test_repeated_results_of_one_configuration_are_pooled(tmp_path: Path) -> None:
    a = write_all(tmp_path / "a", {}, {}, {})
    (found,) = compare_paths(a, write_all(tmp_path / "b", {})).made
    assert len(found.a.values) == 9
    assert "3 results" in found.a.name


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


def test_folders_of_two_chips_are_paired_by_their_work(tmp_path: Path) -> None:
    a = write_all(tmp_path / "a", {"batch_size": 1}, {"batch_size": 2})
    b = write_all(tmp_path / "b", *({"batch_size": size, "chip": "T4"} for size in (1, 2)))
    assert [pair.b.facts["batch_size"] for pair in compare_paths(a, b).made] == ["1", "2"]


def test_folders_without_common_work_are_the_users_mistake(tmp_path: Path) -> None:
    a = write_all(tmp_path / "a", {"batch_size": 1}, {"batch_size": 2})
    b = write_all(tmp_path / "b", {"batch_size": 4}, {"batch_size": 8})
    with pytest.raises(UsageFault, match="in common"):
        compare_paths(a, b)


def test_a_folder_without_a_usable_result_says_why(tmp_path: Path) -> None:
    good = documents.write(tmp_path / "a", documents.document())
    bad = tmp_path / "b" / "result.json"
    bad.parent.mkdir()
    bad.write_text("{")
    with pytest.raises(UsageFault, match="not whole JSON"):
        compare_paths(good, bad)


def test_a_published_figure_is_compared_with_caveats_that_say_what_is_unstated(
    tmp_path: Path,
) -> None:
    path = documents.write(tmp_path, documents.document(metrics=figures(1500.0)))
    (found,) = compare_published(path, [SEED_000]).made
    assert found.comparable is Comparable.CAVEATS
    assert found.ratio == pytest.approx(1500.0 / 1329.2)
    assert found.verdict is Verdict.FASTER
    assert "dataset" in found.doubts[0]
    assert found.differences == ()


def test_a_published_figure_of_four_chips_is_not_one_chips(tmp_path: Path) -> None:
    path = documents.write(tmp_path, documents.document())
    (found,) = compare_published(path, [SEED_000.model_copy(update={"chips": 4})]).made
    assert found.comparable is Comparable.NO


def test_two_chips_are_compared_whatever_their_cards_carry(versus: Any) -> None:
    """A figure is one chip's: an Ascend 310 lies on a card of four, a 310P has its own."""
    found = versus({"provenance": provenance(chips_per_card=4)})
    assert found.comparable is Comparable.YES


def test_one_chip_of_a_card_of_four_is_not_the_published_card(tmp_path: Path) -> None:
    four = documents.document(provenance=provenance(chips_per_card=4))
    path = documents.write(tmp_path, four)
    (found,) = compare_published(path, [SEED_000.model_copy(update={"chips": 4})]).made
    assert found.comparable is Comparable.NO
    assert [(d.a, d.b) for d in found.differences if d.field == "chips"] == [("4", "1")]


def test_what_the_loop_had_in_flight_counts_not_what_another_runtime_would(versus: Any) -> None:
    """A vendor's tool measures with one; the runtime that predicts says two of itself."""
    effective = {"infer": {"arithmetic": "fp16", "in_flight": 8}}
    found = versus({"provenance": provenance(effective=effective)})
    assert found.comparable is Comparable.YES


def test_the_same_batch_size_is_preferred(tmp_path: Path) -> None:
    path = documents.write(tmp_path, documents.document())
    other = SEED_000.model_copy(update={"batch_size": 8})
    assert len(compare_published(path, [SEED_000, other]).made) == 1
    (found,) = compare_published(path, [other]).made
    assert "batch_size" in {item.field for item in found.differences}


def test_a_case_that_nobody_published_is_the_users_mistake(tmp_path: Path) -> None:
    path = documents.write(tmp_path, documents.document(job=documents.job(case="vit_digits")))
    with pytest.raises(UsageFault, match="nobody published"):
        compare_published(path, [SEED_000])


def test_comparing_loads_nothing_that_takes_long(tmp_path: Path) -> None:
    a = documents.write(tmp_path / "a", documents.document())
    b = documents.write(tmp_path / "b", documents.document(metrics=figures(1400.0)))
    program = (
        "import sys; from pathlib import Path; from driver.sides import compare_paths; "
        f"compare_paths(Path({str(a)!r}), Path({str(b)!r})); "
        "slow = {'scipy', 'pyarrow', 'jinja2', 'docker', 'rich'} & set(sys.modules); "
        "raise SystemExit(', '.join(slow) or 0)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
