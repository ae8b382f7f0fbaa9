"""ONNX Runtime on the host's CPU, fp32."""

import numpy as np
from harness.engines.onnxruntime import OnnxRuntime


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


class OnCpu(OnnxRuntime):
    """The provider that every build has, CPUExecutionProvider; it generates, too."""

    def __init__(self, job):
        super().__init__(job)
        self._steps = None
        self._past = None

    def load(self):
        """Open the session; the settings are read back from it."""
        settings = super().load()
        if self.job.generation is not None:
            self._steps = GraphSteps(self._session)
        return settings

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

    def close(self):
        """Release the session, its arena and the past."""
        super().close()
        self._steps = self._past = None


ENGINE = OnCpu
