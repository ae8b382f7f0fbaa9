"""TensorRT through its v3 API (8.5 to 11): fp32, tf32 or fp16; built ahead of time, cached."""

import collections

import numpy as np
from harness.engine import Engine
from harness.errors import StageFailure, out_of_memory
from hook import cuda, engine_layers, trt_build, trt_plan, trt_release, trt_slot


class TensorRt(Engine):
    """One context, three streams (copy in, compute, copy out), two batches in flight.

    While a batch computes, the next is staged in pinned memory and copied. Outputs are returned in the
    pinned buffers of their slot.
    """

    in_flight = 2
    reuses_outputs = True

    def __init__(self, job):
        super().__init__(job)
        self._device = None
        self._log = None
        self._plan = None
        self._engine = None
        self._context = None
        self._streams = ()
        self._slots = []
        self._idle = collections.deque()
        self._differing = []

    def compile(self):
        """Build the engine file, unless the cache has it for exactly this graph, chip and version."""
        self._open_device()
        settings = self._plan.compile()
        self.cached = self._plan.cached
        return settings

    def load(self):
        """Deserialise; an engine for another chip or version, or a damaged one, is rebuilt."""
        self._open_device()
        self._engine, settings = self._plan.load()
        self._prepare()
        return dict(settings, **self._effective(), **self._read_back(settings))

    def plan(self, device, log):
        """The engine's file; override it to build the engine in another way."""
        return trt_plan.TensorRtPlan(self.job, device, log)

    def _open_device(self):
        import tensorrt

        if self._device is None:
            trt_release.require_known(tensorrt.__version__)
            self._device = cuda.Cuda()
            self._log = trt_build.make_logger(tensorrt)
            self._plan = self.plan(self._device, self._log)
            self.simulated = self._device.simulated or bool(
                getattr(tensorrt, "__assay_standin__", False)
            )

    def _prepare(self):
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise out_of_memory(
                "TensorRT lacks the memory for an execution context: {}".format(
                    self._log.last_error()
                )
            )
        if hasattr(self._context, "nvtx_verbosity"):
            # The default. The engine was built with details to be read back, which would slow the enqueueing.
            self._context.nvtx_verbosity = self._names_only()
        self._streams = tuple(self._device.stream() for _ in range(3))
        tensors = self._tensors()
        self._slots = [trt_slot.TensorRtSlot(self._device, tensors) for _ in range(self.in_flight)]
        self._idle.extend(self._slots)

    def _tensors(self):
        """Name → (shape of a full batch, dtype in the engine) of every input and output."""
        import tensorrt

        specs = {spec.name: spec for spec in self.job.inputs + self.job.outputs}
        found = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            if name in specs:
                dtype = _numpy_dtype(tensorrt, name, self._engine.get_tensor_dtype(name))
                found[name] = (_full_shape(specs[name], self.job.batch_size), dtype)
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

    def _effective(self):
        return {
            "in_flight": self.in_flight,
            "layers": self._engine.num_layers,
            "activation_bytes": self._activation_bytes(),
            "io_dtypes": {n: str(d) for n, (_, d) in self._tensors().items()},
        }

    def _names_only(self):
        import tensorrt

        return tensorrt.ProfilingVerbosity.LAYER_NAMES_ONLY

    def _activation_bytes(self):
        # 10.1 added the second name, 11 removed the first.
        if hasattr(self._engine, "device_memory_size_v2"):
            return self._engine.device_memory_size_v2
        return self._engine.device_memory_size

    def _read_back(self, settings):
        """The arithmetic that the engine's layers state, compared with the requested one.

        Where they state none, that of a strongly typed network holds, since the builder obeys its types; of a
        weakly typed one only the flags are known, which permit and force nothing.
        """
        import tensorrt

        inspector = self._engine.create_engine_inspector()
        text = inspector.get_engine_information(tensorrt.LayerInformationFormat.JSON)
        found, counts, why = engine_layers.read_back([text])
        if found is None:
            found = settings.get("arithmetic")
            counts = settings.get("network_arithmetic")
            if not counts:
                return {"arithmetic_unread": why, "layer_arithmetic": None}
        if found != self.job.arithmetic:
            self._differing.append(engine_layers.differs("TensorRT", self.job.arithmetic, counts))
        return {"arithmetic": found, "layer_arithmetic": counts}

    def submit(self, inputs):
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

    def _stage(self, slot, spec, array):
        if not self._context.set_input_shape(spec.name, array.shape):
            raise self._refused("shape {} of {}".format(list(array.shape), spec.name))
        return slot.stage(spec, array)

    def _enqueue(self, slot, stream):
        for name, buffer in slot.buffers.items():
            self._context.set_tensor_address(name, int(buffer.device))
        for spec in self.job.outputs:
            slot.expect(spec, (tuple(self._context.get_tensor_shape(spec.name)) or (1,))[0])
        if not self._context.execute_async_v3(int(stream)):
            raise self._refused("the batch")

    def _refused(self, what):
        return StageFailure(
            "infer",
            "TensorRT does not accept {}: {}".format(what, self._log.last_error()),
            "the engine is built for 1 to {} items; to test it: make check VENDOR=nvidia".format(
                self.job.batch_size
            ),
        )

    def wait(self, ticket):
        """Sleep until the copy out has finished; arrays are in the dtypes that the graph declares."""
        self._device.check(self._device.api.cudaEventSynchronize(ticket.marks[5]))
        self._idle.append(ticket)
        return ticket.arrays(self.job.outputs)

    def phases(self, ticket):
        """Device time of copy in, compute and copy out, by events on their streams."""
        marks = ticket.marks
        return tuple(self._device.elapsed_ns(a, b) for a, b in zip(marks[0::2], marks[1::2]))

    def memory(self):
        """Device memory in use at the end of infer, which is the peak: nothing is allocated after load."""
        if self._context is None:
            return None
        used, total = self._device.memory()
        return used, total, "cudaMemGetInfo at the end of the stage, all processes"

    def versions(self):
        """Versions of TensorRT and CUDA."""
        import tensorrt

        found = {"tensorrt": tensorrt.__version__}
        if self._device is not None:
            found.update(self._device.versions())
        return found

    def warnings(self):
        """Rebuilds, the builder's warnings, and an arithmetic that was not requested."""
        return list(self._plan.warnings if self._plan is not None else ()) + self._differing

    def close(self):
        """Free context, engine and buffers, in this order; after a failure, once no batch is in flight."""
        for slot in self._slots:
            slot.settle()
        self._context = self._engine = None
        self._idle.clear()
        for slot in self._slots:
            slot.free()
        self._slots = []


def _numpy_dtype(tensorrt, name, dtype):
    try:
        return np.dtype(tensorrt.nptype(dtype))
    # 10 and 11 raise it for bfloat16, which numpy lacks.
    except TypeError as error:
        raise StageFailure(
            "contract",
            "the engine's tensor {} has the type {}, which numpy lacks".format(name, dtype.name),
            "export the graph with fp32 inputs and outputs",
        ) from error


def _full_shape(spec, batch_size):
    return ((batch_size * spec.rows_per_item,) if spec.batched else ()) + tuple(spec.shape)


ENGINE = TensorRt
