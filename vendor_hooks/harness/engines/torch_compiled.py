"""torch.compile on the host's own processor: the engine `inductor`, and other compilers of its kind."""

import collections
import os
import pathlib
import shutil
import subprocess
import sysconfig
from typing import Any, Callable, Dict, Tuple

import numpy as np

from harness import clock
from harness.engines.torch_host import TorchHost
from harness.errors import StageFailure
from harness.job import Job

#: Operators of PyTorch that do a model's products; what a compiler fuses away runs in kernels of its own.
PRODUCTS = (
    "aten::addmm",
    "aten::mm",
    "aten::bmm",
    "aten::baddbmm",
    "aten::mkldnn_convolution",
    "aten::_scaled_dot_product_flash_attention_for_cpu",
    "mkldnn::_linear_pointwise",
    "mkldnn::_convolution_pointwise",
)


class CompiledHost(TorchHost):
    """Compiled for full batches; the last batch is padded, to avoid another compilation. Steps may have any length.

    Kernels are C++, kept in the cache folder, where infer finds those that compile made. What PyTorch
    repeats in every process (tracing) happens in load, before any measurement.
    """

    static_batch = True
    #: The backend of torch.compile.
    backend = "inductor"
    #: Prefixes of the operators that the backend brings along, such as ``zentorch::``.
    own_operators: Tuple[str, ...] = ()

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._compiled: Dict[str, Any] = {}

    def compile(self) -> Dict[str, Any]:
        """Compile and run one batch of zeros, so that an error is a compile failure."""
        settings = self.load()
        self.cached = settings["compiled_graphs"] == 0
        return settings

    def load(self) -> Dict[str, Any]:
        """Build and compile; the settings include the compiler and the operators that one batch called."""
        compiler = self._compiler()
        folder = self.job.cache_dir / "inductor"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        # It would be made again in each process, also where every kernel is there: 15 s, and 150 MB of TMPDIR.
        os.environ["TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS"] = "0"
        # Workers of a pool would stay, and share memory and cores with what is measured.
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
        settings = super().load()
        settings.update(self._compiled, backend=self.backend, cxx=compiler)
        return settings

    def accelerate(self, torch: Any, module: Any) -> Callable[..., Any]:
        """torch.compile for exactly these shapes, or for steps of any length; one use triggers the compilation."""
        from torch._dynamo.utils import counters

        stepwise = self.job.generation is not None
        compiled: Callable[..., Any] = torch.compile(module, backend=self.backend, dynamic=stepwise)
        use = self._sequence(torch, compiled) if stepwise else self._batch(torch, compiled)
        started = clock.now_ns()
        use()
        first_ns = clock.now_ns() - started
        self._compiled = {
            "first_call_ns": first_ns,
            "compiled_graphs": counters["inductor"]["fxgraph_cache_miss"],
            "operators": self._operators(torch, use),
        }
        return compiled

    def _batch(self, torch: Any, compiled: Callable[..., Any]) -> Callable[[], Any]:
        """One batch of zeros."""
        examples = self.examples(torch)
        return lambda: compiled(*examples)

    def _sequence(self, torch: Any, compiled: Callable[..., Any]) -> Callable[[], Any]:
        """A prefill and two decode steps of a language model: the lengths 0 and 1 are graphs of their own."""
        lengths = self.job.generation
        assert lengths is not None, "only a case of generation has steps"
        size = self.job.batch_size
        # As step() gets them: other strides would be other graphs.
        prompt, later = (
            np.zeros((size, lengths.prompt), np.int64),
            np.zeros(size, np.int64)[:, None],
        )

        def use() -> None:
            past = self.no_past(size)
            for tokens in (prompt, later, later):
                _, *past = compiled(torch.from_numpy(tokens), *past)

        return use

    def _operators(self, torch: Any, use: Callable[[], Any]) -> Dict[str, int]:
        """Operator → calls in one use, of those that do products and of the backend's own."""
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiled:
            use()
        wanted = PRODUCTS + self.own_operators
        counted = collections.Counter(
            event.name for event in profiled.events() if event.name.startswith(wanted)
        )
        return dict(sorted(counted.items()))

    def _compiler(self) -> str:
        """The first line of ``g++ --version``; raises StageFailure without a compiler or Python's headers."""
        name = os.environ.get("CXX", "g++")
        path = shutil.which(name)
        header = pathlib.Path(sysconfig.get_paths()["include"]) / "Python.h"
        if path is None:
            raise self._lacks("a C++ compiler, and {} is not on PATH".format(name))
        if not header.is_file():
            raise self._lacks("Python's headers, and there is no {}".format(header))
        return subprocess.check_output([path, "--version"]).decode().splitlines()[0]

    def _lacks(self, what: str) -> StageFailure:
        contained = self.job.document["job"]["runner"] == "docker"
        return StageFailure(
            "image" if contained else "host",
            "torch.compile needs " + what,
            "use a base image with g++ and Python's headers (debian_packages of stack.toml)"
            if contained
            else "sudo apt-get install g++ python3-dev; or RUNNER=docker, whose image has both",
        )
