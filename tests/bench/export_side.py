"""One export of a case, in a process of its own, with the driver and the guest of one tree.

    PYTHONPATH=TREE python export_side.py HOME VARIABLES

HOME is a fresh ASSAY_HOME, VARIABLES a JSON object of what `make run` would be given. Environments and
dataset are made first; then the export stage runs with nothing cached. Prints JSON: seconds of each step,
of the stage, and of what the driver adds (moving, digests); processor seconds; peak memory; what was
written, with its digests. Imports only what earlier trees have, too.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

from driver.catalog.catalog import load_catalog
from driver.models.base import RunnerName
from driver.plan.choice import choose
from driver.plan.request import parse_request
from driver.runners.guard import descendants
from driver.session.prepare import prepare
from driver.session.recording import Recorder, Recording
from driver.session.site import open_site
from driver.session.stages import JobStages
from driver.session.telemetry import Telemetry
from driver.system.settings import load_settings
from driver.system.stopwatch import Stopwatch
from driver.system.workspace import Workspace
from tests.bench.jobs import Notes

SAMPLE_S = 0.1
PAGE_BYTES = resource.getpagesize()


class Peak:
    """The most memory that descendants started since have at once, without pages of files, in bytes.

    Sampled here and not read from the result, which earlier trees lack it in.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._own = command_line(os.getpid())
        self._earlier: frozenset[int] = frozenset()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Peak:
        self._earlier = frozenset(descendants(os.getpid()))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            # Until it runs its program, a new child has this process's memory, and its command line.
            started = [
                pid
                for pid in set(descendants(os.getpid())) - self._earlier
                if command_line(pid) != self._own
            ]
            self.bytes = max(self.bytes, sum(map(own_bytes, started)))


def command_line(pid: int) -> bytes:
    """Return a process's command line, empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def own_bytes(pid: int) -> int:
    """Return a process's resident memory that no file holds, 0 once it has ended."""
    try:
        words = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    except OSError:
        return 0
    return (int(words[1]) - int(words[2])) * PAGE_BYTES


def children_s() -> float:
    """Return the processor seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def exported(home: Path, variables: dict[str, str]) -> dict[str, Any]:
    """Run the export of one job with nothing cached, and describe it."""
    settings = load_settings().model_copy(update={"home": home, "results": home / "results"})
    choice = choose(parse_request(variables), load_catalog(settings.root))
    with open_site(RunnerName.PROCESS, settings, load_catalog(settings.root), Notes()) as site:
        watch = Stopwatch()
        prepared = prepare(site, choice, watch)
        planned = prepared.planned
        recording = Recording(
            planned=planned, telemetry=Telemetry(choice.vendor.manifest.monitor, "0")
        )
        folder = home / "results" / "job"
        folder.mkdir(parents=True)
        with Workspace(home, planned.key.id, RunnerName.PROCESS.value) as workspace:
            recorder = Recorder(recording=recording, folder=folder)
            stages = JobStages(site, prepared, recorder, watch, workspace)
            before_s, started = children_s(), time.perf_counter()
            with Peak() as peak:
                stages.export()
            wall_s = time.perf_counter() - started
        if recording.failure is not None:
            sys.exit(f"{recording.failure.message}\n  → {recording.failure.remedy}")
        return {
            "wall_s": wall_s,
            "cpu_s": children_s() - before_s,
            "peak_mib": peak.bytes / 2**20,
            "driver_s": wall_s - recording.records[0].wall_s,
            **_described(recording, stages),
        }


def _described(recording: Recording, stages: JobStages) -> dict[str, Any]:
    report = recording.reports[0]
    golden = json.loads((stages.kept.golden / "golden/golden.json").read_text(encoding="utf-8"))
    export = report.details["export"]
    kept = [path for path in stages.kept.model.rglob("*") if path.is_file()]
    return {
        "start_s": recording.records[0].wall_s - sum(report.details["steps_ns"].values()) / 1e9,
        "steps_s": {name: spent / 1e9 for name, spent in report.details["steps_ns"].items()},
        "written_mib": sum(path.stat().st_size for path in kept) / 2**20,
        "digests": {
            "model.onnx": export["onnx_sha256"],
            "model.data": export["data_sha256"],
            "golden.npz": golden["sha256"],
        },
    }


if __name__ == "__main__":
    found = exported(Path(sys.argv[1]), json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps(found) + "\n")
