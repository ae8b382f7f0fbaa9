"""A device of PyTorch that is the CPU: moves, streams, events, memory and queries, whatever its name.

Its tensors become the CPU's; synchronisations are counted; memory is what tensors moved to the device take.
"""

import contextlib
import functools
import time

from assay_standin import faults

PATCHED_FACTORIES = ("empty", "zeros", "ones", "full", "tensor", "as_tensor", "arange", "empty_like",
                     "zeros_like", "ones_like", "randn", "rand")  # fmt: skip


def patch(torch, runtime, kind, chip, no_memory, loaded=None):
    """Patch ``runtime`` (torch.cuda) and torch, so that a device ``kind`` ("cuda") is the CPU.

    ``no_memory()`` is the error of full memory; ``loaded(module)`` is called for each module that is moved there.
    """
    _patch_queries(runtime, chip)
    _patch_streams(runtime)
    _patch_moves(torch, runtime, kind, no_memory, loaded)


def _patch_queries(runtime, chip):
    moved = {"bytes": 0, "peak": 0}
    runtime.standin_synchronizations = 0
    runtime.standin_moved = moved

    def synchronize(device=None):
        faults.strike("infer")
        runtime.standin_synchronizations += 1

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
        setattr(runtime, name, function)


class Stream:
    """A stream; the CPU is always done."""

    cuda_stream = 0
    runtime = None

    def __init__(self, device=None, priority=0, **_):
        self.priority = priority

    def synchronize(self):
        """Count it; a device that hangs or dies does so here."""
        faults.strike("infer")
        self.runtime.standin_synchronizations += 1

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

    runtime = None

    def __init__(self, enable_timing=False, blocking=False, interprocess=False):
        self._timing, self._at_s = enable_timing, None

    def record(self, stream=None):
        """Note the time."""
        self._at_s = time.perf_counter()

    def synchronize(self):
        """Count it; a device that hangs or dies does so here."""
        faults.strike("infer")
        self.runtime.standin_synchronizations += 1

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


def _patch_streams(runtime):
    Stream.runtime = Event.runtime = runtime
    runtime.Stream, runtime.Event = Stream, Event
    current = Stream()
    runtime.current_stream = lambda device=None: current
    runtime.default_stream = lambda device=None: current
    runtime.stream = contextlib.nullcontext
    runtime.device = contextlib.nullcontext


def _is(kind, device):
    if isinstance(device, str):
        return device.split(":")[0] == kind
    return getattr(device, "type", None) == kind


def _to_cpu(kind, args, kwargs):
    """Return (args, kwargs, whether a device of this kind was among them) with the CPU in its place."""
    hit = any(_is(kind, a) for a in args) or _is(kind, kwargs.get("device"))
    args = tuple("cpu" if _is(kind, a) else a for a in args)
    kwargs = {k: "cpu" if k == "device" and _is(kind, v) else v for k, v in kwargs.items()}
    return args, kwargs, hit


def _patch_moves(torch, runtime, kind, no_memory, loaded):
    moved = runtime.standin_moved

    def count(nbytes):
        moved["bytes"] += nbytes
        moved["peak"] = max(moved["peak"], moved["bytes"])

    def to(original):
        @functools.wraps(original)
        def wrapper(self, *args, **kwargs):
            args, kwargs, hit = _to_cpu(kind, args, kwargs)
            result = original(self, *args, **kwargs)
            if hit and isinstance(self, torch.nn.Module):
                _load(torch, self, no_memory)
                if loaded is not None:
                    loaded(self)
                _widen_half(torch, self)
                count(sum(p.numel() * p.element_size() for p in self.parameters()))
            # A device's tensor is never the host's: a real copy, so that aliasing cannot hide.
            return result.clone() if hit and result is self and torch.is_tensor(self) else result

        return wrapper

    def factory(original):
        @functools.wraps(original)
        def wrapper(*args, **kwargs):
            kwargs.pop("pin_memory", None)
            args, kwargs, _ = _to_cpu(kind, args, kwargs)
            return original(*args, **kwargs)

        return wrapper

    torch.Tensor.to = to(torch.Tensor.to)
    torch.nn.Module.to = to(torch.nn.Module.to)
    setattr(torch.Tensor, kind, lambda self, device=None, non_blocking=False: self.to(kind))
    setattr(torch.nn.Module, kind, lambda self, device=None: self.to(kind))
    torch.Tensor.pin_memory = lambda self, device=None: self
    torch.Tensor.is_pinned = lambda self, device=None: True
    for name in PATCHED_FACTORIES:
        setattr(torch, name, factory(getattr(torch, name)))
    _patch_autocast(torch, kind)


def _load(torch, module, no_memory):
    """The faults of a module that goes to the device: no memory, outputs that are wrong."""
    if "oom" in faults.strike("load"):
        raise no_memory()
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


def _patch_autocast(torch, kind):
    original = torch.autocast

    class autocast(original):
        """``torch.autocast("cuda")`` lowers on the CPU."""

        def __init__(self, device_type, *args, **kwargs):
            if _is(kind, device_type):
                device_type = "cpu"
                kwargs["dtype"] = torch.bfloat16
            super().__init__(device_type, *args, **kwargs)

    torch.autocast = autocast
