"""Builds a TensorRT engine from ONNX with the Python API of 8.5 to 11."""

import collections

from harness.engines.trt import network as networks
from hook import trt_cast, trt_release

#: The precision flags that are read back; 11 has TF32 only.
FLAGS = ("FP16", "BF16", "INT8", "FP8", "TF32")
#: Flags of a weakly typed network that permit another arithmetic than fp32 or tf32.
PERMITTED = (("FP16", "fp16"), ("BF16", "bf16"), ("INT8", "int8"), ("FP8", "fp8"))
#: Those of a graph with quantizers.
QUANTIZED = ("int8", "fp8")
#: The layers that do a model's arithmetic, and DataType → arithmetic.
COMPUTING = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM")
ARITHMETIC = {"FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16", "INT8": "int8", "FP8": "fp8"}


class Build:
    """One build: parse, configure, build. ``log`` is from network.make_logger."""

    def __init__(self, tensorrt, log, job):
        self._trt = tensorrt
        self._log = log
        self._job = job
        self._version = trt_release.require_known(tensorrt.__version__)
        self._strong = trt_release.is_strongly_typed(self._version)
        self._builder = tensorrt.Builder(log)
        self.effective = {}

    def engine(self, timing_cache):
        """The serialised engine; ``timing_cache`` is the path of a file that is read and updated.

        Raises StageFailure (compile, out_of_memory) with the error lines of the log.
        """
        network = self._builder.create_network(self._creation_flags())
        # The weights may stay in the file until the engine is built.
        with trt_cast.graph(self._job, self._version) as path:
            errors = networks.parse(self._trt, network, self._log, path)
            if errors:
                raise self.failed("TensorRT's ONNX parser cannot read the graph", errors)
            config = self._configure(network)
            cache = self._timing_cache(config, timing_cache)
            built = self._builder.build_serialized_network(network, config)
        if built is None:
            raise self.failed("TensorRT built no engine", self._log.errors)
        if cache is not None:
            timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
        return built

    def _creation_flags(self):
        """An explicit batch, which has no flag since 11; other releases take 0 for an implicit one."""
        if self._strong:
            return 0
        return 1 << int(self._trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)

    def failed(self, what, lines):
        """The StageFailure of a step, with the error ``lines``."""
        return networks.build_failure(
            what,
            lines,
            "the stage's log beside the result has the full log of TensorRT {}; a newer STACK may support "
            "operators that this release lacks (make list shows them)".format(
                self._trt.__version__
            ),
        )

    def _configure(self, network):
        trt, job = self._trt, self._job
        config = self._builder.create_builder_config()
        flags = trt.BuilderFlag
        # TF32 is on by default. Here fp32 means fp32, and tf32 is a separate precision.
        if job.precision == "fp32":
            config.clear_flag(flags.TF32)
        else:
            config.set_flag(flags.TF32)
        if not self._strong:
            self._permit(config)
        # The engine then states the datatypes of its layers, which load reads back; a context of a release
        # without the other property would be slowed by them.
        if hasattr(trt.IExecutionContext, "nvtx_verbosity"):
            config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        limit = job.engine_options.get("workspace_gib")
        if limit:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(limit * 2**30))
        profile = networks.one_profile(self._builder, network, self._job)
        if profile is not None:
            config.add_optimization_profile(profile)
        self.effective = {
            "precision": job.precision,
            "flags": [f for f in FLAGS if hasattr(flags, f) and config.get_flag(getattr(flags, f))],
            "workspace_bytes": config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE),
        }
        self.effective.update(self._typing(network))
        self.effective["arithmetic"] = self._arithmetic()
        return config

    def _permit(self, config):
        """Set the flag of a weakly typed network's precision.

        Quantizers say themselves what is int8 or fp8: a strongly typed network obeys them without a flag.
        """
        # Each by its name, which a test looks up in NVIDIA's genuine bindings.
        flags, precision = self._trt.BuilderFlag, self._job.precision
        if precision == "fp16":
            config.set_flag(flags.FP16)
        elif precision == "bf16":
            config.set_flag(flags.BF16)
        elif precision == "int8":
            config.set_flag(flags.INT8)
        elif precision == "fp8":
            config.set_flag(flags.FP8)

    def _typing(self, network):
        """How the network is typed and, where its types decide, what it computes in.

        Around quantizers they do not: what is dequantized is fp32, and the builder fuses it with the layer.
        """
        if not self._strong:
            return {"typing": "weak"}
        return {"typing": "strong"} if self._job.precision in QUANTIZED else self._types(network)

    def _types(self, network):
        """What a strongly typed network computes in: arithmetic → number of computing layers."""
        kinds = [getattr(self._trt.LayerType, name) for name in COMPUTING]
        counts = collections.Counter()
        for index in range(network.num_layers):
            layer = network.get_layer(index)
            if layer.type in kinds:
                name = layer.get_input(0).dtype.name
                counts[ARITHMETIC.get(name, name.lower())] += 1
        return {"typing": "strong", "network_arithmetic": dict(counts)}

    def _arithmetic(self):
        """What most layers of a strongly typed network compute in, else what the flags permit."""
        on = self.effective["flags"]
        counts = self.effective.get("network_arithmetic")
        if counts:
            found = max(sorted(counts), key=lambda name: counts[name])
        elif self._strong and self._job.precision in QUANTIZED:
            found = self._job.precision
        else:
            found = next((name for flag, name in PERMITTED if flag in on), "fp32")
        return "tf32" if found == "fp32" and "TF32" in on else found

    def _timing_cache(self, config, path):
        known = path.read_bytes() if path.exists() else b""
        cache = config.create_timing_cache(known)
        if cache is None:
            # Truncated, or of another version: use an empty one instead.
            cache = config.create_timing_cache(b"")
        # A cache of another device or version is rejected here, which must not end the build.
        if not config.set_timing_cache(cache, False):
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)
        return cache
