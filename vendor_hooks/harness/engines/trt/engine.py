"""Engines of TensorRT's v3 API (named tensors, execute_async_v3): TensorRT since 8.5, Iluvatar's IxRT.

What is here: device, streams, buffers, calls. A vendor's engine builds or loads what is called.
"""

import collections
from typing import Any, Deque, Dict, List, Optional, Tuple

from harness.engine import Engine, Phases
from harness.engines.trt.cuda import Cuda
from harness.engines.trt.datatypes import Binding, binding
from harness.engines.trt.slot import CudaSlot
from harness.errors import StageFailure, out_of_memory
from harness.job import Arrays, Job, TensorSpec


class NamedTensors(Engine):
    """One context, three streams (copy in, compute, copy out), two batches in flight.

    While a batch computes, the next is staged in pinned memory and copied. Outputs are returned in the
    pinned buffers of their slot. The vendor's class sets ``title``, and in load() calls ``begin``.
    """

    in_flight = 2
    reuses_outputs = True
    #: What messages call the SDK.
    title = "TensorRT"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._device: Any = None
        self._log: Any = None
        self._engine: Any = None
        self._context: Any = None
        self._streams: Tuple[Any, ...] = ()
        self._slots: List[CudaSlot] = []
        self._idle: Deque[CudaSlot] = collections.deque()

    def sdk(self) -> Any:
        """Import the module that has TensorRT's names."""
        import tensorrt

        found: Any = tensorrt
        return found

    def open_device(self, log: Any) -> Cuda:
        """Open the device; ``log`` has last_error()."""
        device = self._device = Cuda()
        self._log = log
        self.simulated = device.simulated or bool(getattr(self.sdk(), "__assay_standin__", False))
        return device

    def begin(self, engine: Any) -> None:
        """Make context, streams and buffers for a deserialised engine."""
        self._engine = engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise out_of_memory(
                "{} lacks the memory for an execution context: {}".format(
                    self.title, self._log.last_error()
                )
            )
        self._streams = tuple(self._device.stream() for _ in range(3))
        tensors = self.tensors()
        self._slots = [CudaSlot(self._device, tensors) for _ in range(self.in_flight)]
        self._idle.extend(self._slots)

    def tensors(self) -> Dict[str, Binding]:
        """Name → Binding of every input and output."""
        specs = {spec.name: spec for spec in self.job.inputs + self.job.outputs}
        found = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            if name in specs:
                shape = _full_shape(specs[name], self.job.batch_size)
                dtype = self._engine.get_tensor_dtype(name)
                found[name] = binding(self.sdk(), name, dtype, shape)
        missing = sorted(set(specs) - set(found))
        if missing:
            raise StageFailure(
                "contract",
                "the engine has no tensor {}; it has {}".format(
                    ", ".join(missing), ", ".join(found) or "none"
                ),
                "make the names in cases/{}/case.toml and in the exported graph agree".format(
                    self.job.case
                ),
            )
        return found

    def submit(self, inputs: Arrays) -> CudaSlot:
        """Stage in pinned memory, then enqueue copy in, inference and copy out, without waiting."""
        device, slot = self._device, self._idle.popleft()
        copy_in, compute, copy_out = self._streams
        marks = slot.marks
        staged = [self._stage(slot, spec, inputs[spec.name]) for spec in self.job.inputs]
        device.record(marks[0], copy_in)
        for buffer, nbytes in staged:
            device.copy_in(buffer.device, buffer.pinned, nbytes, copy_in)
        device.record(marks[1], copy_in)
        device.after(compute, marks[1])
        device.record(marks[2], compute)
        self._enqueue(slot, compute)
        device.record(marks[3], compute)
        device.after(copy_out, marks[3])
        device.record(marks[4], copy_out)
        for name, view in slot.outputs.items():
            buffer = slot.buffers[name]
            device.copy_out(buffer.pinned, buffer.device, view.nbytes, copy_out)
        device.record(marks[5], copy_out)
        return slot

    def _stage(self, slot: CudaSlot, spec: TensorSpec, array: Any) -> Tuple[Any, int]:
        if not self._context.set_input_shape(spec.name, array.shape):
            raise self._refused("shape {} of {}".format(list(array.shape), spec.name))
        return slot.stage(spec, array)

    def _enqueue(self, slot: CudaSlot, stream: Any) -> None:
        for name, buffer in slot.buffers.items():
            self._context.set_tensor_address(name, int(buffer.device))
        for spec in self.job.outputs:
            slot.expect(spec, (tuple(self._context.get_tensor_shape(spec.name)) or (1,))[0])
        if not self._context.execute_async_v3(int(stream)):
            raise self._refused("the batch")

    def _refused(self, what: str) -> StageFailure:
        return StageFailure(
            "infer",
            "{} does not accept {}: {}".format(self.title, what, self._log.last_error()),
            "the engine is built for 1 to {} items; to test it: make check VENDOR={}".format(
                self.job.batch_size, self.job.vendor
            ),
        )

    def wait(self, ticket: CudaSlot) -> Arrays:
        """Sleep until the copy out has finished; arrays are in the dtypes that the graph declares."""
        self._device.check(self._device.api.cudaEventSynchronize(ticket.marks[5]))
        self._idle.append(ticket)
        return ticket.arrays(self.job.outputs)

    def phases(self, ticket: CudaSlot) -> Phases:
        """Device time of copy in, compute and copy out, by events on their streams."""
        marks = ticket.marks
        h2d, compute, d2h = (
            self._device.elapsed_ns(a, b) for a, b in zip(marks[0::2], marks[1::2])
        )
        return h2d, compute, d2h

    def memory(self) -> Optional[Tuple[int, int, str]]:
        """Device memory in use at the end of infer, which is the peak: nothing is allocated after load."""
        if self._context is None:
            return None
        used, total = self._device.memory()
        return used, total, "cudaMemGetInfo at the end of the stage, all processes"

    def versions(self) -> Dict[str, str]:
        """Versions of the SDK and of CUDA's runtime."""
        found = {self.title.lower(): self.sdk().__version__}
        if self._device is not None:
            found.update(self._device.versions())
        return found

    def close(self) -> None:
        """Free context, engine and buffers, in this order; after a failure, once no batch is in flight."""
        for slot in self._slots:
            slot.settle()
        self._context = self._engine = None
        self._idle.clear()
        for slot in self._slots:
            slot.free()
        self._slots = []


def _full_shape(spec: TensorSpec, batch_size: int) -> Tuple[int, ...]:
    return ((batch_size * spec.rows_per_item,) if spec.batched else ()) + tuple(spec.shape)
