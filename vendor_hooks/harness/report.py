"""report.json (schema assay/stage-report/1): collected while the stage runs, written last."""

import math
import platform

import numpy as np

from harness import clock, files

SCHEMA = "assay/stage-report/1"


class Report:
    """What this stage leaves behind; the fields are those of driver/models/report.py."""

    def __init__(self, stage, job_id="0" * 16, repeat=0):
        self.stage = stage
        self.job_id = job_id
        self.repeat = repeat
        self.failure = None
        self.simulated = False
        self.cached = False
        self.versions = {"python": platform.python_version(), "numpy": np.__version__}
        self.effective = {}
        self.artifacts = []
        self.measurements = []
        self.memory = None
        self.accuracy = {}
        self.fidelity = None
        self.core_agreement = None
        self.details = {"clock": clock.description()}
        self.warnings = []
        self._started_ns = clock.now_ns()

    def warn(self, code, message, remedy):
        """Add a warning of the closed list (driver/models/base.py WarningCode)."""
        self.warnings.append({"code": code, "message": message, "remedy": remedy})

    def describe(self, engine):
        """What every stage with an engine says of it: versions, memory, warnings, stand-in or not."""
        self.simulated = engine.simulated
        self.cached = engine.cached
        self.versions.update(engine.versions())
        memory = engine.memory()
        if memory is not None:
            self.memory = dict(zip(("peak_bytes", "total_bytes", "source"), memory))
        for code, message, remedy in engine.warnings():
            self.warn(code, message, remedy)

    def document(self):
        """The report as JSON's plain types."""
        return {
            "schema": SCHEMA,
            "job_id": self.job_id,
            "stage": self.stage,
            "repeat": self.repeat,
            "status": "failed" if self.failure else "ok",
            "failure": self.failure.document(self.stage) if self.failure else None,
            "simulated": bool(self.simulated),
            "cached": bool(self.cached),
            "wall_ns": clock.now_ns() - self._started_ns,
            "versions": {str(name): str(value) for name, value in self.versions.items()},
            "effective": plain(self.effective),
            "artifacts": self.artifacts,
            "measurements": plain(self.measurements),
            "memory": plain(self.memory),
            "accuracy": plain(self.accuracy),
            "fidelity": plain(self.fidelity),
            "core_agreement": plain(self.core_agreement),
            "details": plain(self.details),
            "warnings": self.warnings,
        }

    def write(self, out_dir):
        """Write report.json atomically; the last act of a stage."""
        files.write_json(out_dir / "report.json", self.document())


def plain(value):
    """``value`` in JSON's types: numpy scalars unwrapped, NaN and Inf null, anything else a string."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, str, int, float)) else str(value)
