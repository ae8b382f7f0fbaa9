"""IxRT, which has TensorRT's Python API and is imported under its name: fp16, bf16 or fp32; built ahead of time.

Interface: IxRT's open-source part (its samples, ixrtexec and the inference worker beside it), version 1.1 for CoreX
4.3, and FlagPerf's engine for Iluvatar.
"""

from harness.engines.trt import network as networks
from harness.engines.trt.engine import NamedTensors
from harness.errors import StageFailure
from hook import ixrt_plan


class IxRt(NamedTensors):
    """The engine's file; streams and calls are those of the base class."""

    title = "IxRT"

    def __init__(self, job):
        super().__init__(job)
        self._plan = None

    def compile(self):
        """Build the engine file, unless the cache has it for exactly this graph, chip and version."""
        self._open()
        settings = self._plan.compile()
        self.cached = self._plan.cached
        return settings

    def load(self):
        """Deserialise; an engine for another chip or version, or a damaged one, is rebuilt."""
        self._open()
        engine, settings = self._plan.load()
        self.begin(engine)
        return dict(
            settings,
            in_flight=self.in_flight,
            io_dtypes={name: one.name for name, one in self.tensors().items()},
            # A flag permits a precision and forces none, and no document says how to read layers back.
            arithmetic_unread="IxRT does not state in which arithmetic an engine's layers compute",
        )

    def _open(self):
        import tensorrt

        if self._device is None:
            require_ixrt(tensorrt)
            log = networks.make_logger(tensorrt, self.title)
            self._plan = ixrt_plan.IxRtPlan(self.job, self.open_device(log), log)

    def warnings(self):
        """Rebuilds, and the builder's warnings."""
        return list(self._plan.warnings) if self._plan is not None else []


def require_ixrt(tensorrt):
    """Raise StageFailure (image) for NVIDIA's TensorRT, so that its GPU is not reported as Iluvatar's."""
    if ixrt_plan.is_ixrt(tensorrt):
        return
    raise StageFailure(
        "image",
        "the module tensorrt {} is not IxRT's".format(tensorrt.__version__),
        "use the stack's image (RUNNER=docker), or VENDOR=nvidia for NVIDIA's GPUs",
    )


ENGINE = IxRt
