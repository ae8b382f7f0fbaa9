"""TensorRT's serialised engine: what it is made from, and its build."""

from harness.engines.trt.plan import Plan
from hook import trt_build, trt_cast, trt_release


class TensorRtPlan(Plan):
    """The engine of this graph, chip, release, precision, batch size and cast."""

    def made_from(self):
        """The detail of the layers' information, and what casts the graph."""
        import tensorrt

        found = {"profiling_verbosity": "detailed"}
        if trt_cast.is_needed(self._job, trt_release.numbers(tensorrt.__version__)):
            found["cast"] = trt_cast.converter()
        return found

    def build(self, path):
        """Write the engine to ``path``; return (settings read back from the configuration, warnings)."""
        import tensorrt

        build = trt_build.Build(tensorrt, self._log, self._job)
        built = build.engine(self._job.cache_dir / "timing.cache")
        with path.open("wb") as target:
            target.write(built)
        return dict(build.effective, device=self._device.device()[0]), self._log.warnings
