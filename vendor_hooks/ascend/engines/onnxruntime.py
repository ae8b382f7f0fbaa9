"""ONNX Runtime with CANN's provider: parts of the graph are compiled by CANN when the graph is loaded.

The harness's engine does everything but three things: the device's number, the arithmetic of the provider's
precision_mode, and the folders of CANN's compiler. `precision_mode` is the option of the released wheels
(onnxruntime-cann 1.24.4); the provider's main branch has precision_mode_v2 instead.
"""

from harness.engines.onnxruntime import OnnxRuntime
from hook import atc, soc
from hook.device_number import device_number
from hook.work_folders import set_work_folders


class OnnxRuntimeCann(OnnxRuntime):
    """The modes are atc's: `force_fp32` takes fp16 into matrix products, and is not called fp32 here."""

    def load(self):
        """Open the session; the precision is what the provider reports of itself."""
        set_work_folders(self.job)
        settings = super().load()
        mode = settings["provider_options"].get("precision_mode")
        if mode != settings["requested_options"]["precision_mode"]:
            settings["precision"] = mode
        return settings

    def _arithmetic(self):
        """The arithmetic of the mode that the provider reports; those of single operators it does not state."""
        found = super()._arithmetic()
        mode = self._reported_options().get("precision_mode")
        return dict(found, arithmetic=atc.ARITHMETIC[mode]) if mode in atc.ARITHMETIC else found

    def _provider_options(self):
        return dict(super()._provider_options(), device_id=str(device_number(self.job)))

    def versions(self):
        """Versions of ONNX Runtime and CANN."""
        return dict(super().versions(), cann=atc.cann_version(self.job))

    def warnings(self):
        """Nodes on the CPU, in a smoke run, and a chip that differs from CHIP."""
        found = soc.found(self.job)
        chip = soc.disagreement(self.job, found) if found else []
        return list(super().warnings()) + chip


ENGINE = OnnxRuntimeCann
