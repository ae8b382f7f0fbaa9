"""torch.compile with its default backend, inductor (since PyTorch 2)."""

import os

from harness import clock
from harness.engines.torch_cuda import TorchCuda
from harness.errors import StageFailure


class Inductor(TorchCuda):
    """Compiled for full batches; the last batch is padded, to avoid another compilation.

    Kernels are kept in the cache folder, where infer finds those that compile made. What PyTorch repeats
    in every process (tracing) happens in load, before any measurement.
    """

    static_batch = True

    def __init__(self, job):
        super().__init__(job)
        self._first_ns = 0

    def compile(self):
        """Compile and run one batch of zeros, so that an error is a compile failure."""
        return self.load()

    def load(self):
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

    def accelerate(self, module, examples):
        """torch.compile for exactly these shapes; one call triggers the compilation."""
        import torch

        if not hasattr(torch, "compile"):
            raise StageFailure(
                "image",
                "PyTorch {} has no torch.compile".format(torch.__version__),
                "use STACK=cuda12.1-trt8.6, or ENGINE=eager",
            )
        compiled = torch.compile(module, mode=self._mode(), dynamic=False)
        started = clock.now_ns()
        compiled(*examples)
        torch.cuda.synchronize()
        self._first_ns = clock.now_ns() - started
        return compiled

    def _mode(self):
        return self.job.engine_options.get("mode", "default")


ENGINE = Inductor
