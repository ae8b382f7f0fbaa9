"""What a stage records of its loops: raw samples, wall time, what each loop includes, phases."""

import contextlib
from typing import Any, Dict, Iterator, Optional, Sequence

from harness import clock, files, log
from harness.engine import VendorTiming
from harness.job import Job
from harness.outputs.progress import ProgressFile
from harness.outputs.report import Report

CORE_INCLUDES = ("host_to_device", "compute", "device_to_host", "synchronise")
_WHOLE_END = CORE_INCLUDES + ("predict", "write_predictions")
#: What the whole loop includes, by the dataset's kind.
WHOLE_INCLUDES = {
    "file": ("read", "decode", "preprocess") + _WHOLE_END,
    "tensor": ("read",) + _WHOLE_END,
}


class Measurements:
    """Writes samples to the out folder and measurements to the report."""

    def __init__(self, job: Job, report: Report, progress: ProgressFile) -> None:
        self._out = job.out_dir
        self._report = report
        self._progress = progress

    @contextlib.contextmanager
    def phase(
        self, name: str, title: str, total: Optional[int] = None, unit: str = ""
    ) -> Iterator[None]:
        """Show a phase while it lasts, and record its duration in the report's details."""
        self._progress.phase(title, total, unit)
        started = clock.now_ns()
        yield
        self._report.details.setdefault("phases_ns", {})[name] = clock.now_ns() - started

    def loop(
        self,
        name: str,
        items: int,
        run: Any,
        in_flight: int,
        includes: Sequence[str] = CORE_INCLUDES,
    ) -> Dict[str, Any]:
        """Record a loop that the harness timed (``run``); returns its entry in the report."""
        samples = run.samples_ns()
        files.write_samples(self._out / (name + ".npy"), samples)
        entry: Dict[str, Any] = {
            "name": name,
            "items": items,
            "calls": len(samples),
            "wall_ns": run.wall_ns,
            # CLOCK_MONOTONIC, shared with the driver's monitor: energy is measured over exactly this window.
            "started_ns": run.started_ns,
            "in_flight": in_flight,
            "samples": name + ".npy",
            "clock": "harness",
            "includes": list(includes),
        }
        self._report.measurements.append(entry)
        seconds = run.wall_ns / clock.NS_PER_S
        log.say("{}: {} items, {} calls in {:.3f} s".format(name, items, len(samples), seconds))
        return entry

    def vendor_core(self, timing: VendorTiming) -> None:
        """Record the core figure of a vendor's own tool."""
        samples = None
        if len(timing.samples_ns):
            samples = "core.npy"
            files.write_samples(self._out / samples, timing.samples_ns)
        entry: Dict[str, Any] = {
            "name": "core",
            "samples": samples,
            "clock": "vendor-tool",
            "warmup": None,
        }
        for field in ("items", "calls", "wall_ns", "in_flight", "h2d_ns", "compute_ns", "d2h_ns"):
            entry[field] = getattr(timing, field)
        entry["includes"] = list(timing.includes)
        self._report.measurements.append(entry)
