"""The guest's modules, imported as a job folder offers them (package ``harness``).

They are untyped Python 3.7 on purpose, hence Any.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from tests.harness.job_folder import ROOT

sys.path.insert(0, str(ROOT / "vendor_hooks"))

classification: Any = import_module("harness.classification")
clock: Any = import_module("harness.clock")
core: Any = import_module("harness.core")
dataset: Any = import_module("harness.dataset")
engine: Any = import_module("harness.engine")
errors: Any = import_module("harness.errors")
image: Any = import_module("harness.image")
job: Any = import_module("harness.job")
latency: Any = import_module("harness.latency")
loader: Any = import_module("harness.loader")
memory: Any = import_module("harness.memory")
outputs: Any = import_module("harness.outputs")
predictions: Any = import_module("harness.predictions")
progress: Any = import_module("harness.progress")
report: Any = import_module("harness.report")
task: Any = import_module("harness.task")
whole: Any = import_module("harness.whole")
