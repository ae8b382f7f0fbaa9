"""The exported graph in fp16, kept in the cache: for ONNX Runtime, which opens a graph in every process."""

import shutil

from harness.engines.engine_file import EngineFile, graph_digest
from hook import trt_cast


class KeptCast:
    """``cache/fp16/model.onnx`` and its weights. ``warnings`` collects warnings.

    Inputs and outputs stay in fp32, but for a language model's keys and values, which stay on the device.
    """

    def __init__(self, job):
        self._job = job
        self.warnings = []

    def path(self):
        """The graph; cast unless the cache has it. Raises StageFailure as trt_cast.cast does."""
        made_from = {"graph": graph_digest(self._job), "cast": trt_cast.converter()}
        file = EngineFile(self._job.cache_dir / "fp16", made_from)
        if not file.usable:
            stale = file.stale()
            if stale:
                self.warnings.append(stale)
            file.forget()
            shutil.rmtree(str(file.path), ignore_errors=True)
            file.path.mkdir(parents=True)
            trt_cast.cast(self._job.onnx_path, file.path, "fp16", keep=self._kept())
            file.record({})
        return file.path / "model.onnx"

    def _kept(self):
        """The inputs and outputs that stay in fp32: True for all."""
        if self._job.generation is None:
            return True
        return [spec.name for spec in self._job.outputs]
