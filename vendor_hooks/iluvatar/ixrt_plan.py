"""IxRT's serialised engine: its build."""

import importlib.util

from harness.engines.trt import network as networks
from harness.engines.trt.plan import Plan
from harness.errors import StageFailure

#: Precision → the builder's flag; fp32 has none, as in ixrtexec.
FLAGS = {"fp16": "FP16", "bf16": "BF16"}
REMEDY = (
    "the stage's log beside the result has IxRT's messages; ixrtexec --onnx=<file> shows whether it reads "
    "the graph, and ENGINE=eager runs the case in PyTorch"
)


def is_ixrt(module):
    """Tell whether a module named tensorrt is IxRT's: the package ixrt is there, and it has IxRT's version."""
    # IxRT counts its own releases (0.8 in FlagPerf, 1.1 with CoreX 4.3), far below TensorRT's.
    major = int(module.__version__.split(".")[0])
    return importlib.util.find_spec("ixrt") is not None and major < 5


class IxRtPlan(Plan):
    """The engine of this graph, chip, release, precision and batch size."""

    title = "IxRT"
    filename = "engine.ixrt"

    def build(self, path):
        """Write the engine to ``path``; return (settings, the builder's warnings)."""
        import tensorrt as trt

        builder = trt.Builder(self._log)
        network = self._parsed(trt, builder)
        config, flags = self._configured(trt, builder)
        profile = networks.one_profile(builder, network, self._job)
        if profile is not None:
            config.add_optimization_profile(profile)
        built = builder.build_serialized_network(network, config)
        if built is None:
            raise networks.build_failure("IxRT built no engine", self._log.errors, REMEDY)
        with path.open("wb") as target:
            target.write(built)
        settings = {
            "precision": self._job.precision,
            "arithmetic": self._job.precision,
            "flags": flags,
            "device": self._device.device()[0],
        }
        return settings, self._log.warnings

    def _parsed(self, trt, builder):
        explicit = 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
        network = builder.create_network(explicit)
        errors = networks.parse(trt, network, self._log, self._job.onnx_path)
        if errors:
            raise networks.build_failure(
                "IxRT's ONNX parser cannot read {}".format(self._job.onnx_path.name),
                errors,
                REMEDY,
            )
        return network

    def _configured(self, trt, builder):
        """(the configuration, the names of the flags that it was found to have)."""
        config = builder.create_builder_config()
        flag = FLAGS.get(self._job.precision)
        if flag is not None:
            _set(config, trt, flag)
        known = [name for name in FLAGS.values() if hasattr(trt.BuilderFlag, name)]
        return config, [name for name in known if config.get_flag(getattr(trt.BuilderFlag, name))]


def _set(config, trt, name):
    """Set a flag of the builder; StageFailure (compile) in a release that lacks it or does not keep it."""
    flag = getattr(trt.BuilderFlag, name, None)
    if flag is not None:
        config.set_flag(flag)
    if flag is None or not config.get_flag(flag):
        raise StageFailure(
            "compile",
            "IxRT {} {} the builder's flag {}".format(
                trt.__version__, "lacks" if flag is None else "does not keep", name
            ),
            "use another PRECISION, or a STACK with a newer release",
        )
