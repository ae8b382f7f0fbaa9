"""PyTorch without a compiler on the host's CPU: the framework's own inference, fp32 or bf16."""

import os

from harness.engine import Engine
from harness.engines.host_memory import host_memory
from harness.models import torch_module

# libgomp's threads spin for milliseconds at each barrier, on the cores that decode images. A thousand
# spins take some 50 µs, enough between two kernels. Measured on two busy cores: 2.7 times the items/s.
_SPIN_COUNT = "1000"


class Eager(Engine):
    """The case's own module in torch.inference_mode; bf16 casts the module and its float inputs."""

    def __init__(self, job):
        super().__init__(job)
        self._module = None
        self._dtype = None
        self._past = None
        self._names = [spec.name for spec in job.outputs]
        self._order = [spec.name for spec in job.inputs]

    def load(self):
        """Build the module from the weights; the settings are read back from the module and from torch."""
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)  # libgomp reads it when torch loads it
        import torch
        from case import model

        torch.set_num_threads(self.job.threads)
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[self.job.precision]
        attention = self.job.engine_options.get("attention")
        module = model.build(attention=attention, **torch_module.weights(self.job))
        self._module = module.to(self._dtype).eval()
        return self._effective(torch)

    def _effective(self, torch):
        dtypes = torch_module.parameter_dtypes(self._module)
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

    def infer(self, inputs):
        """Run one batch; floating-point outputs are float32, whatever the arithmetic."""
        import torch

        with torch.inference_mode():
            tensors = [self._cast(torch.from_numpy(inputs[name])) for name in self._order]
            outputs = self._module(*tensors)
            return {
                name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
                for name, tensor in zip(self._names, outputs)
            }

    def prefill(self, tokens):
        """Begin new sequences; their keys and values stay torch tensors between steps."""
        import torch

        lengths = self.job.generation
        shape = (len(tokens), lengths.kv_heads, 0, lengths.head_size)
        self._past = [torch.empty(shape, dtype=self._dtype) for _ in range(2 * lengths.layers)]
        return self._step(tokens)

    def decode(self, tokens):
        """Append one token to each sequence."""
        return self._step(tokens[:, None])

    def _step(self, tokens):
        import torch

        with torch.inference_mode():
            logits, *self._past = self._module(torch.from_numpy(tokens), *self._past)
            return logits.float().numpy()

    def _cast(self, tensor):
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def memory(self):
        """Host memory, since the host is the device."""
        return host_memory()

    def versions(self):
        """Versions of torch and transformers."""
        import torch
        import transformers

        return {"torch": torch.__version__, "transformers": transformers.__version__}

    def close(self):
        """Release the module and the past."""
        self._module = self._past = None


ENGINE = Eager
