"""NVIDIA's own trtexec: it builds the engine and its clock times the core loop.

Predictions come from the same engine file: through TensorRT's v3 API where the stack has it (8.5 on),
else from trtexec itself, one run a batch. trtexec reads one batch and repeats it: it cannot rotate.
"""

from harness.engine import Engine, VendorTiming
from harness.engine_file import EngineFile, graph_digest
from harness.program import run
from hook import trt_plan, trtexec
from hook.engines.tensorrt import TensorRt

#: The oldest release with execute_async_v3.
V3_SINCE = (8, 5)
#: trtexec enqueues a query while one runs, unless --exposeDMA (sampleInference.cpp: depth 1 + overlap).
IN_FLIGHT = 2
INCLUDES = ("host_to_device", "compute", "device_to_host", "synchronise")


class Runtime(TensorRt):
    """The v3 runtime on an engine file that trtexec made."""

    def __init__(self, job, tool, file):
        super().__init__(job)
        self._tool = tool
        self._file = file

    def plan(self, device, log):
        """Built by trtexec instead of the API."""
        return ToolsPlan(self.job, device, log, self._tool, self._file)


class ToolsPlan(trt_plan.Plan):
    """An engine file that trtexec builds."""

    def __init__(self, job, device, log, tool, file):
        super().__init__(job, device, log)
        self._tool = tool
        self._file = file

    def file(self):
        """The one that trtexec measured."""
        return self._file

    def build(self, path):
        """Have trtexec build it; its settings are its command, for it reads nothing back."""
        return tool_built(self._job, self._tool, path)


class Trtexec(Engine):
    """The tool, and what infers with its engine.

    This process is not on the device while trtexec measures: it would hold a second copy of the engine.
    """

    reuses_outputs = True

    def __init__(self, job):
        super().__init__(job)
        self._tool = None
        self._file = None
        self._runtime = None
        self._warnings = []

    def compile(self):
        """Build with trtexec, unless the engine is there."""
        self._open()
        self.cached = self._file.usable
        return self._file.settings if self.cached else self._make()

    def load(self):
        """Have the engine's file; trtexec loads it by itself, and the runtime after it."""
        self._open()
        settings = self._file.settings if self._file.usable else self._make()
        if self._has_v3():
            self.in_flight = TensorRt.in_flight
        return dict(settings, in_flight=IN_FLIGHT)

    def _open(self):
        self.simulated = trtexec.is_stand_in()
        self._tool = trtexec.Trtexec(self.job)
        self._file = self._engine_file()

    def _make(self):
        return make_engine(self.job, self._tool, self._file, self._warnings)

    def _has_v3(self):
        return (self._tool.version or (7,)) >= V3_SINCE

    def _engine_file(self):
        # nvidia-smi heeds no CUDA_VISIBLE_DEVICES; a container has the selected devices alone.
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
        }
        return EngineFile(self.job.cache_dir / "engine.plan", made_from)

    def measure_core(self, batches, min_seconds):
        """The own loop of trtexec over the first batch, one stream, copies included."""
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
        """By the v3 API, or a run of trtexec for this batch."""
        if self._runtime is not None:
            return self._runtime.submit(inputs)
        return self._tool.outputs(self._file.path, inputs)

    def wait(self, ticket):
        """The outputs in host memory."""
        return self._runtime.wait(ticket) if self._runtime is not None else ticket

    def versions(self):
        """trtexec's, and those of the runtime."""
        found = {"trtexec": self._tool.version_text} if self._tool else {}
        return dict(self._runtime.versions(), **found) if self._runtime is not None else found

    def warnings(self):
        """What was built again, and what the builder warned of."""
        return list(self._warnings) + list(self._runtime.warnings() if self._runtime else ())

    def close(self):
        """Free the runtime's memory."""
        if self._runtime is not None:
            self._runtime.close()


def make_engine(job, tool, file, warnings):
    """Build ``file`` with trtexec, in the place of one that no longer fits; its settings."""
    stale = file.stale()
    if stale:
        warnings.append(stale)
    file.forget()
    settings, said = tool_built(job, tool, file.path)
    file.record(settings)
    warnings.extend(trt_plan.builder_warnings(said))
    return settings


def tool_built(job, tool, path):
    """(settings, warning lines) of an engine that trtexec builds at ``path``."""
    command, said = tool.build(path)
    settings = {
        "precision": job.precision,
        "arithmetic": job.arithmetic,
        "build_command": " ".join(command),
    }
    return settings, said


ENGINE = Trtexec
