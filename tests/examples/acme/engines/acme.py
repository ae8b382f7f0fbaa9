"""Acme's engine: ONNX Runtime, with an optimised graph made once and batches handed over ahead."""

import concurrent.futures

from harness.engine import Engine
from harness.engines.host_memory import host_memory

_PRECISIONS = {"tensor(float)": "fp32", "tensor(float16)": "fp16"}


class Acme(Engine):
    """Compiles to one file in the cache; a worker for each batch in flight, so submit returns at once."""

    def __init__(self, job):
        super().__init__(job)
        self.in_flight = int(job.engine_options.get("in_flight", 1))
        self._compiled = job.cache_dir / "optimised.onnx"
        self._names = [spec.name for spec in job.outputs]
        self._workers = concurrent.futures.ThreadPoolExecutor(self.in_flight)
        self._session = None

    def compile(self):
        """Optimise the graph and keep it; what is there already is not made again."""
        self.cached = self._compiled.is_file()
        if not self.cached:
            self._open(self.job.onnx_path, keep=self._compiled)
        return {"file": self._compiled.name}

    def load(self):
        """Open the optimised graph; the settings come back from the session."""
        self._session = self._open(self._compiled)
        # The processor computes in the types of the graph itself: the session tells what runs.
        ran = _PRECISIONS[self._session.get_outputs()[0].type]
        return {
            "precision": ran,
            "arithmetic": ran,
            "provider": self._session.get_providers()[0],
            "threads": self._session.get_session_options().intra_op_num_threads,
        }

    def submit(self, inputs):
        """Hand one batch over and return its ticket at once."""
        return self._workers.submit(self._session.run, self._names, inputs)

    def wait(self, ticket):
        """Outputs of a batch, in host memory."""
        return dict(zip(self._names, ticket.result()))

    def memory(self):
        """The host is the device."""
        return host_memory()

    def versions(self):
        """The SDK's."""
        import onnxruntime

        return {"onnxruntime": onnxruntime.__version__}

    def close(self):
        """End the workers and free the session."""
        self._workers.shutdown()
        self._session = None

    def _open(self, path, keep=None):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, self.job.threads // self.in_flight)
        if keep is not None:
            # Extended, not all: layouts chosen for this very processor would not run on another.
            options.graph_optimization_level = (
                onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
            )
            options.optimized_model_filepath = str(keep)
            # Weights beside the graph: a file of more than 2 GB could not be written in one.
            entry = "session.optimized_model_external_initializers_file_name"
            options.add_session_config_entry(entry, keep.stem + ".data")
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


ENGINE = Acme
