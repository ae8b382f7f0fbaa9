"""AMD's ``amd-smi``: JSON of three commands, of which two say what does not change.

- ``list -e``: ``hip_id`` and ``hip_uuid``, by which HIP and ROCR_VISIBLE_DEVICES know a device. They may be in
  another order than amd-smi's own numbers (``gpu``), so ``hip_id`` is the device here. Since ROCm 6.4;
- ``static``: ``asic.market_name``, ``driver.version``, ``bus.bdf``;
- ``metric``: memory, power, temperature, use, clocks, energy.

Two layouts are known: a list of GPUs until ROCm 6, ``{"gpu_data": [...]}`` since. A figure is
``{"value": 142, "unit": "W"}``, or "N/A". Lines of text may stand before the document, such as a warning that
the user is not in the group render. MI300 reports no edge temperature, and a clock for each of its dies.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from driver.monitors.reading import MIB, MonitorFormatError, Reading

COMMAND = ("amd-smi",)
LIST = ("list", "-e", "--json")
STATIC = ("static", "--asic", "--bus", "--driver", "--json")
METRIC = ("metric", "--json")
_LARGEST = 1e15
_BYTES = {"B": 1, "KB": 1 << 10, "MB": MIB, "GB": 1 << 30}
"""amd-smi means MiB by MB."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What does not change about a GPU; ``device`` is its number for HIP."""

    device: str
    name: str
    uuid: str
    driver_version: str


def identities(listed: str | None, static: str) -> dict[int, Identity]:
    """Return each GPU by amd-smi's number. ``listed`` is None where this release has no ``list -e``.

    Raises MonitorFormatError where several GPUs have no number for HIP.
    """
    known = {} if listed is None else {_number(entry): entry for entry in _entries(listed)}
    found = {_number(entry): entry for entry in _entries(static)}
    if len(found) > 1 and not all(_is_index(known.get(gpu, {}).get("hip_id")) for gpu in found):
        raise MonitorFormatError(
            "amd-smi does not say which number each GPU has for HIP (`amd-smi list -e`, since ROCm 6.4)"
        )
    shared = _partitioned(found)
    return {
        gpu: _identity(gpu, entry, known.get(gpu, {}), part=gpu in shared)
        for gpu, entry in found.items()
    }


def parse(metric: str, known: dict[int, Identity]) -> tuple[Reading, ...]:
    """Return the readings of the GPUs in ``metric``, under the names that ``identities`` gave them."""
    readings = [_reading(entry, known) for entry in _entries(metric)]
    if not readings:
        raise MonitorFormatError("amd-smi printed no GPU")
    return tuple(sorted(readings, key=lambda reading: int(reading.device)))


def _identity(gpu: int, entry: dict[str, Any], named: dict[str, Any], *, part: bool) -> Identity:
    name = _text(_table(entry, "asic").get("market_name"))
    hip = named.get("hip_id")
    return Identity(
        device=str(hip if _is_index(hip) else gpu),
        # A partition is no whole chip, and has another name than one.
        name=f"{name} partition" if part and name else name,
        uuid=_text(named.get("hip_uuid")) or _text(_table(entry, "bus").get("bdf")),
        driver_version=_text(_table(entry, "driver").get("version")),
    )


def _partitioned(found: dict[int, dict[str, Any]]) -> set[int]:
    """Return the GPUs that share a board's address: its partitions differ in the function alone."""
    boards: dict[str, list[int]] = {}
    for gpu, entry in found.items():
        board = _text(_table(entry, "bus").get("bdf")).rpartition(".")[0]
        if board:
            boards.setdefault(board, []).append(gpu)
    return {gpu for gpus in boards.values() if len(gpus) > 1 for gpu in gpus}


def _reading(entry: dict[str, Any], known: dict[int, Identity]) -> Reading:
    gpu = _number(entry)
    if gpu not in known:
        raise MonitorFormatError(f"amd-smi metric reports GPU {gpu}, which amd-smi static does not")
    named, power = known[gpu], _table(entry, "power")
    memory, temperature = _table(entry, "mem_usage"), _table(entry, "temperature")
    return Reading(
        device=named.device,
        name=named.name,
        uuid=named.uuid,
        driver_version=named.driver_version,
        memory_used_bytes=_bytes(gpu, memory.get("used_vram")),
        memory_total_bytes=_bytes(gpu, memory.get("total_vram")),
        power_w=_first(gpu, power, "socket_power", "current_socket_power", "average_socket_power"),
        temperature_c=_first(gpu, temperature, "hotspot", "edge"),
        utilisation_percent=_first(gpu, _table(entry, "usage"), "gfx_activity"),
        clock_mhz=_clock(gpu, _table(entry, "clock")),
        energy_j=_first(gpu, _table(entry, "energy"), "total_energy_consumption") or None,
    )


def _clock(gpu: int, clocks: dict[str, Any]) -> float | None:
    """Return the fastest clock of the dies: the others may sleep."""
    dies = [_table(clocks, name) for name in clocks if name.startswith("gfx_")]
    return max((value for die in dies if (value := _first(gpu, die, "clk"))), default=None)


def _first(gpu: int, table: dict[str, Any], *names: str) -> float | None:
    """Return the first of these figures that is reported."""
    values = (_figure(gpu, name, table.get(name)) for name in names)
    return next((value for value in values if value is not None), None)


def _figure(gpu: int, name: str, found: Any) -> float | None:
    value = found.get("value") if isinstance(found, dict) else found
    if value is None or value == "N/A":
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < _LARGEST:
        raise MonitorFormatError(f"amd-smi, GPU {gpu}: {name} is {value!r}, not a number")
    return float(value)


def _bytes(gpu: int, found: Any) -> int | None:
    value = _figure(gpu, "memory", found)
    unit = found.get("unit", "MB") if isinstance(found, dict) else "MB"
    if unit not in _BYTES:
        raise MonitorFormatError(f"amd-smi, GPU {gpu}: memory is in {unit!r}")
    return None if value is None else round(value * _BYTES[unit])


def _entries(text: str) -> list[dict[str, Any]]:
    """Return the GPUs of a document, after any lines of text."""
    lines = text.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if line.startswith(("[", "{"))), len(lines))
    try:
        document = json.loads("".join(lines[start:]))
    except ValueError as error:
        said = text.strip()[:160]
        raise MonitorFormatError(f"amd-smi printed no JSON ({error}): {said!r}") from error
    found = document.get("gpu_data") if isinstance(document, dict) else document
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise MonitorFormatError(f"amd-smi printed no list of GPUs: {text.strip()[:160]!r}")
    # A process or a warning may be an entry too.
    return [entry for entry in found if "gpu" in entry]


def _number(entry: dict[str, Any]) -> int:
    if not _is_index(entry["gpu"]):
        raise MonitorFormatError(f"amd-smi numbers a GPU {entry['gpu']!r}")
    return int(entry["gpu"])


def _is_index(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _table(entry: dict[str, Any], name: str) -> dict[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) and value != "N/A" else ""
