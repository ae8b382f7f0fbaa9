"""MacaRT: ONNX Runtime with MACAExecutionProvider, fp32; which nodes ran on it is read back."""

import tempfile
from pathlib import Path

import numpy as np
from harness.engine import Engine
from harness.engines.engine_file import EngineFile, graph_digest
from harness.errors import StageFailure
from hook import nodes

PROVIDER = "MACAExecutionProvider"
#: As always in ONNX Runtime, it runs the operators that have no MACA kernel.
HOST_PROVIDER = "CPUExecutionProvider"


class MacaRt(Engine):
    """A static graph; synchronous, ``run`` copies in and out. MacaRT optimises the graph while loading it."""

    static_batch = True

    def __init__(self, job):
        super().__init__(job)
        self._session = None
        self._warnings = []
        self._names = [spec.name for spec in job.outputs]

    def compile(self):
        """Load the graph and run it once, so that a graph which MacaRT refuses is a compile failure."""
        return self.load()

    def load(self):
        """Open the session on MACA; StageFailure if ONNX Runtime would run on the host instead."""
        import onnxruntime

        self.simulated = bool(getattr(onnxruntime, "__assay_standin__", False))
        self._require_provider(onnxruntime)
        found = self._operators(onnxruntime)
        nodes.require(found, PROVIDER)
        self._warnings.extend(nodes.left_over(found, PROVIDER))
        self._session = self._open(onnxruntime, self._options(onnxruntime))
        return self._effective(found)

    def _options(self, onnxruntime):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.job.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options

    def _open(self, onnxruntime, options):
        # MACA_VISIBLE_DEVICES leaves one device, which is number 0.
        providers = [(PROVIDER, {"device_id": "0"}), HOST_PROVIDER]
        session = onnxruntime.InferenceSession(
            str(self.job.onnx_path), options, providers=providers
        )
        # From now on a failing provider raises, instead of being silently replaced by the host's.
        session.disable_fallback()
        self._require_in_use(session)
        return session

    def _operators(self, onnxruntime):
        """Provider → its operators: found once per graph and release, and kept in job.cache_dir."""
        made_from = {
            "graph": graph_digest(self.job),
            "onnxruntime": onnxruntime.__version__,
            "batch_size": self.job.batch_size,
        }
        file = EngineFile(self.job.cache_dir / "profile", made_from)
        if not file.usable:
            file.forget()
            file.path.write_text(self._profile(onnxruntime), encoding="utf-8")
            file.record({"operators": nodes.operators(file.path.read_text(encoding="utf-8"))})
        return file.settings["operators"]

    def _profile(self, onnxruntime):
        """The profile of one run on zeros, in a separate session that ends before the measured one begins."""
        options = self._options(onnxruntime)
        options.enable_profiling = True
        with tempfile.TemporaryDirectory() as folder:
            options.profile_file_prefix = str(Path(folder, "run"))
            session = self._open(onnxruntime, options)
            session.run(self._names, {spec.name: self._zeros(spec) for spec in self.job.inputs})
            return Path(session.end_profiling()).read_text(encoding="utf-8")

    def _zeros(self, spec):
        rows = (self.job.batch_size * spec.rows_per_item,) if spec.batched else ()
        return np.zeros(rows + tuple(spec.shape), spec.dtype)

    def _require_provider(self, onnxruntime):
        available = onnxruntime.get_available_providers()
        if PROVIDER not in available:
            raise StageFailure(
                "image",
                "ONNX Runtime {} in this image has no {}; it has {}".format(
                    onnxruntime.__version__, PROVIDER, ", ".join(available)
                ),
                "put MacaRT into the base image, as vendor_hooks/metax/README.md describes",
            )

    def _require_in_use(self, session):
        used = session.get_providers()
        if not used or used[0] != PROVIDER:
            raise StageFailure(
                "host",
                "ONNX Runtime fell back to {}: {} could not be used".format(
                    ", ".join(used) or "nothing", PROVIDER
                ),
                "make doctor VENDOR=metax checks driver, device nodes and permissions",
            )

    def _effective(self, found):
        options = self._session.get_session_options()
        return {
            "precision": self.job.precision,
            "arithmetic": "fp32",
            "arithmetic_unread": "the provider does not state the arithmetic of its kernels",
            "providers": self._session.get_providers(),
            "node_providers": {provider: len(ran) for provider, ran in found.items()},
            "provider_options": self._session.get_provider_options().get(PROVIDER, {}),
            "graph_optimization": options.graph_optimization_level.name,
            "profiling": options.enable_profiling,
            "input_dtypes": {node.name: node.type for node in self._session.get_inputs()},
            "in_flight": self.in_flight,
        }

    def infer(self, inputs):
        """Run one batch, with copies, computation and synchronisation."""
        return dict(zip(self._names, self._session.run(self._names, inputs)))

    def versions(self):
        """The version of MacaRT's ONNX Runtime."""
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__}

    def warnings(self):
        """Nodes that ran on the host."""
        return self._warnings

    def close(self):
        """Release the session and its memory."""
        self._session = None


ENGINE = MacaRt
