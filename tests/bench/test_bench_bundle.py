"""The bundle's bench: what misses a bound is named, and its steps are those of a bundle's life."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.bench.bench_bundle import MOST_MIB, make_files, measure, missed, timed
from tests.disk import require_disk

if TYPE_CHECKING:
    from pathlib import Path


def test_what_misses_its_bound_is_named() -> None:
    found = {
        "bundle_ratio": 0.4,
        "load_ratio": 0.6,
        "load_peak_mib": 301.0,
        "verify_peak_mib": 40.0,
    }
    assert missed(found) == ["bundle_ratio", "load_peak_mib"]


def test_the_files_have_the_size_that_was_asked_for(tmp_path: Path) -> None:
    make_files(tmp_path / "files", 1_000_001)
    assert sum(path.stat().st_size for path in (tmp_path / "files").iterdir()) == 1_000_001


def test_the_memory_of_whoever_measures_is_not_counted(tmp_path: Path) -> None:
    held = b"x" * (400 << 20)
    _, peak_mib = timed(["true"], tmp_path)
    assert peak_mib < 100 < len(held)


def test_a_small_bundle_goes_all_the_way(tmp_path: Path) -> None:
    found = measure(tmp_path, 2_000_000)
    assert {"bundle_ratio", "verify_ratio", "load_ratio"} <= set(found)
    assert (tmp_path / "loaded" / ".assay" / "datasets" / "bench" / "0000.bin").is_file()


@pytest.mark.slow
@pytest.mark.disk
@pytest.mark.parametrize("gigabytes", [1, 4])
def test_bundles_of_many_gb_take_less_than_300_mib_of_memory(
    tmp_path: Path, gigabytes: float
) -> None:
    total_bytes = int(gigabytes * 1e9)
    # The bundle, and the files or what is loaded.
    require_disk(tmp_path, 2 * total_bytes)
    found = measure(tmp_path, total_bytes)
    shutil.rmtree(tmp_path)
    assert all(value <= MOST_MIB for key, value in found.items() if key.endswith("_mib"))
