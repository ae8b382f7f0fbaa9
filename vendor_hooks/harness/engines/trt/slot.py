"""One batch in flight on a CUDA device: pinned and device buffers per tensor, events between its steps."""

from typing import Dict, Mapping, Sequence, Tuple

import numpy as np

from harness.engines.trt.cuda import Buffer, Cuda
from harness.engines.trt.datatypes import Binding, put, taken
from harness.job import Arrays, TensorSpec


class CudaSlot:
    """``tensors`` maps a name to its Binding.

    Events: start and end of copy in, compute and copy out, in this order.
    """

    def __init__(self, device: Cuda, tensors: Mapping[str, Binding]) -> None:
        self.buffers = {name: Buffer(device, one.shape, one.dtype) for name, one in tensors.items()}
        self._device = device
        self._tensors = tensors
        self.marks = [device.event() for _ in range(6)]
        #: Name → the rows of the pinned buffer that this call's output occupies.
        self.outputs: Dict[str, np.ndarray] = {}

    def stage(self, spec: TensorSpec, array: np.ndarray) -> Tuple[Buffer, int]:
        """Copy one input into its pinned buffer; return (buffer, bytes to copy to the device)."""
        buffer = self.buffers[spec.name]
        target = buffer.array[: array.shape[0]] if spec.batched else buffer.array
        put(target, array, self._tensors[spec.name].name)
        return buffer, target.nbytes

    def expect(self, spec: TensorSpec, rows: int) -> None:
        """Set the number of rows that an output has in this call."""
        array = self.buffers[spec.name].array
        self.outputs[spec.name] = array[:rows] if spec.batched else array

    def arrays(self, specs: Sequence[TensorSpec]) -> Arrays:
        """The outputs in the dtypes that the graph declares; to be called after the last event."""
        return {
            spec.name: taken(self.outputs[spec.name], self._tensors[spec.name].name, spec.dtype)
            for spec in specs
        }

    def settle(self) -> None:
        """Sleep until the device no longer uses the memory; an error is not raised, as a failed batch has one."""
        self._device.api.cudaEventSynchronize(self.marks[5])

    def free(self) -> None:
        """Free the memory."""
        for buffer in self.buffers.values():
            buffer.free()
