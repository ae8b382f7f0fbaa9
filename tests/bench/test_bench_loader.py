"""The bench of the input pipeline: equal bits on real pictures, its ratios, its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from driver.errors import AssayError, EnvironmentFault
from driver.system.settings import ROOT
from tests.bench.bench_loader import Bench, Sample, document, reached, repeat, write_pictures

if TYPE_CHECKING:
    from pathlib import Path


def sample(rate: float, cpu_ms: float = 1.0, sha256: str = "same", off: float = 0.0) -> Sample:
    return Sample(pictures=1000, wall_s=1000 / rate, cpu_s=cpu_ms, faults=0, sha256=sha256, off=off)


def found(**changed: Sample) -> dict[tuple[str, int], list[Sample]]:
    sides = {
        "assay1": sample(400),
        "pillow1": sample(200, 2.0),
        "assay2": sample(760),
        "pillow2": sample(380, 2.0),
        **changed,
    }
    return {(name[:-1], int(name[-1])): [one] for name, one in sides.items()}


def test_the_ratios_are_of_pairs_of_the_same_round() -> None:
    shown: Any = document(found())
    assert shown["assay_over"]["pillow"] == {
        "1": {"median": 2.0, "min": 2.0, "max": 2.0},
        "2": {"median": 2.0, "min": 2.0, "max": 2.0},
    }
    assert shown["scaling"]["assay"]["2"]["median"] == 0.95
    assert shown["sides"]["pillow × 1"]["cpu_ms_per_picture"]["median"] == 2.0
    assert reached(shown)


@pytest.mark.parametrize(
    "changed", [{"pillow1": sample(200, 1.9)}, {"assay2": sample(719)}], ids=["pillow", "scaling"]
)
def test_each_aim_can_be_missed(changed: dict[str, Sample]) -> None:
    assert not reached(document(found(**changed)))


def test_tensors_that_differ_are_a_defect_and_no_figure() -> None:
    with pytest.raises(AssayError, match="tensors differ"):
        document(found(pillow2=sample(380, 2.0, "other")))


def test_dali_s_tensors_may_differ_and_say_by_how_much() -> None:
    dali = {"dali1": sample(500, sha256="own", off=0.002), "dali2": sample(800, sha256="own")}
    shown: Any = document(found(**dali))
    assert shown["dali_differs_by"] == 0.002
    assert shown["assay_over"]["dali"]["1"]["median"] == 0.8
    assert shown["scaling"]["dali"]["2"]["median"] == 0.8
    assert "dali_differs_by" not in document(found())


@pytest.mark.parametrize("off", [0.0049, float("nan")], ids=["another filter", "no numbers"])
def test_a_dali_that_prepares_something_else_is_no_side(off: float) -> None:
    with pytest.raises(AssayError, match="prepares something else"):
        document(found(dali1=sample(500, sha256="own", off=off)))


def test_the_loader_gives_the_bits_of_plain_pillow(tmp_path: Path) -> None:
    write_pictures(tmp_path, 8)
    repeat(tmp_path, 64)
    # This tree is its own earlier one: the side `before` runs the same loader.
    bench = Bench(dataset=tmp_path, seconds=1, before=ROOT)
    ours, theirs = bench.run("before", 2), bench.run("pillow", 1)
    assert ours.sha256 == theirs.sha256
    assert min(ours.pictures, theirs.pictures) > 0


@pytest.mark.parametrize("side", ["torchvision", "dali"])
def test_a_python_without_a_side_is_the_machine_s_fault(tmp_path: Path, side: str) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho no module >&2\nexit 1\n", encoding="utf-8")
    fake.chmod(0o755)
    bench = Bench(dataset=tmp_path, seconds=1, torchvision=str(fake), dali=str(fake))
    with pytest.raises(EnvironmentFault, match="no module") as caught:
        bench.run(side, 1)
    assert caught.value.remedy.startswith(f"leave --{side} out")
