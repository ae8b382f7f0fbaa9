"""TensorRT through its v3 API (8.5 to 11): fp32, tf32, fp16, bf16, int8 or fp8; built ahead of time, cached."""

from harness.engines.trt import network as networks
from harness.engines.trt.engine import NamedTensors
from hook import engine_layers, trt_plan, trt_release


class TensorRt(NamedTensors):
    """The engine's file, and what its layers state; streams and calls are those of the base class."""

    def __init__(self, job):
        super().__init__(job)
        self._plan = None
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
        engine, settings = self._plan.load()
        self.begin(engine)
        return dict(settings, **self._effective(), **self._read_back(settings))

    def plan(self, device, log):
        """The engine's file; override it to build the engine in another way."""
        return trt_plan.TensorRtPlan(self.job, device, log)

    def _open_device(self):
        import tensorrt

        if self._device is None:
            trt_release.require_known(tensorrt.__version__)
            log = networks.make_logger(tensorrt)
            device = self.open_device(log)
            trt_release.require_precision(self.job.precision, tensorrt.__version__, device.device())
            self._plan = self.plan(device, log)

    def begin(self, engine):
        """Make the context; it names layers only."""
        import tensorrt

        super().begin(engine)
        if hasattr(self._context, "nvtx_verbosity"):
            # The default. The engine was built with details to be read back, which would slow the enqueueing.
            self._context.nvtx_verbosity = tensorrt.ProfilingVerbosity.LAYER_NAMES_ONLY

    def _effective(self):
        return {
            "in_flight": self.in_flight,
            "layers": self._engine.num_layers,
            "activation_bytes": self._activation_bytes(),
            "io_dtypes": {name: one.name for name, one in self.tensors().items()},
        }

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

    def warnings(self):
        """Rebuilds, the builder's warnings, and an arithmetic that was not requested."""
        return list(self._plan.warnings if self._plan is not None else ()) + self._differing


ENGINE = TensorRt
