"""NVIDIA's own trtexec: it builds the engine, and its clock times the core loop.

Predictions come from the same engine file: through TensorRT's v3 API where the stack has it (since 8.5),
else from trtexec itself, in one run per batch. trtexec reads one batch and repeats it.
"""

from harness.engine import Engine, VendorTiming
from harness.engines.engine_file import EngineFile, graph_digest
from harness.engines.trt.plan import builder_warnings
from harness.engines.vendor_tool import run
from hook import engine_layers, trt_cast, trt_plan, trtexec
from hook.engines.tensorrt import TensorRt

#: The oldest release with execute_async_v3.
V3_SINCE = (8, 5)
#: trtexec enqueues a query while another runs, unless --exposeDMA (sampleInference.cpp: depth 1 + overlap).
IN_FLIGHT = 2
INCLUDES = ("host_to_device", "compute", "device_to_host", "synchronise")


class Runtime(TensorRt):
    """The v3 runtime, with an engine file that trtexec made."""

    def __init__(self, job, tool, file):
        super().__init__(job)
        self._tool = tool
        self._file = file

    def plan(self, device, log):
        """The engine's file, built by trtexec instead of the API."""
        return TrtexecPlan(self.job, device, log, self._tool, self._file)

    def _read_back(self, settings):  # noqa: ARG002  # for the base class
        """Nothing: trtexec wrote the layers to a file when it built the engine."""
        return {}


class TrtexecPlan(trt_plan.TensorRtPlan):
    """An engine file that trtexec builds."""

    def __init__(self, job, device, log, tool, file):
        super().__init__(job, device, log)
        self._tool = tool
        self._file = file

    def file(self):
        """The file that trtexec measured."""
        return self._file

    def build(self, path):
        """Let trtexec build it."""
        return tool_built(self._job, self._tool, path)


class Trtexec(Engine):
    """The tool, and the runtime that infers with its engine.

    While trtexec measures, this process does not use the device, where it would need a second copy of the engine.
    """

    reuses_outputs = True

    def __init__(self, job):
        super().__init__(job)
        self._tool = None
        self._file = None
        self._runtime = None
        self._warnings = []

    def compile(self):
        """Build with trtexec, unless the cache has the engine."""
        self._open()
        self.cached = self._file.usable
        return self._file.settings if self.cached else self._make()

    def load(self):
        """Ensure that the engine's file is there; trtexec loads it itself, and the runtime later."""
        self._open()
        settings = self._file.settings if self._file.usable else self._make()
        if self._has_v3():
            self.in_flight = TensorRt.in_flight
        self._warn_of_another_arithmetic(settings)
        return dict(settings, in_flight=IN_FLIGHT, loop_options=" ".join(self._tool.loop_options()))

    def _warn_of_another_arithmetic(self, settings):
        counts = settings.get("layer_arithmetic")
        if counts and settings["arithmetic"] != self.job.arithmetic:
            self._warnings.append(engine_layers.differs("trtexec", self.job.arithmetic, counts))

    def _open(self):
        self.simulated = trtexec.is_stand_in()
        self._tool = trtexec.TrtexecTool(self.job)
        self._file = self._engine_file()

    def _make(self):
        return make_engine(self.job, self._tool, self._file, self._warnings)

    def _has_v3(self):
        return self._tool.version >= V3_SINCE

    def _engine_file(self):
        # nvidia-smi ignores CUDA_VISIBLE_DEVICES; a container has only the selected devices.
        in_container = self.job.document["job"]["runner"] == "docker"
        device = "0" if in_container else self.job.device.split(",")[0]
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        query.append("--id={}".format(device))
        made_from = {
            "graph": graph_digest(self.job),
            "trtexec": self._tool.version_text,
            "device": run(query, self.job.vendor).text.strip(),
            "precision": self.job.precision,
            "batch_size": self.job.batch_size,
            "layers_exported": self._tool.version >= trtexec.LAYERS_SINCE,
        }
        if trt_cast.is_needed(self.job, self._tool.version):
            made_from["cast"] = trt_cast.converter()
        return EngineFile(self.job.cache_dir / "engine.plan", made_from)

    def measure_core(self, batches, min_seconds):
        """Run the tool's own loop over the first batch: one stream, copies included."""
        summary, queries = self._tool.measure(self._file.path, batches[0], min_seconds)
        calls = len(queries)
        if self._has_v3():
            self._runtime = Runtime(self.job, self._tool, self._file)
            self._runtime.load()
        return VendorTiming(
            items=calls * self.job.batch_size,
            calls=calls,
            wall_ns=int(summary.wall_s * 1e9),
            in_flight=IN_FLIGHT,
            samples_ns=[query["latency_ns"] for query in queries],
            h2d_ns=sum(query["h2d_ns"] for query in queries),
            compute_ns=sum(query["compute_ns"] for query in queries),
            d2h_ns=sum(query["d2h_ns"] for query in queries),
            includes=INCLUDES,
        )

    def submit(self, inputs):
        """Submit to the v3 API, or run trtexec for this batch."""
        if self._runtime is not None:
            return self._runtime.submit(inputs)
        return self._tool.outputs(self._file.path, inputs)

    def wait(self, ticket):
        """Return the outputs, in host memory."""
        return self._runtime.wait(ticket) if self._runtime is not None else ticket

    def versions(self):
        """Versions of trtexec and of the runtime."""
        found = {"trtexec": self._tool.version_text} if self._tool else {}
        return dict(self._runtime.versions(), **found) if self._runtime is not None else found

    def warnings(self):
        """Rebuilds, and the builder's warnings."""
        return list(self._warnings) + list(self._runtime.warnings() if self._runtime else ())

    def close(self):
        """Free the runtime's memory."""
        if self._runtime is not None:
            self._runtime.close()


def make_engine(job, tool, file, warnings):
    """Build ``file`` with trtexec, replacing an outdated one; return its settings."""
    stale = file.stale()
    if stale:
        warnings.append(stale)
    file.forget()
    settings, said = tool_built(job, tool, file.path)
    file.record(settings)
    warnings.extend(builder_warnings(said))
    return settings


def tool_built(job, tool, path):
    """(settings, warning lines) of an engine that trtexec builds at ``path``; an unknown option would fail."""
    built = tool.build(path)
    found, counts, why = built.read_back
    settings = {
        "precision": job.precision,
        "arithmetic": found or built.arithmetic,
        "layer_arithmetic": counts or None,
        "build_command": " ".join(built.command),
    }
    if found is None:
        settings["arithmetic_unread"] = (
            "trtexec took these options, but of its engine's layers nothing is known: {}".format(
                why
            )
        )
    return settings, built.warnings


ENGINE = Trtexec
