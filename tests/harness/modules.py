"""The guest's modules, imported as a job folder offers them (package ``harness``).

Driver and guest share no package, hence Any; `make lint` checks the types of the harness by itself.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from tests.harness.job_folder import ROOT

sys.path.insert(0, str(ROOT / "vendor_hooks"))

answers: Any = import_module("harness.scenarios.answers")
arena: Any = import_module("harness.boundary.arena")
batch_loader: Any = import_module("harness.inputs.batch_loader")
channel: Any = import_module("harness.boundary.channel")
checkpoint: Any = import_module("harness.models.checkpoint")
classification: Any = import_module("harness.tasks.classification")
clock: Any = import_module("harness.clock")
contract: Any = import_module("harness.outputs.contract")
core: Any = import_module("harness.loops.core")
core_batches: Any = import_module("harness.inputs.core_batches")
core_check: Any = import_module("harness.loops.core_check")
core_pool: Any = import_module("harness.inputs.core_pool")
core_samples: Any = import_module("harness.outputs.core_samples")
dataset: Any = import_module("harness.inputs.dataset")
engine: Any = import_module("harness.engine")
errors: Any = import_module("harness.errors")
generated_pictures: Any = import_module("harness.inputs.generated_pictures")
host_memory: Any = import_module("harness.engines.host_memory")
image_decoder: Any = import_module("harness.inputs.image_decoder")
job: Any = import_module("harness.job")
kernel: Any = import_module("harness.boundary.kernel")
latency: Any = import_module("harness.loops.latency")
loadgen: Any = import_module("harness.scenarios.loadgen")
logged_thread: Any = import_module("harness.scenarios.logged_thread")
overheard: Any = import_module("harness.engines.serving.overheard")
picture_tensor: Any = import_module("harness.tasks.picture_tensor")
layout: Any = import_module("harness.boundary.layout")
pooled_input: Any = import_module("harness.inputs.pooled_input")
preprocessing: Any = import_module("harness.tasks.preprocessing")
predictions: Any = import_module("harness.outputs.predictions")
progress: Any = import_module("harness.outputs.progress")
remote: Any = import_module("harness.boundary.remote")
repeated: Any = import_module("harness.loops.repeated")
report: Any = import_module("harness.outputs.report")
resampling: Any = import_module("harness.tasks.resampling")
scratch: Any = import_module("harness.inputs.scratch")
sandbox: Any = import_module("harness.boundary.sandbox")
sample_library: Any = import_module("harness.scenarios.sample_library")
scheduled_loop: Any = import_module("harness.loops.scheduled_loop")
scheduling: Any = import_module("harness.engines.serving.scheduling")
search: Any = import_module("harness.scenarios.search")
sequence_samples: Any = import_module("harness.outputs.sequence_samples")
time_answers: Any = import_module("harness.outputs.time_answers")
task: Any = import_module("harness.task")
text_generation: Any = import_module("harness.tasks.text_generation")
token_loop: Any = import_module("harness.loops.token_loop")
token_windows: Any = import_module("harness.inputs.token_windows")
whole: Any = import_module("harness.loops.whole")
