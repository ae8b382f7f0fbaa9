"""PyTorch on the host's own processor: the engine `eager` of several vendors."""

import os
from typing import Any, Callable, Dict, List, Optional, Tuple

from harness.engine import Engine
from harness.engines import torch_slot
from harness.engines.host_memory import host_memory
from harness.job import Arrays, Job
from harness.models import torch_module

# libgomp's threads spin for milliseconds at each barrier, on the cores that decode images. A thousand
# spins take some 50 µs, enough between two kernels. Measured on two busy cores: 2.7 times the items/s.
_SPIN_COUNT = "1000"


class TorchHost(Engine):
    """The case's own module in torch.inference_mode; bf16 casts the module and its float inputs.

    A vendor derives from this class and may override ``accelerate`` (a compiler).
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._call: Any = None
        self._dtype: Any = None
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

    def memory(self) -> Optional[Tuple[Optional[int], Optional[int], str]]:
        """Host memory, since the host is the device."""
        return host_memory()

    def versions(self) -> Dict[str, str]:
        """Versions of torch and transformers."""
        import torch
        import transformers

        return {"torch": torch.__version__, "transformers": transformers.__version__}

    def close(self) -> None:
        """Release the module."""
        self._call = None
