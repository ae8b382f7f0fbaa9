"""``torch.npu`` as torch_npu 2.12 makes it: the device, its streams and events, and the switches of its cube unit.

Names, types and refusals: torch_npu, npu/__init__.py and npu/npu_config.py. What the cube unit does to fp32:
CANN's aclnn documents (cubeMathType) and torch_npu's (allow_hf32).
"""

import sys
import types

from assay_standin import chips, precision, torch_device

#: Chips whose cube unit multiplies fp32, and which have bfloat16.
A2 = "Ascend910B"


class _Switch:
    """``torch.npu.matmul`` and ``torch.npu.conv``."""

    def __init__(self, allowed):
        object.__setattr__(self, "_allowed", allowed)

    def __setattr__(self, name, value):
        if name != "allow_hf32":
            return
        if not isinstance(value, bool):
            raise TypeError(
                "allow_hf32 must be a bool, but got {}\n[ERROR] ERR00003 PTA invalid type".format(
                    type(value).__name__
                )
            )
        object.__setattr__(self, "_allowed", value)

    def __getattr__(self, name):
        return self._allowed if name == "allow_hf32" else None


def patch(torch):
    """Return ``torch.npu``, which PyTorch did not have before."""
    if hasattr(torch, "npu"):
        return torch.npu
    chip = chips.chip("ascend")
    runtime = types.ModuleType("torch.npu")
    torch_device.patch(
        torch, runtime, "npu", chip, _no_memory(torch), _loaded(torch, runtime, chip)
    )
    compiled = {"jit": not chip.kind.startswith(A2)}
    own = {
        "get_device_name": lambda device=None: chip.kind,
        "set_device": _set_device,
        "is_bf16_supported": lambda including_emulation=False: chip.kind.startswith(A2),
        "set_compile_mode": lambda jit_compile=False: compiled.update(jit=jit_compile),
        "is_jit_compile_false": lambda: not compiled["jit"],
        # HF32 is on for convolutions, unless it is switched off.
        "matmul": _Switch(False),
        "conv": _Switch(True),
        "__assay_standin__": True,
    }
    for name, value in own.items():
        setattr(runtime, name, value)
    torch.npu = sys.modules["torch.npu"] = runtime
    return runtime


def _no_memory(torch):
    text = "NPU out of memory. Tried to allocate 1024.00 MiB (NPU 0; 29.50 GiB total capacity)"
    # Before PyTorch 2.5 it is CUDA's name.
    kind = getattr(torch, "OutOfMemoryError", None) or torch.cuda.OutOfMemoryError
    return lambda: kind(text)


def _set_device(device):
    number = int(str(device).rpartition(":")[2])
    if number != 0:
        raise RuntimeError(
            "SetDevice:NPU function error: aclrtSetDevice(device), error code is 107001\n"
            "[Error]: Invalid device ID.\nEE1001: The argument is invalid.Reason: Set device failed, invalid "
            "device, set device={}, valid device range is [0, 1)".format(number)
        )


def _loaded(torch, runtime, chip):
    """Return what is done to a module that is moved: products in what the cube unit makes of their inputs."""
    products = ((torch.nn.Linear, runtime_switch(runtime, "matmul")),
                (torch.nn.modules.conv._ConvNd, runtime_switch(runtime, "conv")))  # fmt: skip

    def loaded(module):
        dtypes = {parameter.dtype for parameter in module.parameters()}
        if torch.bfloat16 in dtypes and not chip.kind.startswith(A2):
            raise RuntimeError(
                "call aclnnCast failed, detail:EZ1001: Tensor self not implemented for DT_BFLOAT16, should be "
                "in dtype support list [DT_FLOAT,DT_FLOAT16,...] on {}.".format(chip.kind)
            )
        for part in module.modules():
            for kind, hf32 in products:
                if isinstance(part, kind):
                    part.register_forward_pre_hook(_rounded(torch, chip, hf32))

    return loaded


def runtime_switch(runtime, name):
    """Return what tells whether HF32 is allowed now."""
    return lambda: getattr(runtime, name).allow_hf32


def _rounded(torch, chip, hf32):
    def before(_, inputs):
        """Round fp32 inputs of a product: to fp16 without an fp32 cube unit, to HF32 where that is allowed."""
        if not chip.kind.startswith(A2):
            lower = precision.fp16
        elif hf32():
            # HF32 keeps 11 bits with the leading one, as TF32 does.
            lower = precision.tf32
        else:
            return None
        return tuple(
            torch.from_numpy(lower(x.detach().numpy())) if x.dtype == torch.float32 else x
            for x in inputs
        )

    return before
