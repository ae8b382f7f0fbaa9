"""ONNX Runtime on the host's CPU, fp32."""

import numpy as np
from harness.engine import Engine
from harness.engines.host_memory import host_memory

# Threads that keep spinning take the cores from decoding (p_infer_whole) and, on busy machines, from each
# other. 50 µs are enough between two operators. Measured on two busy cores: twice the items/s.
_SPINNING = {
    "session.force_spinning_stop": "1",
    "session.intra_op.spin_duration_us": "50",
}


class GraphSteps:
    """Steps of a language model's graph: its first input is tokens, its first output logits, the others the past.

    The past is bound where the session left it (IO binding), and never copied to Python.
    """

    def __init__(self, session):
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self._binding = session.io_binding()
        self._session = session
        self._tokens, *self._past = (node.name for node in inputs)
        self._shapes = [node.shape for node in inputs[1:]]
        self._outputs = [node.name for node in outputs]

    def nothing(self, sequences):
        """The past before the first token: values of the session's, with no positions."""
        import onnxruntime

        return [
            onnxruntime.OrtValue.ortvalue_from_numpy(
                np.zeros((sequences, heads, 0, size), np.float32)
            )
            for _, heads, _, size in self._shapes
        ]

    def run(self, tokens, past):
        """(logits, the past with these tokens), of int64 [B, S] tokens."""
        binding = self._binding
        binding.bind_cpu_input(self._tokens, tokens)
        for name, value in zip(self._past, past):
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        logits, *present = binding.get_outputs()
        return logits.numpy(), present


class OnnxRuntime(Engine):
    """CPUExecutionProvider with job.threads threads; synchronous, arrays are not copied.

    The graph is optimised while it is loaded. This takes seconds for the suite's models, and a saved
    optimised graph would be a second copy of the weights, so compile only proves that the graph loads.
    """

    def __init__(self, job):
        super().__init__(job)
        self._session = None
        self._steps = None
        self._past = None
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
        if self.job.generation is not None:
            self._steps = GraphSteps(self._session)
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

    def prefill(self, tokens):
        """Begin new sequences; their keys and values stay in the session's memory between steps."""
        self._past = self._steps.nothing(len(tokens))
        return self._step(tokens)

    def decode(self, tokens):
        """Append one token to each sequence."""
        return self._step(tokens[:, None])

    def _step(self, tokens):
        logits, self._past = self._steps.run(tokens, self._past)
        return logits

    def memory(self):
        """Host memory, since the host is the device."""
        return host_memory()

    def versions(self):
        """The version of ONNX Runtime."""
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__}

    def close(self):
        """Release the session and its arena."""
        self._session = self._steps = self._past = None


ENGINE = OnnxRuntime
