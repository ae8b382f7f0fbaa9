"""The contract of an engine's outputs: names, shapes, dtypes, and no NaN or Inf."""

import numpy as np

from harness.errors import StageFailure
from harness.job import module_name


class OutputContract:
    """What job.json says the outputs are; ``engine`` and ``vendor`` are for the messages."""

    def __init__(self, job):
        self._specs = job.outputs
        self._engine = job.engine
        self._vendor = job.vendor

    def checked(self, outputs, count, rows):
        """``outputs`` of a call with ``rows`` items, cut to the first ``count`` (the rest is padding).

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

    def _missing(self, spec, outputs):
        if not isinstance(outputs, dict):
            return "is missing: the engine returned {}, not a dict".format(type(outputs).__name__)
        found = outputs.get(spec.name)
        if found is not None:
            return "is a {}, not a numpy array".format(type(found).__name__)
        return "is missing: the engine returned {}".format(sorted(outputs))

    def _broken(self, spec, what):
        return StageFailure(
            "contract",
            "engine {}: output {!r} {}".format(self._engine, spec.name, what),
            "mend engines/{1}.py of the vendor's folder, then: make check VENDOR={0}".format(
                self._vendor, module_name(self._engine)
            ),
        )


def host_dtype(name):
    """The numpy dtype's name in host memory: bfloat16 has none in numpy and is handed over as fp32."""
    return "float32" if name == "bfloat16" else name


def require_finite(outputs, ids):
    """Raise StageFailure (infer) naming output and item when a float output holds NaN or Inf.

    ``ids`` are the items' ids in the order of the rows.
    """
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not _sum_is_finite(array):
            _require_finite_rows(name, array, ids)


def _sum_is_finite(array):
    # NaN and Inf survive a sum, and a sum needs no second array; an overflow is looked at again.
    kind = np.float32 if array.dtype.itemsize < 4 else None
    with np.errstate(over="ignore", invalid="ignore"):
        return np.isfinite(np.add.reduce(array, axis=None, dtype=kind))


def _require_finite_rows(name, array, ids):
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
        "try a wider arithmetic (PRECISION=fp32); if fp32 does it too, the engine is at fault",
    )
