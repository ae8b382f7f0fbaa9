"""``torch.cuda`` on a build of PyTorch without CUDA: the few calls that a hook needs, on the CPU.

Device "cuda" becomes "cpu"; synchronisations are counted; memory is what tensors moved to the device
take. It does nothing where PyTorch has CUDA, unless its CUDA was cut out for a test's base image.
"""

import contextlib
import functools
import os
import time

from assay_standin import chips, faults, settings

PATCHED_FACTORIES = ("empty", "zeros", "ones", "full", "tensor", "as_tensor", "arange", "empty_like",
                     "zeros_like", "ones_like", "randn", "rand")  # fmt: skip


def patch(torch, vendor):
    """Patch a freshly imported torch."""
    if torch.version.cuda is not None and not _is_cut(torch):
        return
    if getattr(torch.cuda, "__assay_standin__", False):
        return
    if vendor == "amd":
        # A build for ROCm has no version of CUDA.
        torch.version.cuda, torch.version.hip = None, "7.2.53211"
    else:
        torch.version.cuda = settings.value("cuda")
    if vendor == "metax":
        torch.version.maca = "2.19.2.5"
    if vendor == "iluvatar":
        # CoreX is in the version's local part; the release is the one that runs here.
        torch.__version__ = torch.__version__.partition("+")[0] + "+corex.4.3.0"
    _patch_queries(torch, chips.chip(vendor))
    _patch_streams(torch)
    _patch_moves(torch)
    if vendor == "nvidia":
        _patch_tf32(torch)
    if hasattr(torch, "compile"):
        torch.compile = _compile
    torch.cuda.__assay_standin__ = True


def _is_cut(torch):
    return os.path.exists(os.path.join(os.path.dirname(torch.__file__), "ASSAY-STANDIN"))


def _patch_tf32(torch):
    """As PyTorch before 2.0 (TensorRT 8.5's) does by itself: this variable goes before allow_tf32."""
    older = settings.value("tensorrt").startswith(("7.", "8.0", "8.2", "8.4", "8.5"))
    if older and os.environ.get("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE") == "1":
        torch._C._get_cublas_allow_tf32 = lambda: True


class _Compiled:
    """What torch.compile gives: compiled at its first call, and for those shapes alone."""

    def __init__(self, module, dynamic):
        self._module, self._dynamic, self.shapes = module, dynamic, set()

    def __call__(self, *tensors):
        """Run the module itself; a call of other shapes would be another compilation."""
        shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        if shapes not in self.shapes and (self._dynamic is False or not self.shapes):
            self.shapes.add(shapes)
            if faults.strike("compile") & {"fail", "oom"}:
                raise RuntimeError(
                    "backend='inductor' raised: LoweringException: no kernel for aten.mm"
                )
        faults.strike("infer")
        return self._module(*tensors)


def _compile(model, *, fullgraph=False, dynamic=None, backend="inductor", mode=None, options=None):
    """torch.compile without a compiler: inductor would ask for a C++ compiler, dynamo for CUDA."""
    known = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
    if mode is not None and mode not in known:
        raise RuntimeError(
            "Unrecognized mode={}, should be one of: {}".format(mode, ", ".join(known))
        )
    return _Compiled(model, dynamic)


def _patch_queries(torch, chip):
    cuda, moved = torch.cuda, {"bytes": 0, "peak": 0}
    cuda.standin_synchronizations = 0
    cuda.standin_moved = moved

    def synchronize(device=None):
        faults.strike("infer")
        cuda.standin_synchronizations += 1

    capability = tuple(int(c) for c in chip.kind.split(".")) if "." in chip.kind else (8, 0)
    properties = type("_CudaDeviceProperties", (), {
        "name": chip.name, "total_memory": chip.memory_mib << 20, "major": capability[0],
        "minor": capability[1], "multi_processor_count": 104,
        "gcnArchName": chip.kind + ":sramecc+:xnack-"})()  # fmt: skip
    total = chip.memory_mib << 20
    replacements = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "init": lambda: None,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "get_device_name": lambda device=None: chip.name,
        "get_device_properties": lambda device=None: properties,
        "get_device_capability": lambda device=None: capability,
        "synchronize": synchronize,
        "empty_cache": lambda: None,
        "mem_get_info": lambda device=None: (total - moved["bytes"], total),
        "memory_allocated": lambda device=None: moved["bytes"],
        "max_memory_allocated": lambda device=None: moved["peak"],
        "memory_reserved": lambda device=None: moved["bytes"],
        "max_memory_reserved": lambda device=None: moved["peak"],
        "reset_peak_memory_stats": lambda device=None: moved.update(peak=moved["bytes"]),
        "is_bf16_supported": lambda *a, **k: True,
    }
    for name, function in replacements.items():
        setattr(cuda, name, function)


class Stream:
    """A stream; the CPU is always done."""

    cuda_stream = 0
    cuda = None

    def __init__(self, device=None, priority=0, **_):
        self.priority = priority

    def synchronize(self):
        """Count it; a device that hangs or dies does so here."""
        faults.strike("infer")
        self.cuda.standin_synchronizations += 1

    def wait_stream(self, stream):
        """There is nothing to wait for."""

    def wait_event(self, event):
        """There is nothing to wait for."""

    def record_event(self, event=None):
        """Return the event, recorded."""
        event = event or Event()
        event.record(self)
        return event

    def query(self):
        """Whether it is done."""
        return True


class Event:
    """A moment."""

    cuda = None

    def __init__(self, enable_timing=False, blocking=False, interprocess=False):
        self._timing, self._at_s = enable_timing, None

    def record(self, stream=None):
        """Note the time."""
        self._at_s = time.perf_counter()

    def synchronize(self):
        """Count it; a device that hangs or dies does so here."""
        faults.strike("infer")
        self.cuda.standin_synchronizations += 1

    def query(self):
        """Whether it was reached."""
        return True

    def wait(self, stream=None):
        """There is nothing to wait for."""

    def elapsed_time(self, other):
        """Return milliseconds."""
        if not (self._timing and other._timing):
            raise RuntimeError("Both events must be created with argument 'enable_timing=True'.")
        return (other._at_s - self._at_s) * 1e3


def _patch_streams(torch):
    cuda = torch.cuda
    Stream.cuda = Event.cuda = cuda
    cuda.Stream, cuda.Event = Stream, Event
    current = Stream()
    cuda.current_stream = lambda device=None: current
    cuda.default_stream = lambda device=None: current
    cuda.stream = contextlib.nullcontext
    cuda.device = contextlib.nullcontext


def _is_cuda(device):
    if isinstance(device, str):
        return device.split(":")[0] == "cuda"
    return getattr(device, "type", None) == "cuda"


def _to_cpu(args, kwargs):
    """Return (args, kwargs, whether a CUDA device was among them) with the CPU in its place."""
    hit = any(_is_cuda(a) for a in args) or _is_cuda(kwargs.get("device"))
    args = tuple("cpu" if _is_cuda(a) else a for a in args)
    kwargs = {k: "cpu" if k == "device" and _is_cuda(v) else v for k, v in kwargs.items()}
    return args, kwargs, hit


def _patch_moves(torch):
    moved = torch.cuda.standin_moved

    def count(nbytes):
        moved["bytes"] += nbytes
        moved["peak"] = max(moved["peak"], moved["bytes"])

    def to(original):
        @functools.wraps(original)
        def wrapper(self, *args, **kwargs):
            args, kwargs, hit = _to_cpu(args, kwargs)
            result = original(self, *args, **kwargs)
            if hit and isinstance(self, torch.nn.Module):
                _load(torch, self)
                _widen_half(torch, self)
                count(sum(p.numel() * p.element_size() for p in self.parameters()))
            # A device's tensor is never the host's: a real copy, so that aliasing cannot hide.
            return result.clone() if hit and result is self and torch.is_tensor(self) else result

        return wrapper

    def factory(original):
        @functools.wraps(original)
        def wrapper(*args, **kwargs):
            kwargs.pop("pin_memory", None)
            args, kwargs, _ = _to_cpu(args, kwargs)
            return original(*args, **kwargs)

        return wrapper

    torch.Tensor.to = to(torch.Tensor.to)
    torch.nn.Module.to = to(torch.nn.Module.to)
    torch.Tensor.cuda = lambda self, device=None, non_blocking=False: self.to("cuda")
    torch.nn.Module.cuda = lambda self, device=None: self.to("cuda")
    torch.Tensor.pin_memory = lambda self, device=None: self
    torch.Tensor.is_pinned = lambda self, device=None: True
    for name in PATCHED_FACTORIES:
        setattr(torch, name, factory(getattr(torch, name)))
    _patch_autocast(torch)


def _load(torch, module):
    """The faults of a module that goes to the device: no memory, outputs that are wrong."""
    if "oom" in faults.strike("load"):
        raise torch.cuda.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 1024.00 MiB (GPU 0)"
        )
    if faults.asked("infer") & {"nan", "drift"}:
        module.register_forward_hook(lambda _, inputs, outputs: _spoil(torch, outputs))


def _widen_half(torch, module):
    """fp16 where this PyTorch has no kernels of it for the CPU: weights, inputs and outputs are rounded."""
    if _computes_half(torch):
        return
    state = list(module.parameters()) + list(module.buffers())
    narrow = []

    def widen(_, inputs):
        for tensor in state:
            if tensor.dtype == torch.float16:
                narrow.append((tensor, tensor.data))
                tensor.data = tensor.data.float()
        return tuple(x.float() if x.dtype == torch.float16 else x for x in inputs)

    def lower(_, inputs, outputs):
        if not narrow:
            return outputs
        while narrow:
            tensor, data = narrow.pop()
            tensor.data = data
        many = isinstance(outputs, (tuple, list))
        halves = tuple(x.half() for x in (outputs if many else (outputs,)))
        return halves if many else halves[0]

    module.register_forward_pre_hook(widen)
    module.register_forward_hook(lower)


def _computes_half(torch):
    image, kernel = (torch.zeros(1, 1, 2, 2, dtype=torch.float16) for _ in range(2))
    try:
        torch.nn.functional.conv2d(image, kernel)
        torch.nn.functional.layer_norm(image @ kernel, (2,))
    except RuntimeError:
        return False
    return True


def _spoil(torch, outputs):
    many = isinstance(outputs, (tuple, list))
    tensors = list(outputs) if many else [outputs]
    arrays = faults.spoil([tensor.detach().float().numpy() for tensor in tensors])
    spoiled = [torch.from_numpy(a.copy()).to(t.dtype) for a, t in zip(arrays, tensors)]
    return tuple(spoiled) if many else spoiled[0]


def _patch_autocast(torch):
    original = torch.autocast

    class autocast(original):
        """``torch.autocast("cuda")`` lowers on the CPU."""

        def __init__(self, device_type, *args, **kwargs):
            if _is_cuda(device_type):
                device_type = "cpu"
                kwargs["dtype"] = torch.bfloat16
            super().__init__(device_type, *args, **kwargs)

    torch.autocast = autocast
