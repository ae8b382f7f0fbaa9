"""torch.compile with its default backend, inductor (PyTorch 2 on)."""

import os

from harness import clock
from harness.errors import StageFailure
from harness.torch_cuda import TorchCuda


class Inductor(TorchCuda):
    """Compiled for full batches: the last one is padded, or it would be compiled again.

    Kernels are kept in the cache folder, so that infer finds what compile made; what PyTorch does
    again in every process (tracing) happens in load, before any clock.
    """

    static_batch = True

    def __init__(self, job):
        super().__init__(job)
        self._first_ns = 0

    def compile(self):
        """Compile and run one batch of zeros, so that a failure is the compiler's."""
        return self.load()

    def load(self):
        """Build, then compile; the mode is in the settings."""
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
        """torch.compile for exactly these shapes; compiles now, by one call."""
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
