"""A session of ONNX Runtime whose inputs and outputs are in the device's memory (IO binding).

A plain run copies both inside the call. Here each copy is a step of its own, so that the time of copying in, of
computing and of copying out are known separately.
"""

from typing import Any, Dict, Sequence, Tuple

from harness import clock
from harness.job import Arrays


class BoundSession:
    """``inputs`` and ``outputs`` are the names in the graph; ``device_type`` as IO binding names it, such as cuda.

    Device memory is allocated when the shapes of a batch differ from those of the last one, and reused otherwise.
    """

    def __init__(
        self,
        session: Any,
        inputs: Sequence[str],
        outputs: Sequence[str],
        device_type: str,
        device_id: int,
    ) -> None:
        self._session = session
        self._inputs, self._outputs = inputs, outputs
        self._device = (device_type, device_id)
        self._binding: Any = None
        self._values: Dict[str, Any] = {}
        self._shapes: Tuple[Tuple[int, ...], ...] = ()

    def run(self, inputs: Arrays) -> Tuple[Arrays, Tuple[int, int, int]]:
        """Run one batch; returns (outputs in host memory, nanoseconds to copy in, compute and copy out)."""
        started = clock.now_ns()
        self._copy_in(inputs)
        copied = clock.now_ns()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        computed = clock.now_ns()
        values = self._binding.get_outputs()
        found = {name: value.numpy() for name, value in zip(self._outputs, values)}
        return found, (copied - started, computed - copied, clock.now_ns() - computed)

    def _copy_in(self, inputs: Arrays) -> None:
        shapes = tuple(inputs[name].shape for name in self._inputs)
        if self._binding is not None and shapes == self._shapes:
            for name in self._inputs:
                self._values[name].update_inplace(inputs[name])
        else:
            self._bind(inputs)
            self._shapes = shapes
        self._binding.synchronize_inputs()

    def _bind(self, inputs: Arrays) -> None:
        """Allocate the inputs, with their values; the session allocates the outputs in its next run."""
        import onnxruntime

        runtime: Any = onnxruntime
        self._binding = self._session.io_binding()
        for name in self._inputs:
            value = runtime.OrtValue.ortvalue_from_numpy(inputs[name], *self._device)
            self._values[name] = value
            self._binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            self._binding.bind_output(name, *self._device)
