"""One batch in flight on a CUDA device: pinned and device buffers per tensor, events between its steps."""

from typing import Any, Dict, Mapping, Sequence, Tuple

import numpy as np

from harness.engines.trt.cuda import Buffer, Cuda
from harness.job import Arrays, TensorSpec


class CudaSlot:
    """``tensors`` maps a name to (shape of a full batch, dtype in the engine).

    Events: start and end of copy in, compute and copy out, in this order.
    """

    def __init__(self, device: Cuda, tensors: Mapping[str, Tuple[Sequence[int], Any]]) -> None:
        self.buffers = {
            name: Buffer(device, shape, dtype) for name, (shape, dtype) in tensors.items()
        }
        self._device = device
        self.marks = [device.event() for _ in range(6)]
        #: Name → the rows of the pinned buffer that this call's output occupies.
        self.outputs: Dict[str, np.ndarray] = {}

    def stage(self, spec: TensorSpec, array: np.ndarray) -> Tuple[Buffer, int]:
        """Copy one input into its pinned buffer; return (buffer, bytes to copy to the device)."""
        buffer = self.buffers[spec.name]
        target = buffer.array[: array.shape[0]] if spec.batched else buffer.array
        # int64 indices become int32 here, where the engine has no other.
        np.copyto(target, array, casting="same_kind")
        return buffer, target.nbytes

    def expect(self, spec: TensorSpec, rows: int) -> None:
        """Set the number of rows that an output has in this call."""
        array = self.buffers[spec.name].array
        self.outputs[spec.name] = array[:rows] if spec.batched else array

    def arrays(self, specs: Sequence[TensorSpec]) -> Arrays:
        """The outputs in the dtypes that the graph declares; to be called after the last event."""
        return {spec.name: _as_declared(self.outputs[spec.name], spec.dtype) for spec in specs}

    def settle(self) -> None:
        """Sleep until the device no longer uses the memory; an error is not raised, as a failed batch has one."""
        self._device.api.cudaEventSynchronize(self.marks[5])

    def free(self) -> None:
        """Free the memory."""
        for buffer in self.buffers.values():
            buffer.free()


def _as_declared(array: np.ndarray, dtype: str) -> np.ndarray:
    return array.astype("float32" if dtype == "bfloat16" else dtype, copy=False)
