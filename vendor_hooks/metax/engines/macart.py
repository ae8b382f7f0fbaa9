"""MacaRT: ONNX Runtime with MACAExecutionProvider, fp32; whether it is in use is read back."""

from harness.engine import Engine
from harness.errors import StageFailure

PROVIDER = "MACAExecutionProvider"
#: Takes the operators that MACA has no kernel for, as in ONNX Runtime everywhere.
HOST_PROVIDER = "CPUExecutionProvider"


class MacaRt(Engine):
    """A static graph; synchronous, ``run`` copies in and out. MacaRT optimises the graph while it loads it."""

    static_batch = True

    def __init__(self, job):
        super().__init__(job)
        self._session = None
        self._names = [spec.name for spec in job.outputs]

    def compile(self):
        """Load the graph once, so that what MacaRT refuses is a compile failure."""
        return self.load()

    def load(self):
        """Open the session on MACA; StageFailure where ONNX Runtime would run on the host instead."""
        import onnxruntime

        self.simulated = bool(getattr(onnxruntime, "__assay_standin__", False))
        self._require_provider(onnxruntime)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.job.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # MACA_VISIBLE_DEVICES leaves one device, which is then the first.
        providers = [(PROVIDER, {"device_id": "0"}), HOST_PROVIDER]
        self._session = onnxruntime.InferenceSession(
            str(self.job.onnx_path), options, providers=providers
        )
        # From now on a provider that fails raises, and is not replaced by the host's in silence.
        self._session.disable_fallback()
        self._require_in_use()
        return self._effective()

    def _require_provider(self, onnxruntime):
        available = onnxruntime.get_available_providers()
        if PROVIDER not in available:
            raise StageFailure(
                "image",
                "ONNX Runtime {} of this image has no {}; it has {}".format(
                    onnxruntime.__version__, PROVIDER, ", ".join(available)
                ),
                "put MacaRT into the base image: vendor_hooks/metax/README.md says how",
            )

    def _require_in_use(self):
        used = self._session.get_providers()
        if not used or used[0] != PROVIDER:
            raise StageFailure(
                "host",
                "ONNX Runtime fell back to {}: {} could not be used".format(
                    ", ".join(used) or "nothing", PROVIDER
                ),
                "make doctor VENDOR=metax checks driver, device nodes and permissions",
            )

    def _effective(self):
        options = self._session.get_session_options()
        return {
            "precision": self.job.precision,
            "arithmetic": "fp32",
            "providers": self._session.get_providers(),
            "provider_options": self._session.get_provider_options().get(PROVIDER, {}),
            "graph_optimization": options.graph_optimization_level.name,
            "input_dtypes": {node.name: node.type for node in self._session.get_inputs()},
            "in_flight": self.in_flight,
        }

    def infer(self, inputs):
        """One batch; copies, computation and synchronisation are inside."""
        return dict(zip(self._names, self._session.run(self._names, inputs)))

    def versions(self):
        """ONNX Runtime's, as MacaRT names it."""
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__}

    def close(self):
        """Drop the session and its memory."""
        self._session = None


ENGINE = MacaRt
