"""What a precision that quantizes is calibrated on: never what its accuracy is measured on. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from driver.errors import UsageFault
from driver.models.job import QuantizeJob

if TYPE_CHECKING:
    from driver.catalog.catalog import Case
    from driver.models.vendor import PrecisionSpec

GENERATED = 64
"""Pictures of a synthetic dataset's series, numbered after those of the dataset."""
PICTURES = "imagefolder"
SYNTHETIC = "synthetic"


def require_calibration(case: Case, name: str, precision: PrecisionSpec, data: str | None) -> None:
    """Raise UsageFault where a precision quantizes and the case has nothing to calibrate on."""
    if can_calibrate(case, precision, data):
        return
    remedy = "use another PRECISION"
    if case.manifest.data.layout == PICTURES:
        remedy = "use DATA=synthetic, which generates some, or another PRECISION"
    raise UsageFault(
        f"{name} is calibrated on items on which no accuracy is measured, and case {case.name} has none",
        f"{remedy}; [calibration] of case.toml names them",
    )


def can_calibrate(case: Case, precision: PrecisionSpec, data: str | None) -> bool:
    """Return whether a precision needs no calibration, or the case has what to calibrate on."""
    manifest = case.manifest
    generated = data == SYNTHETIC and manifest.data.layout == PICTURES
    return precision.quantize is None or manifest.calibration is not None or generated


def quantize_job(case: Case, precision: PrecisionSpec, data_kind: str) -> QuantizeJob | None:
    """Return what the export calibrates on, None for a precision that does not quantize."""
    quantized = precision.quantize
    if quantized is None:
        return None
    spec = case.manifest.calibration
    if data_kind == SYNTHETIC or spec is None:
        series = case.manifest.data.synthetic
        generated = series.model_dump() | {"count": GENERATED, "first": series.count}
        return QuantizeJob(precision=quantized, generated=generated)
    return QuantizeJob(precision=quantized, bundled=spec.bundled)
