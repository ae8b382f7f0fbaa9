"""ONNX Runtime with a provider that computes in a device's memory: the engine of onnxruntime.py, with IO binding.

A vendor's engine derives from it: ``class OrtCuda(DeviceOnnxRuntime)``. Options are those of onnxruntime.py.
"""

from typing import Any, Dict, Optional, Tuple

from harness.engine import Phases
from harness.engines.graph_steps import device_of
from harness.engines.onnxruntime import OnnxRuntime
from harness.engines.ort.bound_session import BoundSession
from harness.job import Arrays, Job


class DeviceOnnxRuntime(OnnxRuntime):
    """One batch in flight: ONNX Runtime's calls from Python return when they are done."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._bound: Optional[BoundSession] = None
        self._phases: Phases = (None, None, None)

    def load(self) -> Dict[str, Any]:
        """Open the session, with its inputs and outputs on the device; language models keep their past there."""
        settings = super().load()
        settings["io_memory"] = self._device()[0]
        if self.job.generation is None:
            names = [spec.name for spec in self.job.inputs]
            self._bound = BoundSession(self._session, names, self._names, *self._device())
        return settings

    def _device(self) -> Tuple[str, int]:
        given = self.job.engine_options.get("device_type")
        return device_of(self._provider, self._provider_options(), given)

    def infer(self, inputs: Arrays) -> Arrays:
        """Copy in, compute, copy out."""
        assert self._bound is not None
        outputs, self._phases = self._bound.run(inputs)
        return outputs

    def phases(self, ticket: Any) -> Phases:  # noqa: ARG002  # of the last batch, as only one is in flight
        """Host time of the copies and of computing, each until the device was done."""
        return self._phases

    def close(self) -> None:
        """Release the device's buffers, then the session."""
        self._bound = None
        super().close()


ENGINE = DeviceOnnxRuntime
