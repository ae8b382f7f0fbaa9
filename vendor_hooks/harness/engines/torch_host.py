"""PyTorch on the host's own processor: the engine `eager` of several vendors."""

import os
from typing import Any, Callable, Dict, List, Optional, Tuple

import numpy as np

from harness.engines import torch_slot
from harness.engines.host_memory import host_memory
from harness.engines.token_steps import StepEngine
from harness.job import Arrays, Job
from harness.models import torch_module

# At each barrier, libgomp's threads spin 300,000 times by default, on the cores that decode images. A third of it
# gives the core figure of the default; a thousand, which threads that wait for a slower one exceed, cost 15 to 35 % of it on
# two virtual cores, where waking one is slow (docs/performance.md).
_SPIN_COUNT = "100000"


class TorchHost(StepEngine):
    """The case's own module in torch.inference_mode; bf16 casts the module and its float inputs.

    It generates, too: keys and values stay torch tensors between steps. A vendor derives from this class and may override ``accelerate`` (a compiler).
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._call: Any = None
        self._dtype: Any = None
        self._past: List[Any] = []
        self._names = [spec.name for spec in job.outputs]
        self._order = [spec.name for spec in job.inputs]

    def accelerate(
        self,
        torch: Any,  # noqa: ARG002  # for overriding methods
        module: Any,
    ) -> Callable[..., Any]:
        """Return what is called for a batch: the module itself, or a compiler's version of it."""
        accelerated: Callable[..., Any] = module
        return accelerated

    def load(self) -> Dict[str, Any]:
        """Build the module from the weights; the settings are read back from the module and from torch."""
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)  # libgomp reads it when torch loads it
        import torch
        from case import model

        torch.set_num_threads(self.job.threads)
        self._dtype = getattr(torch, torch_module.DTYPES[self.job.precision])
        attention = self.job.engine_options.get("attention")
        module = model.build(attention=attention, **torch_module.weights(self.job))
        module = module.to(self._dtype).eval()
        settings = self.effective(torch, module)
        with torch.inference_mode():
            self._call = self.accelerate(torch, module)
        return settings

    def effective(self, torch: Any, module: Any) -> Dict[str, Any]:
        """The settings, as torch and the module report them."""
        dtypes = torch_module.parameter_dtypes(module)
        return {
            "precision": self.job.precision,
            "arithmetic": torch_module.arithmetic(dtypes, tf32=False),
            "parameter_dtypes": dtypes,
            "threads": torch.get_num_threads(),
            "spin_count": os.environ["GOMP_SPINCOUNT"],
            "mkldnn": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,
            "matmul_precision": torch.get_float32_matmul_precision(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }

    def examples(self, torch: Any) -> List[Any]:
        """The inputs of a full batch, all zeros, as the module takes them."""
        held = torch_slot.full_batch(torch, self.job, self.job.inputs, device="cpu")
        return [self._cast(held[name].zero_()) for name in self._order]

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one batch; floating-point outputs are float32, whatever the arithmetic."""
        import torch

        with torch.inference_mode():
            tensors = [self._cast(torch.from_numpy(inputs[name])) for name in self._order]
            outputs = self._call(*tensors)
            return {
                name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
                for name, tensor in zip(self._names, outputs)
            }

    def _cast(self, tensor: Any) -> Any:
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def begin(self, sequences: int) -> None:
        """Forget all keys and values: so many new sequences follow."""
        self._past = self.no_past(sequences)

    def no_past(self, sequences: int) -> List[Any]:
        """The keys and values of no tokens: a tensor [sequences, heads, 0, size] for each."""
        import torch

        lengths = self.job.generation
        assert lengths is not None, "only a case of generation has steps"
        shape = (sequences, lengths.kv_heads, 0, lengths.head_size)
        # As those that a step returns: to a compiler, tensors of another mode are of another kind.
        with torch.inference_mode():
            return [torch.empty(shape, dtype=self._dtype) for _ in range(2 * lengths.layers)]

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Append tokens to the sequences; returns the last one's logits."""
        import torch

        with torch.inference_mode():
            logits, *self._past = self._call(torch.from_numpy(tokens), *self._past)
            found: np.ndarray = logits.float().numpy()
            return found

    def memory(self) -> Optional[Tuple[Optional[int], Optional[int], str]]:
        """Host memory, since the host is the device."""
        return host_memory()

    def versions(self) -> Dict[str, str]:
        """Versions of torch and transformers."""
        import torch
        import transformers

        return {"torch": torch.__version__, "transformers": transformers.__version__}

    def close(self) -> None:
        """Release the module and the past."""
        self._call = None
        self._past = []
