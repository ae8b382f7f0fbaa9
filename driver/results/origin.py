"""Where a result comes from, as the flat facts that tables and comparisons need. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from driver.models.base import RunnerName
from driver.system.host.processor import host_chip_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from driver.models.result import Result

PROVENANCE: dict[str, tuple[tuple[str, ...], ...]] = {
    "onnx_sha256": (("export", "onnx_sha256"),),
    "opset": (("export", "opset"),),
    "export_batch": (("export", "batch"),),
    "weights_sha256": (("weights", "digest"),),
    "dataset_sha256": (("dataset", "sha256"),),
    "arithmetic": (("effective", "infer", "arithmetic"), ("arithmetic",)),
    "clock": (("core", "clock"),),
    "in_flight": (("core", "in_flight"), ("effective", "infer", "in_flight")),
    "chips": (("chips",),),
    "attention": (("export", "attention"),),
    "input_kind": (("dataset", "input"), ("input",)),
    "commit": (("commit",),),
    "driver_version": (("host_driver", "version"), ("device", "driver")),
    "host": (("host", "name"),),
    "card": (("card",), ("device", "serial")),
    "threads": (("settings", "threads"), ("host", "threads")),
    "options": (("settings", "options"),),
    "rerun_of": (("rerun_of",),),
}
"""Where provenance has the facts that decide comparability: column → paths, the first found is used."""

SCALARS = (str, int, float)

OLD_HOST_CHIP = "host"
"""The chip name in older results of vendors whose device is the host's processor."""


def chip_of(result: Result) -> dict[str, Any]:
    """Return the chip, and the host's processor if that is the device."""
    chip, host = result.job.chip, result.provenance.get("host")
    if "processor" in result.provenance:
        return {"chip": chip, "processor": chip}
    if chip != OLD_HOST_CHIP or result.job.runner is RunnerName.SLURM or not isinstance(host, dict):
        return {"chip": chip, "processor": None}
    values = [host.get(name) for name in ("threads", "cores_online", "memory_bytes")]
    threads, online, memory = (value if isinstance(value, int) else 0 for value in values)
    if not isinstance(host.get("cpu"), str) or not threads:
        return {"chip": chip, "processor": None}
    name = host_chip_name(host["cpu"], threads, online or threads, memory)
    return {"chip": name, "processor": name}


def origin_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of PROVENANCE, each as text or None."""
    return {name: _found(provenance, paths) for name, paths in PROVENANCE.items()}


def _found(provenance: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> str | None:
    """Return the scalar at the first path that has one, as text, or None; a table's text is JSON."""
    for path in paths:
        value: Any = provenance
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
            if value is None:
                break
        else:
            if isinstance(value, SCALARS):
                return str(value)
            if isinstance(value, dict) and value:
                return json.dumps(value, sort_keys=True)
    return None
