"""OpenVINO on the host's processor: fp32 or bf16, set explicitly and read back."""

import collections

from harness.engines.engine_file import EngineFile, graph_digest
from harness.engines.host_memory import host_memory
from harness.engines.token_steps import StepEngine

DEVICE = "CPU"
#: Precision → OpenVINO's element type, and OpenVINO's element type → arithmetic.
ELEMENT_TYPES = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
ARITHMETIC = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}
#: Node types of the compiled graph that do a model's arithmetic.
COMPUTING = ("FullyConnected", "MatMul", "Convolution", "ScaledDotProductAttention", "MHA")


def arithmetic_of(hint, nodes):
    """The arithmetic of a graph: the hint's type, unless most of its computing nodes run in another one.

    ``nodes`` maps an element type to the number of nodes that run in it. A type that is not in ARITHMETIC
    keeps OpenVINO's name.
    """
    followed = 2 * nodes.get(hint, 0) >= sum(nodes.values())
    ran = hint if followed else max(sorted(nodes), key=nodes.get)
    return ARITHMETIC.get(ran, ran)


def differs(precision, hint, nodes):
    """The warning (code, message, remedy) for a graph that does not run in ``precision``."""
    ran = arithmetic_of(hint, nodes)
    counted = ", ".join("{} in {}".format(nodes[name], name) for name in sorted(nodes))
    return (
        "effective_differs",
        "{} was asked for, but OpenVINO runs {} on this processor (hint in force: {}; computing nodes: {})".format(
            precision, ran, hint, counted or "none"
        ),
        "read the row as {}; bf16 needs a processor with AVX512_BF16 or AMX".format(ran),
    )


class OpenVino(StepEngine):
    """A static graph of job.batch_size items, and as many infer requests as OpenVINO recommends.

    Inputs are shared with the runtime, not copied; outputs are the requests' own buffers, which the
    harness copies if it keeps them. ``wait`` sleeps in the runtime, with the GIL released.
    """

    static_batch = True
    reuses_outputs = True
    # The runtime copies arrays that are read-only (openvino/utils/data_helpers/data_dispatcher.py).
    inputs_flagged_writable = True

    def __init__(self, job):
        super().__init__(job)
        self._compiled = None
        self._warnings = []
        self._idle = collections.deque()
        self._steps = None
        self._names = [spec.name for spec in job.outputs]
        self._hint = job.engine_options.get("performance_hint", "THROUGHPUT")
        if job.generation is not None:
            # Steps follow each other: one request gets every thread.
            self._hint = "LATENCY"

    def compile(self):
        """Compile into OpenVINO's own cache, in job.cache_dir."""
        core = self._core()
        file = self._engine_file(core)
        if file.usable:
            self.cached = True
            return file.settings
        return self._compile(core, file)

    def load(self):
        """Load from that cache, or compile again if it is for another processor or version."""
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
        if self.job.generation is not None:
            self._steps = self._compiled.create_infer_request()
            return settings
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
        """Compile, or load from the cache; the settings are read back from the compiled model."""
        model = core.read_model(str(self.job.onnx_path))
        if self.job.generation is not None:
            from hook.stateful import with_state

            with_state(model, self.job.batch_size)
        else:
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
        """Precision → number of computing nodes of the compiled graph that run in it."""
        counted = collections.Counter()
        for node in self._compiled.get_runtime_model().get_ordered_ops():
            facts = node.get_rt_info()
            if facts["layerType"].value in COMPUTING:
                counted[facts["runtimePrecision"].value] += 1
        return dict(counted)

    def _views(self, request):
        """The request's output buffers as arrays; made once, and filled in place by the runtime."""
        return {name: request.get_tensor(name).data for name in self._names}

    def submit(self, inputs):
        """Start the request that has been idle longest; it reads the arrays in place."""
        request, views = self._idle.popleft()
        request.start_async(inputs, share_inputs=True)
        return request, views

    def wait(self, ticket):
        """Sleep until the request is complete; its buffers stay unchanged until it is started again."""
        request, views = ticket
        request.wait()
        self._idle.append(ticket)
        return views

    def begin(self, sequences):  # noqa: ARG002  # the graph has the batch
        """Forget all keys and values, which are the request's state."""
        self._steps.reset_state()

    def step(self, tokens):
        """Append tokens to the sequences; returns the last one's logits."""
        self._steps.infer({0: tokens}, share_inputs=True)
        return self._steps.get_tensor(self._names[0]).data

    def memory(self):
        """Host memory, since the host is the device."""
        return host_memory()

    def versions(self):
        """The version of OpenVINO, with its build."""
        import openvino

        return {"openvino": openvino.get_version()}

    def warnings(self):
        """Recompilations, and a precision that differs from the one asked for."""
        return self._warnings

    def close(self):
        """Release requests and graph."""
        self._idle.clear()
        self._compiled = self._steps = None


ENGINE = OpenVino
