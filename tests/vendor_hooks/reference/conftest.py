"""Exports of vit_digits in every form, made once; and job folders of the reference hook."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from driver.datasets.image_folder import list_image_folder
from tests.harness.job_folder import JobFolder, Outcome, write_files
from tests.vendor_hooks.reference.stack import CASES, HOOK, probe, reference_stack

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = 10
BATCH = 4
FORMS = [(opset, batch) for opset in (18, 17, 13, 11) for batch in ("dynamic", "static")]
PROBES = Path(__file__).with_name("probes")


def digits_job(folder: Path, **changes: Any) -> JobFolder:
    """Write an export of vit_digits: committed weights, the first test pictures."""
    case = CASES / "vit_digits"
    manifest = tomllib.loads((case / "case.toml").read_text(encoding="utf-8"))
    settings: dict[str, Any] = {
        "batch_size": BATCH,
        "inputs": manifest["model"]["inputs"],
        "outputs": manifest["model"]["outputs"],
        "preprocess": manifest["preprocess"]["default"],
        "golden_count": GOLDEN,
        "weights_format": "huggingface",
        "data": "real",
    }
    job = JobFolder(folder, hook=HOOK, case=case, **(settings | changes))
    pictures, _ = list_image_folder(case / "data", [".png"])
    write_files(job.data, [picture.path.read_bytes() for picture in pictures[:GOLDEN]])
    (folder / "weights").symlink_to(case / "weights")
    return job


@pytest.fixture(scope="session")
def reference_python() -> Path:
    """Return the reference stack's Python, or skip."""
    python, why = reference_stack()
    if python is None:
        pytest.skip(why)
    return python


@pytest.fixture
def make_digits(tmp_path: Path) -> Callable[..., JobFolder]:
    """Return what makes a vit_digits job folder below tmp_path."""
    return lambda **changes: digits_job(tmp_path / "job", **changes)


@pytest.fixture(scope="session")
def exports(
    reference_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, str], Outcome]:
    """Return an export of vit_digits in each of FORMS, made by one process to save its imports."""
    root = tmp_path_factory.mktemp("exports")
    jobs = {
        (opset, batch): digits_job(
            root / f"{opset}-{batch}", export={"opset": opset, "batch": batch}
        )
        for opset, batch in FORMS
    }
    for job in jobs.values():
        job.write_job("export")
    statuses = probe(
        reference_python, PROBES / "export_all.py", *(str(job.folder) for job in jobs.values())
    )
    return {
        form: job.outcome(status, "see the probe's output")
        for (form, job), status in zip(jobs.items(), statuses, strict=True)
    }


@pytest.fixture(scope="session")
def graphs(
    exports: dict[tuple[int, str], Outcome], reference_python: Path
) -> dict[tuple[int, str], dict[str, Any]]:
    """Return what onnx reads in each exported file."""
    paths = [str(outcome.out / "model" / "model.onnx") for outcome in exports.values()]
    described = probe(reference_python, PROBES / "describe_onnx.py", *paths)
    return dict(zip(exports, described, strict=True))
