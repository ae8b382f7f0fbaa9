"""PyTorch on a device that presents itself as ``torch.cuda``: the engine `eager` of several vendors.

Three streams (copy in, compute, copy out) and two batches in flight: while one computes, the next is
staged in pinned host memory and copied. Pinned and device buffers are made once and reused.
"""

import collections

from harness.engine import Engine
from harness.errors import StageFailure

#: Names of precisions → torch's dtype of parameters and activations. fp32 and tf32 differ in a switch.
DTYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}
NS_PER_MS = 1e6


class Slot:
    """The buffers and events of one batch in flight."""

    def __init__(self, engine, torch):
        self.host_in = engine.buffers(torch, engine.job.inputs, device="cpu", pin_memory=True)
        self.device_in = engine.buffers(torch, engine.job.inputs, device="cuda")
        self.host_out = engine.buffers(torch, engine.job.outputs, device="cpu", pin_memory=True)
        # The last one blocks: the waiting thread sleeps instead of spinning.
        self.marks = [torch.cuda.Event(enable_timing=True) for _ in range(5)]
        self.marks.append(torch.cuda.Event(enable_timing=True, blocking=True))
        self.rows = 0
        self.outputs = ()


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
        return DTYPES[self.job.precision]

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
        self._idle.extend(Slot(self, torch) for _ in range(self.in_flight))
        return settings

    def switch(self, torch):
        """TF32 is another arithmetic than fp32: on only where it was asked for."""
        allowed = self.job.precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = allowed
        torch.backends.cudnn.allow_tf32 = allowed
        torch.backends.cudnn.benchmark = bool(self.job.engine_options.get("cudnn_benchmark", True))

    def effective(self, torch, module):
        """The settings as torch and the module report them."""
        dtypes = sorted({str(p.dtype).replace("torch.", "") for p in module.parameters()})
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        return {
            "precision": self.job.precision,
            "arithmetic": _arithmetic(dtypes, matmul.allow_tf32 or cudnn.allow_tf32),
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
        """The case's module, on the device, in the dtype of the precision.

        Fused attention where this stack has it: old releases of torch or transformers refuse it.
        """
        from case import model

        wanted = self.job.engine_options.get("attention", "sdpa")
        try:
            self._attention = wanted
            module = model.build(attention=wanted, **self._weights())
        except (ImportError, ValueError):
            if wanted == "eager":
                raise
            self._attention = "eager"
            module = model.build(attention="eager", **self._weights())
        return module.to(getattr(torch, self.dtype_name())).to("cuda").eval()

    def _weights(self):
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
        }

    def buffers(self, torch, specs, **where):
        """One tensor a spec, of a full batch, in the dtype that the host side has."""
        made = {}
        for spec in specs:
            dtype = torch.float32 if spec.dtype == "bfloat16" else getattr(torch, spec.dtype)
            made[spec.name] = torch.empty(self._shape(spec), dtype=dtype, **where)
        return made

    def _shape(self, spec):
        rows = (self.job.batch_size * spec.rows_per_item,) if spec.batched else ()
        return rows + tuple(spec.shape)

    def examples(self, torch):
        """Inputs of a full batch on the device, as the module takes them."""
        held = self.buffers(torch, self.job.inputs, device="cuda")
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
            tensors = self._stage(torch, slot, inputs)
            with torch.cuda.stream(copy_in):
                marks[0].record(copy_in)
                for host, device in tensors:
                    device.copy_(host, non_blocking=True)
                marks[1].record(copy_in)
            compute.wait_event(marks[1])
            with torch.cuda.stream(compute):
                marks[2].record(compute)
                outputs = self._call(*self._cast(torch, [device for _, device in tensors]))
                slot.outputs = self._as_declared(outputs)
                marks[3].record(compute)
            copy_out.wait_event(marks[3])
            with torch.cuda.stream(copy_out):
                marks[4].record(copy_out)
                slot.rows = self._copy_out(slot)
                marks[5].record(copy_out)
        return slot

    def _stage(self, torch, slot, inputs):
        """(pinned host tensor, device tensor) of each input, cut to the rows of this call."""
        pairs = []
        for spec in self.job.inputs:
            given = torch.from_numpy(inputs[spec.name])
            host, device = slot.host_in[spec.name], slot.device_in[spec.name]
            if spec.batched:
                host, device = host[: len(given)], device[: len(given)]
            host.copy_(given)
            pairs.append((host, device))
        return pairs

    @staticmethod
    def _as_declared(outputs):
        """The outputs in declared order, still on the device, floats as fp32."""
        return [t.float() if t.is_floating_point() else t for t in outputs]

    def _copy_out(self, slot):
        rows = []
        for spec, tensor in zip(self.job.outputs, slot.outputs):
            host = slot.host_out[spec.name]
            rows.append(tensor.shape[0] if spec.batched else None)
            (host[: tensor.shape[0]] if spec.batched else host).copy_(tensor, non_blocking=True)
        return rows

    def wait(self, ticket):
        """Sleep until the copy out is done; the arrays lie in the pinned buffers of this slot."""
        ticket.marks[5].synchronize()
        ticket.outputs = ()
        self._idle.append(ticket)
        found = {}
        for spec, rows in zip(self.job.outputs, ticket.rows):
            host = ticket.host_out[spec.name]
            found[spec.name] = (host if rows is None else host[:rows]).numpy()
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


def _arithmetic(dtypes, tf32):
    if dtypes == ["float16"]:
        return "fp16"
    if dtypes == ["bfloat16"]:
        return "bf16"
    return "tf32" if tf32 else "fp32"
