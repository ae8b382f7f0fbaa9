"""MIGraphX, AMD's graph compiler: fp32, fp16 or bf16; compiled ahead of time, cached.

Interface: MIGraphX's Python API reference (2.15, ROCm 7.2), and its tests of offload_copy=False and run_async.
"""

from harness.engines.torch_streams import TorchStreams
from hook import mgx_arithmetic, mgx_call, mgx_program


class MIGraphX(TorchStreams):
    """A static graph. PyTorch gives pinned and device memory, streams and events; MIGraphX computes.

    The program is compiled without copies of its own (offload_copy=False) and enqueued on the stream of the
    computation (run_async), so that copies run beside it as in the engines of PyTorch.
    """

    static_batch = True

    def __init__(self, job):
        super().__init__(job)
        self._warnings = []

    def compile(self):
        """Compile the program, unless the cache has it for exactly this graph, chip and version."""
        file = self._file()
        settings = file.compile()
        self.cached = file.cached
        self._warnings += file.warnings
        return settings

    def load(self):
        """Load the program; one for another chip or version, or a damaged one, is compiled again."""
        file = self._file()
        program, settings = file.load()
        self._warnings += file.warnings
        torch = self.open_torch()
        call = mgx_call.DeviceCall(torch, program, self.job)
        call.verify()
        read = mgx_arithmetic.read_back(program, settings["graph_products"])
        self._warnings += mgx_arithmetic.judge(read, self.job)
        self.begin_streams(torch, call)
        return dict(settings, in_flight=self.in_flight, **read)

    def _file(self):
        import migraphx

        torch = self.open_torch()
        self.simulated = self.simulated or bool(getattr(migraphx, "__assay_standin__", False))
        return mgx_program.ProgramFile(self.job, torch)

    def versions(self):
        """Versions of MIGraphX, of ROCm and of the PyTorch that gives memory and streams."""
        import migraphx

        return dict(super().versions(), migraphx=migraphx.__version__)

    def warnings(self):
        """Recompilations, parts of the graph on the host, an arithmetic that was not requested."""
        return self._warnings


ENGINE = MIGraphX
