"""The export's bench: its document, its verdict, and the memory that its side samples."""

from __future__ import annotations

import sys
import time
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import EnvironmentFault
from tests.bench.bench_export import BOUNDS_S, CASES, document, export, reached, shared_home
from tests.bench.export_side import SAMPLE_S, Peak

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
HOLD = "held = bytearray(b'x') * (64 << 20); print('ready', flush=True); input()"


def sample(wall_s: float, digest: str = "same") -> dict[str, Any]:
    return {
        "wall_s": wall_s,
        "cpu_s": 1.5 * wall_s,
        "peak_mib": 1000.0,
        "written_mib": 672.0,
        "driver_s": 1.0,
        "start_s": 0.5,
        "steps_s": {"build": 4.0, "golden": wall_s - 5.5},
        "digests": {"model.onnx": digest, "model.data": None, "golden.npz": "golden"},
    }


def test_parts_add_up_and_ratios_are_of_rounds() -> None:
    shown = document("vit_b_32", [sample(20.0), sample(22.0)], [sample(40.0), sample(40.0)])
    assert sum(shown["now"]["parts_s"].values()) == pytest.approx(21.0)
    assert shown["now"]["wall_s"] == {"median": 21.0, "min": 20.0, "max": 22.0}
    assert shown["ratio_wall_s"] == {"median": 0.525, "min": 0.5, "max": 0.55}
    assert shown["ratio_peak_mib"]["median"] == 1.0


def test_other_bytes_are_named() -> None:
    shown = document("vit_b_32", [sample(20.0, "now")], [sample(40.0, "before")])
    assert shown["same_bytes"] == {"model.onnx": False, "model.data": True, "golden.npz": True}


def test_without_an_earlier_tree_nothing_is_compared() -> None:
    shown = document("vit_b_32", [sample(20.0)], [])
    assert set(shown) == {"within_s", "now"}


def test_a_case_beyond_its_bound_is_missed() -> None:
    within = document("vit_b_32", [sample(BOUNDS_S["vit_b_32"])], [])
    beyond = document("vit_b_32", [sample(BOUNDS_S["vit_b_32"] + 0.1)], [])
    assert reached({"vit_b_32": within})
    assert not reached({"vit_b_32": within, "sam_h": beyond})
    assert set(BOUNDS_S) == set(CASES)


def test_a_tree_that_cannot_export_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    with pytest.raises(EnvironmentFault, match="ended with 1"):
        export(tmp_path, "vit_b_32")


def test_a_fresh_home_has_the_callers_environments_and_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shared_home(fresh)
    assert (fresh / "venvs").resolve() == tmp_path / "home" / "venvs"
    assert not (fresh / "cache").exists()


def test_the_peak_is_that_of_all_children() -> None:
    with Peak() as peak:
        words = [sys.executable, "-c", HOLD]
        with (
            Popen(words, stdin=PIPE, stdout=PIPE) as one,
            Popen(words, stdin=PIPE, stdout=PIPE) as two,
        ):
            for child in (one, two):
                assert child.stdout is not None
                assert child.stdout.readline() == b"ready\n"
            deadline = time.monotonic() + 30
            while peak.bytes < 128 * MIB and time.monotonic() < deadline:
                time.sleep(0.05)
            one.kill()
            two.kill()
    assert 128 * MIB <= peak.bytes < 192 * MIB


def test_what_ran_before_is_not_counted() -> None:
    with Popen([sys.executable, "-c", HOLD], stdin=PIPE, stdout=PIPE) as earlier:
        assert earlier.stdout is not None
        assert earlier.stdout.readline() == b"ready\n"
        with Peak() as peak:
            time.sleep(5 * SAMPLE_S)
        earlier.kill()
    assert peak.bytes == 0
