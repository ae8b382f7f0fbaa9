"""``torch.cuda`` on a build of PyTorch without CUDA: the few calls that a hook needs, on the CPU.

It does nothing where PyTorch has CUDA, unless its CUDA was cut out for a test's base image.
"""

import os

from assay_standin import chips, faults, settings, torch_device


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
        _name_maca(torch, settings.value("maca"))
    if vendor == "iluvatar":
        # CoreX is in the version's local part; the release is the one that runs here.
        torch.__version__ = torch.__version__.partition("+")[0] + "+corex.4.3.0"
    torch_device.patch(torch, torch.cuda, "cuda", chips.chip(vendor), _no_memory(torch))
    if vendor == "nvidia":
        _patch_tf32(torch)
    if hasattr(torch, "compile"):
        torch.compile = _compile
    torch.cuda.__assay_standin__ = True


def _name_maca(torch, version):
    """MetaX's PyTorch has MACA's version as an attribute and in its own: 2.0.0+mc2.19.2.5, 2.10.0+metax3.8.1.0."""
    torch.version.maca = version
    if not version.startswith("2."):
        plain = str(torch.__version__).partition("+")[0]
        torch.__version__ = type(torch.__version__)("{}+metax{}".format(plain, version))


def _no_memory(torch):
    text = "CUDA out of memory. Tried to allocate 1024.00 MiB (GPU 0)"
    return lambda: torch.cuda.OutOfMemoryError(text)


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
