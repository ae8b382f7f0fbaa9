"""Checks of an engine's outputs: names, shapes, dtypes, and no NaN or Inf."""

from typing import Any, Sequence

import numpy as np

from harness.errors import StageFailure
from harness.job import Arrays, Job, TensorSpec, module_name


class OutputContract:
    """The outputs that job.json declares."""

    def __init__(self, job: Job) -> None:
        self._specs = job.outputs
        self._engine = job.engine
        self._vendor = job.vendor

    def checked(self, outputs: Any, count: int, rows: int) -> Arrays:
        """Check ``outputs`` of a call with ``rows`` items; return the first ``count`` (the rest is padding).

        Raises StageFailure (contract) for a missing output, a wrong shape or dtype.
        """
        kept = {}
        for spec in self._specs:
            array = outputs.get(spec.name) if isinstance(outputs, dict) else None
            if not isinstance(array, np.ndarray):
                raise self._broken(spec, self._missing(spec, outputs))
            shape = (rows * spec.rows_per_item,) + spec.shape if spec.batched else spec.shape
            if array.shape != shape:
                raise self._broken(
                    spec, "has shape {}, expected {}".format(list(array.shape), list(shape))
                )
            if array.dtype.name != host_dtype(spec.dtype):
                raise self._broken(
                    spec, "has dtype {}, expected {}".format(array.dtype, host_dtype(spec.dtype))
                )
            kept[spec.name] = array[: count * spec.rows_per_item] if spec.batched else array
        return kept

    def _missing(self, spec: TensorSpec, outputs: Any) -> str:
        if not isinstance(outputs, dict):
            return "is missing: the engine returned {}, not a dict".format(type(outputs).__name__)
        found = outputs.get(spec.name)
        if found is not None:
            return "is a {}, not a numpy array".format(type(found).__name__)
        return "is missing: the engine returned {}".format(sorted(outputs))

    def _broken(self, spec: TensorSpec, what: str) -> StageFailure:
        return StageFailure(
            "contract",
            "engine {}: output {!r} {}".format(self._engine, spec.name, what),
            "fix engines/{1}.py in the vendor's folder, then: make check VENDOR={0}".format(
                self._vendor, module_name(self._engine)
            ),
        )


def host_dtype(name: str) -> str:
    """The name of the numpy dtype in host memory; numpy has no bfloat16, which is passed as float32."""
    return "float32" if name == "bfloat16" else name


def require_finite(outputs: Arrays, ids: Sequence[str]) -> None:
    """Raise StageFailure (infer) that names output and item when a float output holds NaN or Inf.

    ``ids`` are the items' ids in the order of the rows.
    """
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not _sum_is_finite(array):
            _require_finite_rows(name, array, ids)


def _sum_is_finite(array: np.ndarray) -> bool:
    # NaN and Inf survive a sum, which needs no second array; an overflow gets an exact check.
    kind = np.float32 if array.dtype.itemsize < 4 else None
    with np.errstate(over="ignore", invalid="ignore"):
        return np.isfinite(np.add.reduce(array, axis=None, dtype=kind))


def _require_finite_rows(name: str, array: np.ndarray, ids: Sequence[str]) -> None:
    bad = ~np.isfinite(array)
    count = int(bad.sum())
    if not count:
        return
    row = int(np.argmax(bad.reshape(bad.shape[0], -1).any(axis=1))) if array.ndim else 0
    rows_per_item = max(1, (array.shape[0] if array.ndim else 1) // max(1, len(ids)))
    item = ids[min(row // rows_per_item, len(ids) - 1)]
    value = "NaN" if np.isnan(array).any() else "Inf"
    raise StageFailure(
        "infer",
        "output {!r} holds {} ({} of {} values in its batch), first in item {}".format(
            name, value, count, array.size, item
        ),
        "try a wider precision (PRECISION=fp32); if fp32 gives them too, the engine is at fault",
    )
