"""PyTorch without a compiler on the host's CPU: the framework's own inference, fp32 or bf16."""

import os

from harness.engine import Engine
from harness.memory import host_memory

# libgomp's threads spin for milliseconds at each barrier, on the cores that decode pictures. A thousand
# turns are some 50 µs: enough between two kernels. Measured on two busy cores: 2.7 times the items/s.
_SPIN_COUNT = "1000"


class Eager(Engine):
    """The case's own module in torch.inference_mode; bf16 casts the module and its float inputs."""

    def __init__(self, job):
        super().__init__(job)
        self._module = None
        self._dtype = None
        self._names = [spec.name for spec in job.outputs]
        self._order = [spec.name for spec in job.inputs]

    def load(self):
        """Build the module from the weights; the settings are read back from it and from torch."""
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)  # libgomp reads it when torch loads it
        import torch
        from case import model

        torch.set_num_threads(self.job.threads)
        self._dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[self.job.precision]
        module = model.build(**self._weights())
        self._module = module.to(self._dtype).eval()
        return self._effective(torch)

    def _weights(self):
        """Arguments of the case's build: the exported Hugging Face folder where there is one."""
        exported = self.job.model_dir / "torch"
        if (exported / "config.json").is_file():
            folder, weights_format, synthetic = exported, "huggingface", False
        else:
            folder, weights_format = self.job.weights_dir, self.job.weights_format
            synthetic = self.job.weights == "synthetic"
        return {
            "weights_dir": str(folder),
            "weights_format": weights_format,
            "synthetic": synthetic,
            "seed": self.job.seed,
            "attention": self.job.engine_options.get("attention"),
        }

    def _effective(self, torch):
        dtypes = {str(p.dtype).replace("torch.", "") for p in self._module.parameters()}
        return {
            "precision": self.job.precision,
            "arithmetic": "bf16" if dtypes == {"bfloat16"} else "fp32",
            "parameter_dtypes": sorted(dtypes),
            "threads": torch.get_num_threads(),
            "spin_count": os.environ["GOMP_SPINCOUNT"],
            "mkldnn": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,
            "matmul_precision": torch.get_float32_matmul_precision(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }

    def infer(self, inputs):
        """One batch; outputs are float32 in host memory whatever the arithmetic."""
        import torch

        with torch.inference_mode():
            tensors = [self._cast(torch.from_numpy(inputs[name])) for name in self._order]
            outputs = self._module(*tensors)
            return {
                name: (tensor.float() if tensor.is_floating_point() else tensor).numpy()
                for name, tensor in zip(self._names, outputs)
            }

    def _cast(self, tensor):
        return tensor.to(self._dtype) if tensor.is_floating_point() else tensor

    def memory(self):
        """The host is the device."""
        return host_memory()

    def versions(self):
        """Those of torch and transformers."""
        import torch
        import transformers

        return {"torch": torch.__version__, "transformers": transformers.__version__}

    def close(self):
        """Drop the module."""
        self._module = None


ENGINE = Eager
