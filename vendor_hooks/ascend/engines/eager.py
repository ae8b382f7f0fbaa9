"""PyTorch on Ascend (torch_npu), without a compiler: fp16, bf16, fp32. It also validates ONNX Runtime.

torch_npu's device is `npu`, with the streams and events of `torch.cuda` (torch_npu 2.12: npu/streams.py). Two
switches make fp32 something else, and both are read back:

- `torch.npu.conv.allow_hf32` is on by default: convolutions in HF32, with 11 bits (npu/npu_config.py);
- chips whose cube unit has no fp32 (310, 310P, 910A) multiply fp16 instead, silently (CANN's aclnn documents,
  cubeMathType: ALLOW_FP32_DOWN_PRECISION). fp32 is refused there.
"""

from harness.engines.torch_cuda import TorchCuda
from harness.errors import StageFailure
from harness.models import torch_module
from hook import soc
from hook.device_number import device_number
from hook.work_folders import set_work_folders

#: aclrtGetSocName of the chips that multiply fp32: Atlas A2 and A3, and 950.
FP32_PRODUCTS = ("Ascend910B", "Ascend910_93", "Ascend950")
SWITCHES = ("matmul", "conv")


class Eager(TorchCuda):
    """The case's own module, unchanged: two batches in flight, copies beside the computation."""

    device_type = "npu"

    def __init__(self, job):
        super().__init__(job)
        self._warnings = []

    def open_torch(self):
        """Import torch_npu, select the device, and refuse a precision that it would replace."""
        set_work_folders(self.job)
        import torch_npu  # noqa: F401

        torch = super().open_torch()
        self._select(torch, device_number(self.job))
        name = torch.npu.get_device_name()
        self._require_precision(torch, name)
        self._warnings = soc.disagreement(self.job, name)
        return torch

    def _select(self, torch, number):
        try:
            torch.npu.set_device(number)
        except RuntimeError as error:
            raise StageFailure(
                "host",
                "device {} cannot be opened: {}".format(number, error),
                "make doctor VENDOR=ascend checks driver, device nodes and permissions",
            ) from error

    def _require_precision(self, torch, name):
        lost = None
        if self.job.precision == "fp32" and not name.startswith(FP32_PRODUCTS):
            lost = "its cube unit would multiply fp16 in place of fp32"
        if self.job.precision == "bf16" and not torch.npu.is_bf16_supported():
            lost = "it has no bfloat16"
        if lost:
            raise StageFailure(
                "compile",
                "{} cannot run PRECISION={}: {}".format(name, self.job.precision, lost),
                "use PRECISION=fp16",
            )

    def switch(self, torch):
        """Switch HF32 and compilation at run time off; fail if HF32 stays on."""
        for name in SWITCHES:
            getattr(torch.npu, name).allow_hf32 = False
            if getattr(torch.npu, name).allow_hf32:
                raise StageFailure(
                    "image",
                    "torch.npu.{}.allow_hf32 is still True after it was set to False: {} would be computed "
                    "as HF32".format(name, self.job.precision),
                    "use a release of torch_npu that has this switch, such as the stack's own",
                )
        # Operators come compiled with CANN; on 310P torch_npu would compile each shape anew by default.
        torch.npu.set_compile_mode(jit_compile=False)

    def effective(self, torch, module):
        """The settings, as torch_npu and the module report them."""
        dtypes = torch_module.parameter_dtypes(module)
        settings = {"{}_allow_hf32".format(n): getattr(torch.npu, n).allow_hf32 for n in SWITCHES}
        return dict(
            settings,
            precision=self.job.precision,
            arithmetic=torch_module.arithmetic(dtypes, tf32=False),
            parameter_dtypes=dtypes,
            jit_compile=not torch.npu.is_jit_compile_false(),
            attention=self._attention,
            in_flight=self.in_flight,
            device=torch.npu.get_device_name(),
        )

    def versions(self):
        """Versions of torch, torch_npu, transformers and CANN."""
        import torch_npu
        from hook import atc

        found = super().versions()
        return dict(found, torch_npu=torch_npu.__version__, cann=atc.cann_version(self.job))

    def warnings(self):
        """A chip that differs from CHIP."""
        return self._warnings


ENGINE = Eager
