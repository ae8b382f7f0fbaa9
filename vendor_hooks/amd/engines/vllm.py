"""vLLM on ROCm, for language models: the harness's engine, with the variables that ROCm asks for."""

import os
from typing import Any, Dict

from harness.engines.serving.vllm import Vllm


class RocmVllm(Vllm):
    """``engine_options`` besides those of the harness's engine: ``aiter``, AMD's own kernels, off as in vLLM."""

    def _set_variables(self) -> None:
        super()._set_variables()
        os.environ["VLLM_ROCM_USE_AITER"] = str(int(bool(self.job.engine_options.get("aiter"))))
        # Ray, which vLLM imports, refuses ROCR_VISIBLE_DEVICES alone. ROCm's runtime shows HIP only the devices that
        # it selects, and HIP counts these from 0.
        selected = os.environ.get("ROCR_VISIBLE_DEVICES")
        if selected:
            numbers = range(len(selected.split(",")))
            os.environ.setdefault("HIP_VISIBLE_DEVICES", ",".join(map(str, numbers)))

    def _effective(self) -> Dict[str, Any]:
        from vllm import envs

        aiter = getattr(envs, "VLLM_ROCM_USE_AITER", None)
        return {**super()._effective(), "aiter": None if aiter is None else bool(aiter)}


ENGINE = RocmVllm
