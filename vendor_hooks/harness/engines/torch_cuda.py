"""PyTorch on a device that appears as ``torch.cuda``: the engine `eager` of several vendors.

Three streams (copy in, compute, copy out) and two batches in flight: while one batch computes, the next
is staged in pinned host memory and copied. Pinned and device buffers are allocated once and reused.
"""

import collections
import os
from typing import Any, Callable, Deque, Dict, List, Optional, Sequence, Tuple

from harness.engine import Engine, Phases
from harness.engines import torch_slot
from harness.errors import StageFailure
from harness.job import Arrays, Job
from harness.models import torch_module

NS_PER_MS = 1e6
#: If it is 1, as in NVIDIA's images, PyTorch before 2.0 keeps TF32 on (pytorch/pytorch#77114).
OVERRIDE = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"


class TorchCuda(Engine):
    """The case's own module on the device, in torch.inference_mode.

    A vendor derives from this class and may override ``accelerate`` (a compiler) and ``dtype_name``.
    """

    in_flight = 2
    reuses_outputs = True

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._call: Any = None
        self._idle: Deque[torch_slot.TorchSlot] = collections.deque()
        self._streams: Tuple[Any, ...] = ()
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
        self._open()
        return {}

    def load(self) -> Dict[str, Any]:
        """Build the module from the weights, on the device; settings are read back from torch."""
        torch = self._open()
        self.switch(torch)
        module = self._build(torch)
        settings = self.effective(torch, module)
        with torch.inference_mode():
            self._call = self.accelerate(module, self.examples(torch))
        self._streams = tuple(torch.cuda.Stream() for _ in range(3))
        self._idle.extend(torch_slot.TorchSlot(torch, self.job) for _ in range(self.in_flight))
        # Weights were copied on the default stream, for which the three others do not wait.
        torch.cuda.synchronize()
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

    def _open(self) -> Any:
        """Import torch and check that it has a device."""
        import torch

        self.simulated = self.simulated or bool(getattr(torch.cuda, "__assay_standin__", False))
        if torch.cuda.is_available() and torch.cuda.device_count():
            return torch
        raise StageFailure(
            "host",
            "PyTorch {} sees no device (torch.cuda.is_available() is {})".format(
                torch.__version__, torch.cuda.is_available()
            ),
            "make doctor VENDOR={} checks driver, device nodes and container runtime".format(
                self.job.vendor
            ),
        )

    def _build(self, torch: Any) -> Any:
        """The case's module, on the device, in the dtype of the precision."""
        module, self._attention = torch_module.build(self.job)
        return module.to(getattr(torch, self.dtype_name())).to("cuda").eval()

    def examples(self, torch: Any) -> List[Any]:
        """The inputs of a full batch on the device, as the module takes them."""
        held = torch_slot.full_batch(torch, self.job, self.job.inputs, device="cuda")
        for tensor in held.values():
            tensor.zero_()
        return self._cast(torch, [held[spec.name] for spec in self.job.inputs])

    def _cast(self, torch: Any, tensors: Sequence[Any]) -> List[Any]:
        dtype = getattr(torch, self.dtype_name())
        return [t.to(dtype) if t.is_floating_point() else t for t in tensors]

    def submit(self, inputs: Arrays) -> torch_slot.TorchSlot:
        """Enqueue staging, copy in, compute and copy out, without waiting for any of them."""
        import torch

        slot = self._idle.popleft()
        copy_in, compute, copy_out = self._streams
        marks = slot.marks
        with torch.inference_mode():
            tensors = slot.stage(inputs)
            with torch.cuda.stream(copy_in):
                marks[0].record(copy_in)
                for host, device in tensors:
                    device.copy_(host, non_blocking=True)
                marks[1].record(copy_in)
            compute.wait_event(marks[1])
            with torch.cuda.stream(compute):
                marks[2].record(compute)
                slot.hold(self._call(*self._cast(torch, [device for _, device in tensors])))
                marks[3].record(compute)
            copy_out.wait_event(marks[3])
            with torch.cuda.stream(copy_out):
                marks[4].record(copy_out)
                slot.copy_out()
                marks[5].record(copy_out)
        return slot

    def wait(self, ticket: torch_slot.TorchSlot) -> Arrays:
        """Sleep until the copy out has finished; the arrays are views of this slot's pinned buffers."""
        ticket.marks[5].synchronize()
        found = ticket.arrays()
        self._idle.append(ticket)
        return found

    def phases(self, ticket: torch_slot.TorchSlot) -> Phases:
        """Device time of copy in, compute and copy out, by events on their streams."""
        m = ticket.marks
        h2d, compute, d2h = (int(a.elapsed_time(b) * NS_PER_MS) for a, b in zip(m[0::2], m[1::2]))
        return h2d, compute, d2h

    def memory(self) -> Optional[Tuple[int, int, str]]:
        """Device memory in use at the end of the stage, which is the peak: torch's pool never shrinks."""
        import torch

        if self._call is None:
            return None
        free, total = torch.cuda.mem_get_info()
        return total - free, total, "torch.cuda.mem_get_info at the end of the stage, all processes"

    def versions(self) -> Dict[str, str]:
        """Versions of torch, of the device's runtime below it, and of transformers."""
        import torch
        import transformers

        found = {"torch": torch.__version__, "transformers": transformers.__version__}
        for name in ("cuda", "maca"):
            if getattr(torch.version, name, None):
                found[name] = getattr(torch.version, name)
        return found

    def close(self) -> None:
        """Release module and buffers."""
        self._call = None
        self._idle.clear()
