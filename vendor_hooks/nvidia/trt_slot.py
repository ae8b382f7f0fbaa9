"""One batch in flight in TensorRT: pinned and device buffers by tensor, events between its steps."""

import numpy as np
from hook import cuda


class Slot:
    """``tensors`` maps a name to (shape of a full batch, dtype in the engine).

    Events: start and end of copy in, compute and copy out, in this order.
    """

    def __init__(self, device, tensors):
        self.buffers = {
            name: cuda.Buffer(device, shape, dtype) for name, (shape, dtype) in tensors.items()
        }
        self.marks = [device.event() for _ in range(6)]
        #: Name → the rows of the pinned buffer that this call's output takes.
        self.outputs = {}

    def stage(self, spec, array):
        """Copy one input into its pinned buffer; (buffer, bytes that are to be copied in)."""
        buffer = self.buffers[spec.name]
        target = buffer.array[: array.shape[0]] if spec.batched else buffer.array
        # int64 indices become TensorRT's int32 here.
        np.copyto(target, array, casting="same_kind")
        return buffer, target.nbytes

    def expect(self, spec, rows):
        """Say how many rows of an output this call gives."""
        array = self.buffers[spec.name].array
        self.outputs[spec.name] = array[:rows] if spec.batched else array

    def arrays(self, specs):
        """Name → array in the dtype that the graph declares; to be called after the last event."""
        return {spec.name: _as_declared(self.outputs[spec.name], spec.dtype) for spec in specs}

    def free(self):
        """Give the memory back."""
        for buffer in self.buffers.values():
            buffer.free()


def _as_declared(array, dtype):
    return array.astype("float32" if dtype == "bfloat16" else dtype, copy=False)
