"""Stand-in of torch_tensorrt: ``compile`` gives TorchScript that runs in PyTorch, of lowered precision.

As in the real one, what it gives is saved by torch.jit.save, and torch.jit.load takes it back only where
this package was imported: its operators are in the file.
"""

import torch
from assay_standin import faults, settings
from assay_standin.precision import ROUNDING

__assay_standin__ = True
# Which came with which TensorRT.
__version__ = "1.3.0" if settings.value("tensorrt").startswith("8.5") else "1.4.0"


class Input:
    """A shape, or min, opt and max, with a type."""

    def __init__(self, shape=None, min_shape=None, opt_shape=None, max_shape=None, dtype=None, **_):
        if shape is None and None in (min_shape, opt_shape, max_shape):
            raise ValueError("Missing specification of shape; provide shape or min, opt and max")
        self.shape, self.dtype = shape, dtype
        self.min_shape, self.opt_shape, self.max_shape = min_shape, opt_shape, max_shape
        self.low = list(self.shape if min_shape is None else min_shape)
        self.high = list(self.shape if max_shape is None else max_shape)

    def check(self, tensor):
        """Refuse a tensor that the engine was not built for."""
        low, high = self.low, self.high
        if len(tensor.shape) != len(low) or not all(
            a <= s <= b for a, s, b in zip(low, tensor.shape, high)
        ):
            raise RuntimeError(
                "[Error thrown at core/runtime/execute_engine.cpp] Expected input of shape {} to {}, "
                "got {}".format(list(low), list(high), list(tensor.shape))
            )


_OPERATORS = torch.library.Library("tensorrt", "DEF")
_OPERATORS.define("standin_enter(Tensor x, int[] least, int[] most, str precision) -> Tensor")
_OPERATORS.define("standin_leave(Tensor[] given, str precision) -> Tensor[]")
_compiling = []


def _lower(tensor, precision):
    if tensor.dtype != torch.float32:
        return tensor.clone()
    return torch.from_numpy(ROUNDING[precision](tensor.detach().cpu().numpy()).copy())


def _enter(tensor, least, most, precision):
    Input(min_shape=least, opt_shape=most, max_shape=most).check(tensor)
    return _lower(tensor, precision)


def _leave(given, precision):
    if not _compiling:
        faults.strike("infer")
    arrays = [_lower(tensor, precision).numpy() for tensor in given]
    spoiled = arrays if _compiling else faults.spoil(arrays)
    return [torch.from_numpy(array.copy()) for array in spoiled]


_OPERATORS.impl("standin_enter", _enter, "CPU")
_OPERATORS.impl("standin_leave", _leave, "CPU")


class _Engine(torch.nn.Module):
    def __init__(self, module, inputs, precision):
        super().__init__()
        self._module, self._inputs, self._precision = module, inputs, precision
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(_lower(parameter, precision))

    def forward(self, *tensors):
        entered = [
            torch.ops.tensorrt.standin_enter(tensor, spec.low, spec.high, self._precision)
            for spec, tensor in zip(self._inputs, tensors)
        ]
        out = self._module(*entered)
        many = isinstance(out, (tuple, list))
        left = torch.ops.tensorrt.standin_leave(list(out) if many else [out], self._precision)
        return tuple(left) if many else left[0]


def _script(module, specs, precision):
    """TorchScript of the whole, with its operators in it."""
    examples = [torch.zeros(spec.high, dtype=spec.dtype or torch.float32) for spec in specs]
    _compiling.append(True)
    try:
        with torch.no_grad():
            engine = _Engine(module.eval(), specs, precision)
            return torch.jit.trace(engine, examples, strict=False, check_trace=False)
    finally:
        _compiling.clear()


def compile(module, ir="default", inputs=None, enabled_precisions=None, **settings):
    """Return a ScriptModule; float32 alone is TF32 unless ``disable_tf32=True``, as in the real one."""
    unknown = set(settings) - {
        "disable_tf32", "workspace_size", "truncate_long_and_double", "require_full_compilation",
        "min_block_size", "device", "debug", "refit", "sparse_weights", "num_avg_timing_iters",
    }  # fmt: skip
    if unknown:
        raise TypeError("compile() got an unexpected keyword argument {!r}".format(min(unknown)))
    if not inputs:
        raise ValueError("torch_tensorrt.compile needs inputs")
    if faults.strike("compile") & {"fail", "oom"}:
        raise RuntimeError(
            "[Error thrown at core/conversion/conversionctx] Building serialized network failed"
        )
    asked = {str(p).replace("torch.", "") for p in enabled_precisions or {torch.float32}}
    precision = "fp32" if settings.get("disable_tf32") else "tf32"
    if asked & {"float16", "half", "dtype.half", "dtype.f16"}:
        precision = "fp16"
    specs = [item if isinstance(item, Input) else Input(shape=tuple(item.shape)) for item in inputs]
    return _script(module, specs, precision)
