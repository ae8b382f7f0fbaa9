"""MIGraphX's compiled program: taken from the cache, or parsed, quantised and compiled."""

from harness.engines.engine_file import EngineFile, graph_digest
from harness.errors import StageFailure, out_of_memory, says_out_of_memory
from hook import mgx_arithmetic

#: Precision → the function that casts the graph; fp32 is the exported graph as it is.
QUANTIZE = {"fp16": "quantize_fp16", "bf16": "quantize_bf16"}


class ProgramFile:
    """The program of this graph, chip, release, precision and batch size, in ``job.cache_dir``.

    ``torch`` names the device. ``warnings`` collects warnings, ``cached`` says whether compile found the file.
    """

    def __init__(self, job, torch):
        self._job = job
        self._torch = torch
        options = job.engine_options
        # MIGraphX's own default: some functions (GELU) in a faster form that approximates them.
        self._fast_math = bool(options.get("fast_math", True))
        self._exhaustive = bool(options.get("exhaustive_tune", False))
        self.cached = False
        self.warnings = []

    def compile(self):
        """Compile, unless the cache has the program; return the settings that were recorded with it."""
        file = self._file()
        self.cached = file.usable
        return file.settings if file.usable else self._make(file)

    def load(self):
        """Return (program, settings); an outdated or damaged file is made again."""
        file = self._file()
        if not file.usable:
            self._make(file)
        program, why = self._read(file)
        if program is None:
            self.warnings.append(file.unreadable(why))
            self._make(file)
            program, why = self._read(file)
        if program is None:
            raise StageFailure(
                "infer",
                "MIGraphX cannot load the program that it has just compiled: {}".format(why),
                "make check VENDOR=amd tests the hook alone; the stage's log has MIGraphX's messages",
            )
        return program, file.settings

    def _file(self):
        import migraphx

        properties = self._torch.cuda.get_device_properties(0)
        made_from = {
            "graph": graph_digest(self._job),
            "migraphx": migraphx.__version__,
            "device": self._torch.cuda.get_device_name(),
            # "gfx942:sramecc+:xnack-": kernels of another architecture do not run.
            "architecture": getattr(properties, "gcnArchName", "unknown"),
            "precision": self._job.precision,
            "batch_size": self._job.batch_size,
            "fast_math": self._fast_math,
            "exhaustive_tune": self._exhaustive,
        }
        return EngineFile(self._job.cache_dir / "program.mxr", made_from)

    def _make(self, file):
        """Compile into the file, replacing an outdated one; return its settings."""
        import migraphx

        stale = file.stale()
        if stale:
            self.warnings.append(stale)
        file.forget()
        program = self._parsed(migraphx)
        quantize = QUANTIZE.get(self._job.precision)
        if quantize is not None:
            getattr(migraphx, quantize)(program)
        products = mgx_arithmetic.graph_products(program)
        self._compile(migraphx, program)
        migraphx.save(program, str(file.path))
        settings = {
            "precision": self._job.precision,
            "quantized": quantize,
            "graph_products": products,
            "fast_math": self._fast_math,
            "exhaustive_tune": self._exhaustive,
            "offload_copy": False,
            "device": self._torch.cuda.get_device_name(),
        }
        file.record(settings)
        return settings

    def _parsed(self, migraphx):
        path = self._job.onnx_path
        try:
            # By path: external data is found beside the graph.
            return migraphx.parse_onnx(str(path))
        # The binding raises C++'s exceptions as RuntimeError, and a broken protobuf as what it happens to be.
        except Exception as error:
            raise _failed("MIGraphX cannot read {}".format(path.name), error) from error

    def _compile(self, migraphx, program):
        try:
            program.compile(
                migraphx.get_target("gpu"),
                offload_copy=False,
                fast_math=self._fast_math,
                exhaustive_tune=self._exhaustive,
            )
        except Exception as error:
            raise _failed("MIGraphX compiled no program", error) from error

    def _read(self, file):
        """(program, ""), or (None, why it cannot be loaded)."""
        import migraphx

        try:
            return migraphx.load(str(file.path)), ""
        except Exception as error:
            if says_out_of_memory(str(error)):
                raise out_of_memory("MIGraphX: {}".format(_one_line(error))) from error
            return None, _one_line(error)


def _failed(what, error):
    said = _one_line(error)
    if says_out_of_memory(said):
        return out_of_memory("{}: {}".format(what, said))
    return StageFailure(
        "compile",
        "{}: {}".format(what, said),
        "the stage's log beside the result has MIGraphX's messages; ENGINE=onnxruntime leaves operators that "
        "MIGraphX lacks to the host and counts them, ENGINE=eager runs the case in PyTorch",
    )


def _one_line(error):
    return " ".join(str(error).split())[:300]
