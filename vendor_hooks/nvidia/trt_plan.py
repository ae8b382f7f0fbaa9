"""TensorRT's serialised engine ("plan"): taken from the cache or built, deserialised, rebuilt if outdated."""

from harness.engines.engine_file import EngineFile, graph_digest
from harness.errors import StageFailure, out_of_memory, says_out_of_memory
from hook import trt_build, trt_cast, trt_release


class TensorRtPlan:
    """The engine of this graph, chip, release, precision and batch size, in ``job.cache_dir``.

    ``device`` is a cuda.Cuda, ``log`` is from trt_build.make_logger. ``warnings`` collects warnings.
    """

    def __init__(self, job, device, log):
        self._job = job
        self._device = device
        self._log = log
        self._runtime = None
        self.cached = False
        self.warnings = []

    def compile(self):
        """Build the engine, unless the cache has it; return the settings that were read back at the build."""
        file = self.file()
        if file.usable:
            self.cached = True
            return file.settings
        return self.make(file)

    def load(self):
        """Return (engine, settings); an engine for another chip or release, or a damaged one, is rebuilt."""
        file = self.file()
        if not file.usable:
            self.make(file)
        engine = self._deserialise(file)
        if engine is None:
            self.warnings.append(file.unreadable(self._log.last_error()))
            self.make(file)
            engine = self._deserialise(file)
        if engine is None:
            raise self._unloadable()
        return engine, file.settings

    def file(self):
        """The engine's file, and what it is made from."""
        import tensorrt

        name, capability = self._device.device()
        made_from = {
            "graph": graph_digest(self._job),
            "tensorrt": tensorrt.__version__,
            "device": name,
            "compute_capability": capability,
            "precision": self._job.precision,
            "batch_size": self._job.batch_size,
            "profiling_verbosity": "detailed",
        }
        if trt_cast.is_needed(self._job, trt_release.numbers(tensorrt.__version__)):
            made_from["cast"] = trt_cast.converter()
        return EngineFile(self._job.cache_dir / "engine.plan", made_from)

    def make(self, file):
        """Build the engine file, replacing an outdated one; return its settings."""
        stale = file.stale()
        if stale:
            self.warnings.append(stale)
        file.forget()
        settings, said = self.build(file.path)
        file.record(settings)
        self.warnings.extend(builder_warnings(said))
        return settings

    def build(self, path):
        """Write the engine to ``path``; return (settings read back from the configuration, warnings)."""
        import tensorrt

        build = trt_build.Build(tensorrt, self._log, self._job)
        built = build.engine(self._job.cache_dir / "timing.cache")
        with path.open("wb") as target:
            target.write(built)
        return dict(build.effective, device=self._device.device()[0]), self._log.warnings

    def _deserialise(self, file):
        import tensorrt

        self._runtime = tensorrt.Runtime(self._log)  # must outlive its engines
        engine = self._runtime.deserialize_cuda_engine(file.path.read_bytes())
        if engine is None and says_out_of_memory(self._log.last_error()):
            raise out_of_memory(self._log.last_error())
        return engine

    def _unloadable(self):
        return StageFailure(
            "infer",
            "TensorRT cannot load the engine that it has just built: {}".format(
                self._log.last_error()
            ),
            "make check VENDOR=nvidia tests the hook alone; the stage's log has TensorRT's messages",
        )


def builder_warnings(lines):
    """One warning for the result, without the builder's repetitions; the log has them all."""
    lines = list(dict.fromkeys(lines))
    if not lines:
        return []
    message = "TensorRT's builder warned: {}".format("; ".join(lines[:2]))
    if len(lines) > 2:
        message += " (and {} more)".format(len(lines) - 2)
    return [("compiler_warning", message, "read the compile stage's log beside the result")]
