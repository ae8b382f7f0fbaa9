"""PyTorch on a device with streams and events, such as ``torch.cuda``: the engine `eager` of several vendors.

vendor.toml may name it instead of a file in engines/: ``harness_engine = "torch_cuda"``. Keys of
[engines.<name>.options]:

- ``torch_build``: the build of PyTorch that is required, ``cuda``, ``hip`` (ROCm) or ``corex``; by default any
- ``attention``: ``sdpa`` (the default, where stack and architecture have it) or ``eager``
- ``cudnn_benchmark``: whether cuDNN (MIOpen on ROCm) searches for its fastest kernels; by default true
"""

import os
from typing import Any, Callable, Dict, List, Optional, Sequence

from harness.engines import torch_slot
from harness.engines.torch_streams import TorchStreams
from harness.errors import StageFailure
from harness.job import Job
from harness.models import torch_module

#: If it is 1, as in NVIDIA's images, PyTorch before 2.0 keeps TF32 on (pytorch/pytorch#77114).
OVERRIDE = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"


class TorchCuda(TorchStreams):
    """The case's own module on the device, in torch.inference_mode.

    A vendor derives from this class and may override ``accelerate`` (a compiler) and ``dtype_name``. A device
    that PyTorch knows by another name, with the same streams and events, sets ``device_type`` and overrides
    ``switch`` and ``effective``, which know CUDA's switches.
    """

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._attention: Optional[str] = None

    def accelerate(
        self,
        module: Any,
        examples: List[Any],  # noqa: ARG002  # for overriding methods
    ) -> Callable[..., Any]:
        """Return what is called for a batch: the module itself, or a compiler's version of it."""
        return module

    def dtype_name(self) -> str:
        """The torch dtype of parameters and activations."""
        return torch_module.DTYPES[self.job.precision]

    def compile(self) -> Dict[str, Any]:
        """Only check that the device is there; there is nothing to compile."""
        self.open_torch()
        return {}

    def load(self) -> Dict[str, Any]:
        """Build the module from the weights, on the device; settings are read back from torch."""
        torch = self.open_torch()
        self.switch(torch)
        module = self._build(torch)
        settings = self.effective(torch, module)
        with torch.inference_mode():
            call = self.accelerate(module, self.examples(torch))
        self.begin_streams(torch, call)
        return settings

    def switch(self, torch: Any) -> None:
        """Allow TF32 only where it was asked for, since it is not fp32; fail if it stays on otherwise."""
        allowed = self.job.precision == "tf32"
        switches = {
            "torch.backends.cuda.matmul": torch.backends.cuda.matmul,
            "torch.backends.cudnn": torch.backends.cudnn,
        }
        for name, switch in switches.items():
            switch.allow_tf32 = allowed
            # Before PyTorch 2.0 an environment variable overrides the switch.
            if switch.allow_tf32 and not allowed:
                raise self._tf32_stays(torch, name)
        torch.backends.cudnn.benchmark = bool(self.job.engine_options.get("cudnn_benchmark", True))

    def _tf32_stays(self, torch: Any, name: str) -> StageFailure:
        return StageFailure(
            "image",
            "{}.allow_tf32 is still True in PyTorch {} after it was set to False, with {}={}: {} would be "
            "computed as TF32".format(
                name, torch.__version__, OVERRIDE, os.environ.get(OVERRIDE), self.job.precision
            ),
            'write env = {{ {} = "0" }} under [devices] in vendor_hooks/{}/vendor.toml, and remove it from the '
            "environment of the image or of this shell".format(OVERRIDE, self.job.vendor),
        )

    def effective(self, torch: Any, module: Any) -> Dict[str, Any]:
        """The settings, as torch and the module report them."""
        dtypes = torch_module.parameter_dtypes(module)
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        return {
            "precision": self.job.precision,
            "arithmetic": torch_module.arithmetic(dtypes, matmul.allow_tf32 or cudnn.allow_tf32),
            "parameter_dtypes": dtypes,
            "matmul_allow_tf32": matmul.allow_tf32,
            "cudnn_allow_tf32": cudnn.allow_tf32,
            "cudnn_benchmark": cudnn.benchmark,
            "attention": self._attention,
            "in_flight": self.in_flight,
            "device": torch.cuda.get_device_name(),
        }

    def _build(self, torch: Any) -> Any:
        """The case's module, on the device, in the dtype of the precision."""
        module, self._attention = torch_module.build(self.job)
        return module.to(getattr(torch, self.dtype_name())).to(self.device_type).eval()

    def examples(self, torch: Any) -> List[Any]:
        """The inputs of a full batch on the device, as the module takes them."""
        held = torch_slot.full_batch(torch, self.job, self.job.inputs, device=self.device_type)
        for tensor in held.values():
            tensor.zero_()
        return self.as_called(torch, [held[spec.name] for spec in self.job.inputs])

    def as_called(self, torch: Any, tensors: Sequence[Any]) -> List[Any]:
        """The inputs of a batch in the dtypes of the module: floats in that of the precision."""
        dtype = getattr(torch, self.dtype_name())
        return [t.to(dtype) if t.is_floating_point() else t for t in tensors]

    def versions(self) -> Dict[str, str]:
        """Versions of torch, of the device's runtime below it, and of transformers."""
        import transformers

        return dict(super().versions(), transformers=transformers.__version__)


ENGINE = TorchCuda
