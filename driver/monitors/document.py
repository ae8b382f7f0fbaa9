"""A vendor's own monitor: one JSON document with a list of devices (docs/manifests.md).

An absent key, or null, is a figure that the device does not report. An unknown key is refused: a
misspelt figure would otherwise be lost silently.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from driver.errors import nearest
from driver.monitors.reading import MonitorFormatError, Reading

TEXTS = ("device", "name", "uuid", "driver_version")
BYTES = ("memory_used_bytes", "memory_total_bytes")
KEYS = tuple(field.name for field in fields(Reading))
_LARGEST = 1e18


def parse(text: str) -> tuple[Reading, ...]:
    """Read ``{"devices": [{"device": "0", …}]}``; the keys of a device are those of ``Reading``."""
    try:
        document = json.loads(text)
    except ValueError as error:
        said = text.strip()[:160]
        raise MonitorFormatError(f"the monitor printed no JSON ({error}): {said!r}") from error
    if not isinstance(document, dict) or not isinstance(document.get("devices"), list):
        raise MonitorFormatError('the monitor must print {"devices": [{"device": "0", …}]}')
    _require_known("the document", document, ("devices",))
    readings = tuple(_reading(index, entry) for index, entry in enumerate(document["devices"]))
    names = [reading.device for reading in readings]
    if len(set(names)) < len(names):
        raise MonitorFormatError(f"the monitor lists a device twice: {', '.join(names)}")
    return readings


def _reading(index: int, entry: object) -> Reading:
    where = f"devices[{index}]"
    if not isinstance(entry, dict):
        raise MonitorFormatError(f"the monitor's {where} is not an object: {entry!r}")
    _require_known(where, entry, KEYS)
    given = {name: value for name, value in entry.items() if value is not None}
    if "device" not in given:
        raise MonitorFormatError(f'the monitor\'s {where} has no "device", the index as a string')
    return Reading(**{name: _value(where, name, value) for name, value in given.items()})


def _value(where: str, name: str, value: Any) -> Any:
    if name in TEXTS:
        if isinstance(value, str):
            return value
        raise MonitorFormatError(f"the monitor's {where}.{name} is {value!r}, not a string")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value < _LARGEST:
        raise MonitorFormatError(
            f"the monitor's {where}.{name} is {value!r}, not a number of 0 or more"
        )
    return round(value) if name in BYTES else float(value)


def _require_known(where: str, entry: dict[str, object], known: tuple[str, ...]) -> None:
    for name in entry:
        if name not in known:
            raise MonitorFormatError(
                f"the monitor's {where} has an unknown key {name!r}{nearest(name, known)}; "
                f"known: {', '.join(known)}"
            )
