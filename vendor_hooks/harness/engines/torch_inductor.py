"""torch.compile with its default backend, inductor (since PyTorch 2), on a device that appears as ``torch.cuda``.

vendor.toml may name it instead of a file in engines/: ``harness_engine = "torch_inductor"``. Its options are
those of ``torch_cuda``, and ``mode``, that of torch.compile.
"""

import os
from typing import Any, Callable, Dict, List

from harness import clock
from harness.engines.torch_cuda import TorchCuda
from harness.errors import StageFailure
from harness.job import Job


class InductorCuda(TorchCuda):
    """Compiled for full batches; the last batch is padded, to avoid another compilation.

    Kernels are kept in the cache folder, where infer finds those that compile made. What PyTorch repeats
    in every process (tracing) happens in load, before any measurement.
    """

    static_batch = True

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._first_ns = 0

    def compile(self) -> Dict[str, Any]:
        """Compile and run one batch of zeros, so that an error is a compile failure."""
        return self.load()

    def load(self) -> Dict[str, Any]:
        """Build and compile; the settings include the mode."""
        for variable, folder in (
            ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
            ("TRITON_CACHE_DIR", "triton"),
        ):
            path = self.job.cache_dir / folder
            path.mkdir(parents=True, exist_ok=True)
            os.environ[variable] = str(path)
        settings = super().load()
        settings.update(compile_mode=self._mode(), first_call_ns=self._first_ns)
        return settings

    def accelerate(self, module: Any, examples: List[Any]) -> Callable[..., Any]:
        """torch.compile for exactly these shapes; one call triggers the compilation."""
        import torch

        if not hasattr(torch, "compile"):
            raise StageFailure(
                "image",
                "PyTorch {} has no torch.compile".format(torch.__version__),
                "use a STACK with PyTorch 2 (make list shows those that have this engine), or ENGINE=eager",
            )
        compiled: Callable[..., Any] = torch.compile(module, mode=self._mode(), dynamic=False)
        started = clock.now_ns()
        compiled(*examples)
        torch.cuda.synchronize()
        self._first_ns = clock.now_ns() - started
        return compiled

    def _mode(self) -> str:
        return str(self.job.engine_options.get("mode", "default"))


ENGINE = InductorCuda
