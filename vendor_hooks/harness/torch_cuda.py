"""PyTorch on a device that presents itself as ``torch.cuda``: the engine `eager` of several vendors.

Three streams (copy in, compute, copy out) and two batches in flight: while one computes, the next is
staged in pinned host memory and copied. Pinned and device buffers are made once and reused.
"""

import collections
import os

from harness import torch_module, torch_slot
from harness.engine import Engine
from harness.errors import StageFailure

NS_PER_MS = 1e6
#: Where it is 1, as in NVIDIA's images, PyTorch before 2.0 keeps TF32 on (pytorch/pytorch#77114).
OVERRIDE = "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"


class TorchCuda(Engine):
    """The case's own module in torch.inference_mode on the device.

    A vendor derives from it and may override ``accelerate`` (a compiler) and ``dtype_name``.
    """

    in_flight = 2
    reuses_outputs = True

    def __init__(self, job):
        super().__init__(job)
        self._call = None
        self._idle = collections.deque()
        self._streams = ()
        self._attention = None

    def accelerate(self, module, examples):  # noqa: ARG002  # what overrides it needs them
        """What is called for a batch: the module itself, or what a compiler makes of it."""
        return module

    def dtype_name(self):
        """The torch dtype of parameters and of what goes between layers."""
        return torch_module.DTYPES[self.job.precision]

    def compile(self):
        """There is nothing to compile, but that the device is there is found out now."""
        self._open()
        return {}

    def load(self):
        """Build the module from the weights on the device; settings are read back from torch."""
        torch = self._open()
        self.switch(torch)
        module = self._build(torch)
        settings = self.effective(torch, module)
        with torch.inference_mode():
            self._call = self.accelerate(module, self.examples(torch))
        self._streams = tuple(torch.cuda.Stream() for _ in range(3))
        self._idle.extend(torch_slot.Slot(torch, self.job) for _ in range(self.in_flight))
        # Weights went over on the default stream, for which the three do not wait.
        torch.cuda.synchronize()
        return settings

    def switch(self, torch):
        """TF32 is another arithmetic than fp32: on only where it was asked for, or nothing runs."""
        allowed = self.job.precision == "tf32"
        switches = {
            "torch.backends.cuda.matmul": torch.backends.cuda.matmul,
            "torch.backends.cudnn": torch.backends.cudnn,
        }
        for name, switch in switches.items():
            switch.allow_tf32 = allowed
            # An environment variable goes before the switch in PyTorch before 2.0.
            if switch.allow_tf32 and not allowed:
                raise self._tf32_stays(torch, name)
        torch.backends.cudnn.benchmark = bool(self.job.engine_options.get("cudnn_benchmark", True))

    def _tf32_stays(self, torch, name):
        return StageFailure(
            "image",
            "{}.allow_tf32 is True in PyTorch {} after it was set to False, with {}={}: {} would be computed "
            "as TF32".format(
                name, torch.__version__, OVERRIDE, os.environ.get(OVERRIDE), self.job.precision
            ),
            'write env = {{ {} = "0" }} under [devices] in vendor_hooks/{}/vendor.toml, and take it out of the '
            "environment of the image or of this shell".format(OVERRIDE, self.job.vendor),
        )

    def effective(self, torch, module):
        """The settings as torch and the module report them."""
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

    def _open(self):
        """Torch, with a device."""
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

    def _build(self, torch):
        """The case's module, on the device, in the dtype of the precision."""
        module, self._attention = torch_module.build(self.job)
        return module.to(getattr(torch, self.dtype_name())).to("cuda").eval()

    def examples(self, torch):
        """Inputs of a full batch on the device, as the module takes them."""
        held = torch_slot.full_batch(torch, self.job, self.job.inputs, device="cuda")
        for tensor in held.values():
            tensor.zero_()
        return self._cast(torch, [held[spec.name] for spec in self.job.inputs])

    def _cast(self, torch, tensors):
        dtype = getattr(torch, self.dtype_name())
        return [t.to(dtype) if t.is_floating_point() else t for t in tensors]

    def submit(self, inputs):
        """Stage, copy in, compute, copy out: everything is enqueued, nothing waited for."""
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

    def wait(self, ticket):
        """Sleep until the copy out is done; the arrays lie in the pinned buffers of this slot."""
        ticket.marks[5].synchronize()
        found = ticket.arrays()
        self._idle.append(ticket)
        return found

    def phases(self, ticket):
        """Device time of copy in, compute, copy out, by events on their streams."""
        m = ticket.marks
        return tuple(int(a.elapsed_time(b) * NS_PER_MS) for a, b in zip(m[0::2], m[1::2]))

    def memory(self):
        """Device memory in use at the end of the stage: torch's pool never shrinks."""
        import torch

        if self._call is None:
            return None
        free, total = torch.cuda.mem_get_info()
        return total - free, total, "torch.cuda.mem_get_info at the end of the stage, all processes"

    def versions(self):
        """Those of torch, the device's runtime below it, and transformers."""
        import torch
        import transformers

        found = {"torch": torch.__version__, "transformers": transformers.__version__}
        for name in ("cuda", "maca"):
            if getattr(torch.version, name, None):
                found[name] = getattr(torch.version, name)
        return found

    def close(self):
        """Drop module and buffers."""
        self._call = None
        self._idle.clear()
