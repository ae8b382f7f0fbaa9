"""Stand-in of torch_tensorrt: ``compile`` gives a module that runs in PyTorch, of lowered precision."""

import torch
from assay_standin import faults
from assay_standin.precision import ROUNDING

__assay_standin__ = True
__version__ = "1.3.0"


class Input:
    """A shape, or min, opt and max, with a type."""

    def __init__(self, shape=None, min_shape=None, opt_shape=None, max_shape=None, dtype=None, **_):
        if shape is None and not (min_shape and opt_shape and max_shape):
            raise ValueError("Missing specification of shape; provide shape or min, opt and max")
        self.shape, self.dtype = shape, dtype
        self.min_shape, self.opt_shape, self.max_shape = min_shape, opt_shape, max_shape

    def check(self, tensor):
        """Refuse a tensor that the engine was not built for."""
        low = self.min_shape or self.shape
        high = self.max_shape or self.shape
        if len(tensor.shape) != len(low) or not all(
            a <= s <= b for a, s, b in zip(low, tensor.shape, high)
        ):
            raise RuntimeError(
                "[Error thrown at core/runtime/execute_engine.cpp] Expected input of shape {} to {}, "
                "got {}".format(list(low), list(high), list(tensor.shape))
            )


class _Engine(torch.nn.Module):
    def __init__(self, module, inputs, precision):
        super().__init__()
        self._module, self._inputs, self._round = module, inputs, ROUNDING[precision]
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(self._lower(parameter))

    def _lower(self, tensor):
        if tensor.dtype != torch.float32:
            return tensor
        return torch.from_numpy(self._round(tensor.detach().cpu().numpy()).copy())

    def forward(self, *tensors):
        faults.strike("infer")
        for spec, tensor in zip(self._inputs, tensors):
            spec.check(tensor)
        with torch.no_grad():
            out = self._module(*[self._lower(tensor) for tensor in tensors])
        many = isinstance(out, (tuple, list))
        arrays = [self._lower(t).numpy() for t in (out if many else [out])]
        spoiled = [torch.from_numpy(array.copy()) for array in faults.spoil(arrays)]
        return tuple(spoiled) if many else spoiled[0]


def compile(module, ir="default", inputs=None, enabled_precisions=None, **settings):
    """Return a module; float32 alone is TF32 unless ``disable_tf32=True``, as in the real one."""
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
    return _Engine(module.eval(), specs, precision)
