"""report.json (schema assay/stage-report/1): filled while the stage runs, written last."""

import math
import platform
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from harness import clock, files
from harness.engine import Engine
from harness.errors import StageFailure

SCHEMA = "assay/stage-report/1"


class Report:
    """The report of a stage; driver/models/report.py documents the fields."""

    def __init__(self, stage: str, job_id: str = "0" * 16, repeat: int = 0) -> None:
        self.stage = stage
        self.job_id = job_id
        self.repeat = repeat
        self.failure: Optional[StageFailure] = None
        self.simulated = False
        self.cached = False
        self.versions: Dict[str, str] = {
            "python": platform.python_version(),
            "numpy": np.__version__,
        }
        self.effective: Dict[str, Any] = {}
        self.artifacts: List[Dict[str, Any]] = []
        self.measurements: List[Dict[str, Any]] = []
        self.memory: Optional[Dict[str, Any]] = None
        self.accuracy: Dict[str, Any] = {}
        self.fidelity: Optional[Dict[str, Any]] = None
        self.core_agreement: Optional[float] = None
        self.core_fidelity: Optional[Dict[str, Any]] = None
        #: What the harness says of a load scenario; LoadGen's own logs have the figures.
        self.scenario: Optional[Dict[str, Any]] = None
        #: How the engine was kept from the harness; None before it was opened.
        self.engine_process: Optional[Dict[str, Any]] = None
        self.details: Dict[str, Any] = {"clock": clock.description()}
        self.warnings: List[Dict[str, str]] = []
        self._started_ns = clock.now_ns()

    def warn(self, code: str, message: str, remedy: str) -> None:
        """Add a warning; ``code`` is a WarningCode of driver/models/base.py."""
        self.warnings.append({"code": code, "message": message, "remedy": remedy})

    def describe(self, engine: Engine) -> None:
        """Add what a stage reports of its engine: versions, memory, warnings, whether it is a stand-in."""
        self.simulated = engine.simulated
        self.cached = engine.cached
        self.versions.update(engine.versions())
        memory = engine.memory()
        if memory is not None:
            self.memory = dict(zip(("peak_bytes", "total_bytes", "source"), memory))
        for code, message, remedy in engine.warnings():
            self.warn(code, message, remedy)

    def document(self) -> Dict[str, Any]:
        """The report in plain JSON types."""
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
            "core_fidelity": plain(self.core_fidelity),
            "scenario": plain(self.scenario),
            "engine_process": self.engine_process,
            "details": plain(self.details),
            "warnings": self.warnings,
        }

    def write(self, out_dir: Path) -> None:
        """Write report.json atomically; the last step of a stage."""
        files.write_json(out_dir / "report.json", self.document())


def plain(value: Any) -> Any:
    """Convert to JSON types: numpy values unwrapped, NaN and Inf to null, anything else to a string."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (np.generic, np.ndarray)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, str, int, float)) else str(value)
