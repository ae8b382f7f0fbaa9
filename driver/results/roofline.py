"""Where a result stands between its chip's two limits: arithmetic and memory bandwidth. Pure.

The roofline model (Williams, Waterman, Patterson: CACM 52 (4), 2009) bounds the rate of operations by
``min(peak, intensity × bandwidth)``. The traffic behind the intensity is the least that a call can
cause: it reads the parameters and the inputs once and writes the outputs once; of embedding tables, it reads
each item's rows. Activations are not counted, so the real intensity is at most this one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from driver.models.base import ELEMENT_BYTES
from driver.results.figures import OPERATIONS_PER_MAC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from driver.models.case import ModelSpec, TensorSpec
    from driver.models.result import Result

MOVED = ("input_elements", "output_elements", "looked_up_elements")
"""What a call moves for each of its items, in elements; names in ``provenance.work``."""

SAME_MEMORY = 0.75
"""A device whose memory is not within this fraction of the chip's, either way, is another variant."""


class Roofline(NamedTuple):
    """``intensity`` in operations/byte, ``achieved`` and ``peak`` in operations/s, ``bandwidth`` in bytes/s."""

    intensity: float | None = None
    achieved: float | None = None
    peak: float | None = None
    bandwidth: float | None = None


def work_of(model: ModelSpec) -> dict[str, int]:
    """Return what one core item costs, for the result: MACs, parameters, elements in and out, and looked up."""
    work = {
        "macs": model.macs,
        "parameters": model.parameters,
        "input_elements": _elements(model.inputs),
        "output_elements": _elements(model.outputs),
    }
    if model.lookups is not None:
        work["table_parameters"] = model.lookups.parameters
        work["looked_up_elements"] = model.lookups.elements
    return work


def weights_read(model: ModelSpec, *, generates: bool) -> int:
    """Return how many parameters every call reads, whatever its items are; not the tables that they look up.

    A language model that ``generates`` reads a few rows of its embedding: as many weights as a token has
    products.
    """
    tables = 0 if model.lookups is None else model.lookups.parameters
    read = model.parameters - tables
    return min(read, model.macs) if generates else read


def _elements(tensors: Iterable[TensorSpec]) -> int:
    return sum(
        math.prod(tensor.shape) * tensor.rows_per_item for tensor in tensors if tensor.batched
    )


def roofline_of(result: Result) -> Roofline:
    """Return the result's place under its chip's roofline.

    Nothing is known without p_infer_core, the work of an item and the chip's peak for the arithmetic
    that ran. The bandwidth alone may be unknown.
    """
    arithmetic = _arithmetic(result.provenance)
    chip = _table(result.provenance, "chip")
    peak = _number(_table(chip, "peaks"), arithmetic)
    work = _table(result.provenance, "work")
    counts = [_number(work, name) for name in ("macs", "parameters")]
    core = result.metrics.p_infer_core
    if arithmetic not in ELEMENT_BYTES or core is None or peak is None or None in counts:
        return Roofline()
    macs, parameters = (count or 0.0 for count in counts)
    size = result.job.batch_size
    moved = sum(_number(work, name) or 0.0 for name in MOVED)
    read = max(0.0, parameters - (_number(work, "table_parameters") or 0.0))
    traffic = ELEMENT_BYTES[arithmetic] * (read + size * moved)
    return Roofline(
        intensity=OPERATIONS_PER_MAC * macs * size / traffic if traffic else None,
        achieved=OPERATIONS_PER_MAC * macs * core,
        peak=peak,
        bandwidth=bandwidth(
            _number(chip, "memory_bandwidth"),
            _number(chip, "memory_gib"),
            result.metrics.mem_total_gib,
        ),
    )


def bandwidth(
    listed: float | None, known_gib: float | None, seen_gib: float | None
) -> float | None:
    """Return a chip's listed bandwidth, None for a device with another amount of memory (A100: 40, 80 GB)."""
    if not known_gib or not seen_gib or not SAME_MEMORY <= seen_gib / known_gib <= 1 / SAME_MEMORY:
        return None
    return listed


def _arithmetic(provenance: Mapping[str, Any]) -> str:
    read_back = _table(_table(provenance, "effective"), "infer").get("arithmetic")
    return str(read_back or provenance.get("arithmetic") or "")


def _table(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = found.get(name)
    return inner if isinstance(inner, dict) else {}


def _number(found: Mapping[str, Any], name: str) -> float | None:
    value = found.get(name)
    return float(value) if isinstance(value, int | float) and value > 0 else None
