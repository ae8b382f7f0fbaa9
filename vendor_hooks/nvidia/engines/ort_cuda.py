"""ONNX Runtime's own CUDA kernels: fp32, tf32, and fp16 by a graph that is cast before it is opened."""

import contextlib

from hook import engine_layers, graph_types, kept_cast
from hook.ort_engine import NvidiaOnnxRuntime

#: The provider's option for TF32 in matrix products and convolutions of fp32: on by default.
TF32 = "use_tf32"


class OrtCuda(NvidiaOnnxRuntime):
    """Each kernel computes in the types of its node, so the graph decides; TF32 is an option of the provider."""

    def __init__(self, job):
        super().__init__(job)
        self._cast = kept_cast.KeptCast(job) if job.precision == "fp16" else None

    @contextlib.contextmanager
    def graph(self):
        """The exported graph; for fp16, its cast copy in the cache."""
        yield self.job.onnx_path if self._cast is None else self._cast.path()

    def _arithmetic(self):
        """By the types of the graph that was opened, and by the options that the session states."""
        options = self._session.get_provider_options().get(self._provider, {})
        if TF32 not in options:
            why = "the provider does not state {}, which is on by default".format(TF32)
            return {"arithmetic_unread": why}
        with self.graph() as path:
            counts, why = graph_types.computing(path)
        if why:
            return {"arithmetic_unread": why}
        if options[TF32] != "0" and "fp32" in counts:
            counts["tf32"] = counts.pop("fp32")
        found = max(sorted(counts), key=lambda name: counts[name])
        if found != self.job.arithmetic:
            differs = engine_layers.differs("ONNX Runtime", self.job.arithmetic, counts)
            self._warnings.append(differs)
        return {"arithmetic": found, "layer_arithmetic": counts}

    def warnings(self):
        """Nodes on the CPU, another arithmetic, and a graph that was cast again."""
        cast = self._cast.warnings if self._cast is not None else []
        return [*super().warnings(), *cast]


ENGINE = OrtCuda
