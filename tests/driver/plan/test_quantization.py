"""What a quantized graph is calibrated on: the case's own pictures, or generated ones; never the dataset."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from driver.catalog.catalog import Catalog, load_catalog
from driver.errors import UsageFault
from driver.plan.choice import choose
from driver.plan.job import plan_job
from tests.driver.miniature import make_tree
from tests.driver.plan.test_job import HOST, MATERIAL, ask

if TYPE_CHECKING:
    from pathlib import Path

    from driver.plan.job import PlannedJob

INT8 = """
[engines.whole]
stacks = ["v1"]
default_precision = "fp32"
[engines.whole.precisions]
fp32 = { arithmetic = "fp32" }
int8 = { arithmetic = "int8", quantize = "int8" }
fp8 = { arithmetic = "fp8", quantize = "fp8" }
"""
CALIBRATION = '[calibration]\nbundled = "pictures"\nsource = "mine"\n[metric]'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    manifest = make_tree(tmp_path) / "vendor_hooks/acme/vendor.toml"
    manifest.write_text(manifest.read_text(encoding="utf-8") + INT8, encoding="utf-8")
    return tmp_path


@pytest.fixture
def catalog(tree: Path) -> Catalog:
    return load_catalog(tree)


@pytest.fixture
def calibrated(tree: Path) -> Catalog:
    case = tree / "cases/tiny/case.toml"
    text = case.read_text(encoding="utf-8")
    assert "[metric]" in text
    case.write_text(text.replace("[metric]", CALIBRATION), encoding="utf-8")
    return load_catalog(tree)


def planned(catalog: Catalog, precision: str, data: str | None, kind: str = "real") -> PlannedJob:
    material = replace(MATERIAL, data_kind=kind)  # type: ignore[arg-type]
    choice = choose(ask(engine="whole", precision=precision, data=data), catalog)
    return plan_job(choice, material, HOST)


def test_a_case_without_calibration_pictures_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UsageFault, match="case tiny has none") as caught:
        planned(catalog, "int8", None)
    assert caught.value.remedy.startswith("use DATA=synthetic, which generates some")


def test_synthetic_data_are_calibrated_on_pictures_after_their_own(catalog: Catalog) -> None:
    job = planned(catalog, "int8", "synthetic", "synthetic").template
    assert job.quantize is not None
    series = job.quantize.generated
    assert series["first"] == choose(ask(), catalog).case.manifest.data.synthetic.count
    assert job.quantize.bundled is None


def test_real_data_are_calibrated_on_the_cases_pictures(calibrated: Catalog) -> None:
    job = planned(calibrated, "int8", None).template
    assert job.quantize is not None
    assert (job.quantize.precision, job.quantize.bundled) == ("int8", "pictures")


def test_each_precision_that_quantizes_is_an_export_of_its_own(calibrated: Catalog) -> None:
    jobs = [planned(calibrated, name, None) for name in ("fp32", "int8", "fp8")]
    assert jobs[0].template.quantize is None
    assert len({job.export_key for job in jobs}) == len(jobs), "each has a graph of its own"
    assert len({job.golden_key for job in jobs}) == 1
