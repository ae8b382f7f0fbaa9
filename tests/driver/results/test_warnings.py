"""Each warning is given beyond its limit, not at it, and has a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from driver.models.base import RunnerName, Tier, Warn, WarningCode
from driver.results import warnings

GIVEN = [
    (warnings.unstable("p_infer_core", [90.0, 100.0, 110.0], 0.1), WarningCode.UNSTABLE),
    (warnings.not_steady("infer", 40, 30.0), WarningCode.NOT_STEADY),
    (warnings.too_short("p_infer_core", 9.0, 60.0, False), WarningCode.TOO_SHORT),
    (warnings.few_samples(100), WarningCode.FEW_SAMPLES),
    (warnings.first_call_slow(30_000_000_000, 1e9), WarningCode.FIRST_CALL_SLOW),
    (warnings.host_bound(1000, 700), WarningCode.HOST_BOUND),
    (warnings.input_bound(70.0, 100.0), WarningCode.INPUT_BOUND),
    (warnings.input_bound(70.0, 100.0, 2), WarningCode.INPUT_BOUND),
    (warnings.whole_exceeds_core([130.0, 120.0], [100.0, 110.0]), WarningCode.WHOLE_EXCEEDS_CORE),
    (warnings.throttled([1800, 1800, 1700, 1600, 1500, 1500]), WarningCode.THROTTLED),
    (warnings.device_shared("during", ["4711"], 2**31), WarningCode.DEVICE_SHARED),
    (warnings.implausible_core(30_000.0, 364, 23, 0.5), WarningCode.IMPLAUSIBLE),
    (warnings.implausible_reads(1000.0, 1, 400_000_000, 320e9), WarningCode.IMPLAUSIBLE),
    (warnings.smoke(10), WarningCode.SMOKE),
    (warnings.unpinned("i", base="b:1", base_of_stack="b:1", pinned=False), WarningCode.UNPINNED),
    (
        warnings.unpinned("i", base="b", base_of_stack="b", pinned=True, installers=["a.run"]),
        WarningCode.UNPINNED,
    ),
    (warnings.not_isolated(RunnerName.PROCESS, Tier.STANDARD), WarningCode.NOT_ISOLATED),
    (
        warnings.not_isolated(RunnerName.APPTAINER, Tier.STANDARD, {"network"}),
        WarningCode.NOT_ISOLATED,
    ),
    (warnings.synthetic("synthetic", "real"), WarningCode.SYNTHETIC),
    (warnings.simulated(True), WarningCode.SIMULATED),
    (warnings.implausible_mfu(133.0, "fp16", 1e12), WarningCode.IMPLAUSIBLE),
    (warnings.arithmetic_unread("fp16", "atc states none"), WarningCode.ARITHMETIC_UNREAD),
]

NOT_GIVEN = [
    warnings.unstable("p_infer_core", [99.0, 100.0], 0.05),
    warnings.unstable("p_infer_core", [99.0], None),
    warnings.not_isolated(RunnerName.DOCKER, Tier.STANDARD),
    warnings.not_isolated(RunnerName.APPTAINER, Tier.STANDARD),
    warnings.not_isolated(RunnerName.APPTAINER, Tier.SMOKE, {"network"}),
    warnings.too_short("p_infer_core", 60.0, 60.0, False),
    warnings.too_short("p_infer_core", 9.0, 60.0, True),
    warnings.few_samples(662),
    warnings.first_call_slow(30_000_000_000, 29e9),
    warnings.first_call_slow(20_000_000, 1e6),
    warnings.host_bound(1000, 800),
    warnings.host_bound(1000, None),
    warnings.input_bound(80.0, 100.0),
    warnings.input_bound(None, 100.0),
    warnings.whole_exceeds_core([130.0, 115.0], [100.0, 110.0]),
    warnings.whole_exceeds_core([105.0], [100.0]),
    warnings.whole_exceeds_core([], [100.0]),
    warnings.throttled([1800, 1800, 1800, 1800, 1790, 1780]),
    warnings.throttled([1800, 900]),
    warnings.throttled([0.0] * 9),
    warnings.implausible_mfu(100.0, "fp16", 1e12),
    warnings.arithmetic_unread("fp16", None),
    warnings.implausible_mfu(None, "fp16", 1e12),
    warnings.device_shared("before", []),
    warnings.implausible_core(3_000.0, 364, 23, 0.5),
    warnings.implausible_core(30_000.0, 16, 1, 0.5),
    warnings.implausible_core(None, 364, 23, 0.5),
    warnings.implausible_reads(1000.0, 2, 400_000_000, 320e9),
    warnings.implausible_reads(1000.0, 1, 200_000_000, 100e9),
    warnings.implausible_reads(1000.0, 1, 400_000_000, None),
    warnings.synthetic("published", "real"),
    warnings.simulated(False),
    warnings.unpinned("i", base="b:1@sha256:d", base_of_stack="b:1", pinned=True),
]


@pytest.mark.parametrize(("warning", "code"), GIVEN)
def test_a_warning_beyond_its_limit_has_its_code_and_a_remedy(
    warning: Warn | None, code: WarningCode
) -> None:
    assert warning is not None
    assert warning.code is code
    assert warning.message
    assert warning.remedy


@pytest.mark.parametrize("warning", NOT_GIVEN)
def test_no_warning_at_the_limit(warning: Warn | None) -> None:
    assert warning is None


def test_a_warning_shows_its_value() -> None:
    found = warnings.unstable("p_infer_core", [90.0, 110.0], 0.14)
    assert found is not None
    assert "14.0%" in found.message
    assert "90, 110" in found.message


def test_unpinned_bases_and_installers_are_named() -> None:
    own = warnings.unpinned(
        "assay/acme:1", base="b:1", base_of_stack="b:1", pinned=False, installers=["a.run"]
    )
    lent = warnings.unpinned("assay/acme:1", base="lab/own:1", base_of_stack="b:1", pinned=False)
    assert own is not None
    assert lent is not None
    assert own.message == (
        "assay/acme:1: the base image b:1 has no pinned digest; no sha256 is pinned for a.run"
    )
    assert "make pin" in own.remedy
    assert lent.message == "assay/acme:1: lab/own:1 replaces the stack's own base image b:1"
    assert "BASE=" in lent.remedy


def test_collected_warnings_keep_their_order() -> None:
    first, second = warnings.smoke(None), warnings.simulated(True)
    assert warnings.collected([None, first, None, second]) == (first, second)


@pytest.mark.parametrize("code", WarningCode)
def test_the_manual_explains_every_warning(code: WarningCode) -> None:
    manual = Path(__file__).parents[3] / "docs" / "report.md"
    assert f"`{code}`" in manual.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("threads", "cores"), [(1, "about 24"), (2, "about 48"), (16, "about 381"), (None, "more")]
)
def test_an_input_bound_result_names_the_cores_that_it_would_take(
    threads: int | None, cores: str
) -> None:
    found = warnings.input_bound(420.0, 10_000.0, threads)
    assert found is not None
    assert f"{cores} processor cores" in found.remedy
    assert (cores in found.message) == (threads is not None)
