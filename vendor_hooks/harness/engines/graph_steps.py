"""A language model's exported graph in ONNX Runtime, step by step: keys and values stay where the provider computes."""

from typing import Any, List, Tuple

import numpy as np

#: Where a provider's tensors are, as IO binding names it; those that are not listed compute in host memory.
DEVICE_TYPES = {
    "CUDAExecutionProvider": "cuda",
    "TensorrtExecutionProvider": "cuda",
    "NvTensorRTRTXExecutionProvider": "cuda",
    "CANNExecutionProvider": "cann",
    "DmlExecutionProvider": "dml",
}
HOST = "cpu"
#: ONNX Runtime's name of the past's element type → numpy's.
ELEMENT_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class GraphSteps:
    """Steps of a graph whose first input is tokens and whose first output is logits; the others are the past.

    The past is bound where the session left it (IO binding), and never copied to Python. ``device_type`` and
    ``device_id`` say where that is.
    """

    def __init__(self, session: Any, device_type: str = HOST, device_id: int = 0) -> None:
        inputs, outputs = session.get_inputs(), session.get_outputs()
        self._session = session
        self._binding = session.io_binding()
        self._device = (device_type, device_id)
        self._tokens, *self._names = (node.name for node in inputs)
        self._logits, *self._present = (node.name for node in outputs)
        self._shapes = [node.shape for node in inputs[1:]]
        self._dtype = ELEMENT_TYPES[inputs[1].type]
        self._past: List[Any] = []

    def begin(self, sequences: int) -> None:
        """Forget the past: values of the session's, with no positions."""
        import onnxruntime

        runtime: Any = onnxruntime
        self._past = [
            runtime.OrtValue.ortvalue_from_numpy(
                np.zeros((sequences, heads, 0, size), self._dtype), *self._device
            )
            for _, heads, _, size in self._shapes
        ]

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append int64 [batch, length] tokens; returns the last one's logits, in host memory."""
        binding = self._binding
        binding.bind_cpu_input(self._tokens, tokens)
        for name, value in zip(self._names, self._past):
            binding.bind_ortvalue_input(name, value)
        binding.bind_output(self._logits, HOST)
        for name in self._present:
            binding.bind_output(name, *self._device)
        self._session.run_with_iobinding(binding)
        logits, *self._past = binding.get_outputs()
        found: np.ndarray = logits.numpy()
        return found.astype(np.float32, copy=False)


def device_of(provider: str, options: Any, given: Any) -> Tuple[str, int]:
    """(device type, device number) of a provider with these options; ``given`` is the manifest's type, or None."""
    number = str(options.get("device_id", "0"))
    chosen = given or DEVICE_TYPES.get(provider, HOST)
    return chosen, int(number) if number.isdigit() and chosen != HOST else 0
