"""ONNX Runtime on the host's CPU, fp32."""

from harness.engine import Engine
from harness.engines.host_memory import host_memory

# Threads that keep spinning take the cores from decoding (p_infer_whole) and, on busy machines, from each
# other. 50 µs are enough between two operators. Measured on two busy cores: twice the items/s.
_SPINNING = {
    "session.force_spinning_stop": "1",
    "session.intra_op.spin_duration_us": "50",
}


class OnnxRuntime(Engine):
    """CPUExecutionProvider with job.threads threads; synchronous, arrays are not copied.

    The graph is optimised while it is loaded. This takes seconds for the suite's models, and a saved
    optimised graph would be a second copy of the weights, so compile only proves that the graph loads.
    """

    def __init__(self, job):
        super().__init__(job)
        self._session = None
        self._names = [spec.name for spec in job.outputs]

    def compile(self):
        """Load the graph once, so that a graph which ONNX Runtime refuses is a compile failure."""
        return self.load()

    def load(self):
        """Open the session; the settings are read back from it."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.job.threads
        options.inter_op_num_threads = 1
        for key, value in _SPINNING.items():
            options.add_session_config_entry(key, value)
        self._session = onnxruntime.InferenceSession(
            str(self.job.onnx_path), options, providers=["CPUExecutionProvider"]
        )
        return self._effective()

    def _effective(self):
        options = self._session.get_session_options()
        return {
            "precision": self.job.precision,
            "arithmetic": "fp32",
            "provider": self._session.get_providers()[0],
            "threads": options.intra_op_num_threads,
            "spinning": {key: options.get_session_config_entry(key) for key in _SPINNING},
            "execution_mode": options.execution_mode.name,
            "graph_optimization": options.graph_optimization_level.name,
            "input_dtypes": {node.name: node.type for node in self._session.get_inputs()},
        }

    def infer(self, inputs):
        """Run one batch; the session reads the arrays in place."""
        return dict(zip(self._names, self._session.run(self._names, inputs)))

    def memory(self):
        """Host memory, since the host is the device."""
        return host_memory()

    def versions(self):
        """The version of ONNX Runtime."""
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__}

    def close(self):
        """Release the session and its arena."""
        self._session = None


ENGINE = OnnxRuntime
