"""OpenVINO on the host's processor: fp32 or bf16, said explicitly and read back."""

import collections

from harness.engine import Engine
from harness.engine_file import EngineFile, graph_digest
from harness.memory import host_memory

DEVICE = "CPU"
#: Our names of arithmetic → OpenVINO's element types, and back (what it reports as effective).
ELEMENT_TYPES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
ARITHMETIC = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}
#: Node types of the compiled graph that hold a model's arithmetic.
COMPUTING = ("FullyConnected", "MatMul", "Convolution", "ScaledDotProductAttention", "MHA")


def arithmetic_of(hint, nodes):
    """What a graph computes in: the hint's type, unless most of its computing nodes run in another one.

    ``nodes`` maps an element type to how many of them run in it; a type without a name of ours keeps its own.
    """
    followed = 2 * nodes.get(hint, 0) >= sum(nodes.values())
    ran = hint if followed else max(sorted(nodes), key=nodes.get)
    return ARITHMETIC.get(ran, ran)


def differs(precision, hint, nodes):
    """The warning (code, message, remedy) for a graph that runs in something else than ``precision``."""
    ran = arithmetic_of(hint, nodes)
    counted = ", ".join("{} in {}".format(nodes[name], name) for name in sorted(nodes))
    return (
        "effective_differs",
        "{} was asked for, OpenVINO runs {} on this processor (hint in force {}; computing nodes: {})".format(
            precision, ran, hint, counted or "none"
        ),
        "read the row as {}; bf16 needs a processor with AVX512_BF16 or AMX".format(ran),
    )


class OpenVino(Engine):
    """A static graph of job.batch_size items, and a ring of infer requests, as many as it asks for.

    Inputs are shared with the runtime, not copied; outputs are the requests' own buffers, which the
    harness copies when it keeps them. ``wait`` sleeps in the runtime, with Python's lock released.
    """

    static_batch = True
    reuses_outputs = True

    def __init__(self, job):
        super().__init__(job)
        self._compiled = None
        self._warnings = []
        self._idle = collections.deque()
        self._names = [spec.name for spec in job.outputs]
        self._hint = job.engine_options.get("performance_hint", "THROUGHPUT")

    def compile(self):
        """Compile into OpenVINO's own cache below job.cache_dir."""
        core = self._core()
        file = self._engine_file(core)
        if file.usable:
            self.cached = True
            return file.settings
        return self._compile(core, file)

    def load(self):
        """Load from that cache, or compile again when it is for another processor or version."""
        core = self._core()
        file = self._engine_file(core)
        if file.usable:
            settings = self._open(core, file)
            if not settings["loaded_from_cache"]:
                self._warnings.append(file.unreadable("OpenVINO did not accept it"))
                file.record(settings)
        else:
            settings = self._compile(core, file)
        self.in_flight = settings["in_flight"]
        requests = [self._compiled.create_infer_request() for _ in range(self.in_flight)]
        self._idle.extend((request, self._views(request)) for request in requests)
        return settings

    def _core(self):
        import openvino

        return openvino.Core()

    def _engine_file(self, core):
        made_from = {
            "graph": graph_digest(self.job),
            "openvino": self.versions()["openvino"],
            "processor": core.get_property(DEVICE, "FULL_DEVICE_NAME"),
            "capabilities": " ".join(core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")),
            "batch_size": self.job.batch_size,
        }
        made_from.update(self._config())
        return EngineFile(self.job.cache_dir / "openvino", made_from)

    def _config(self):
        return {
            "INFERENCE_PRECISION_HINT": ELEMENT_TYPES[self.job.precision],
            "PERFORMANCE_HINT": self._hint,
            "INFERENCE_NUM_THREADS": str(self.job.threads),
        }

    def _compile(self, core, file):
        stale = file.stale()
        if stale:
            self._warnings.append(stale)
        file.forget()
        for old in file.path.glob("*") if file.path.is_dir() else ():
            old.unlink()
        settings = self._open(core, file)
        file.record(settings)
        return settings

    def _open(self, core, file):
        """Compile, or load what the cache holds; the settings are the compiled model's own."""
        model = core.read_model(str(self.job.onnx_path))
        model.reshape({spec.name: self._shape(spec) for spec in self.job.inputs})
        config = dict(self._config(), CACHE_DIR=str(file.path))
        self._compiled = core.compile_model(model, DEVICE, config)
        return self._effective()

    def _shape(self, spec):
        rows = self.job.batch_size * spec.rows_per_item
        return [rows] + list(spec.shape) if spec.batched else list(spec.shape)

    def _effective(self):
        get = self._compiled.get_property
        hint = get("INFERENCE_PRECISION_HINT").get_type_name()
        nodes = self._node_precisions()
        arithmetic = arithmetic_of(hint, nodes)
        if arithmetic != self.job.precision:
            self._warnings.append(differs(self.job.precision, hint, nodes))
        return {
            "precision": self.job.precision,
            "arithmetic": arithmetic,
            "inference_precision_hint": hint,
            "node_precisions": nodes,
            "performance_hint": str(get("PERFORMANCE_HINT")).rpartition(".")[2],
            "streams": int(get("NUM_STREAMS")),
            "threads": int(get("INFERENCE_NUM_THREADS")),
            "in_flight": int(get("OPTIMAL_NUMBER_OF_INFER_REQUESTS")),
            "execution_devices": list(get("EXECUTION_DEVICES")),
            "loaded_from_cache": bool(get("LOADED_FROM_CACHE")),
        }

    def _node_precisions(self):
        """Precision → how many computing nodes of the compiled graph run in it."""
        counted = collections.Counter()
        for node in self._compiled.get_runtime_model().get_ordered_ops():
            facts = node.get_rt_info()
            if facts["layerType"].value in COMPUTING:
                counted[facts["runtimePrecision"].value] += 1
        return dict(counted)

    def _views(self, request):
        """The request's output buffers as arrays: made once, the runtime fills them in place."""
        return {name: request.get_tensor(name).data for name in self._names}

    def submit(self, inputs):
        """Start the request that has been idle longest; it reads the arrays where they lie."""
        request, views = self._idle.popleft()
        request.start_async(inputs, share_inputs=True)
        return request, views

    def wait(self, ticket):
        """Sleep until it is done; its buffers stay as they are until it is started again."""
        request, views = ticket
        request.wait()
        self._idle.append(ticket)
        return views

    def memory(self):
        """The host is the device."""
        return host_memory()

    def versions(self):
        """OpenVINO's, with its build."""
        import openvino

        return {"openvino": openvino.get_version()}

    def warnings(self):
        """What was compiled again, and a precision that is not the one asked for."""
        return self._warnings

    def close(self):
        """Drop requests and graph."""
        self._idle.clear()
        self._compiled = None


ENGINE = OpenVino
