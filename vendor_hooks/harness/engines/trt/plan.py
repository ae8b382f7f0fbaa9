"""The serialised engine ("plan") of a compiler of TensorRT's API: taken from the cache or built, deserialised."""

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from harness.engine import WarningEntry
from harness.engines.engine_file import EngineFile, graph_digest
from harness.engines.trt.cuda import Cuda
from harness.errors import StageFailure, out_of_memory, says_out_of_memory
from harness.job import Job


class Plan:
    """The engine of this graph, chip, release, precision and batch size, in ``job.cache_dir``.

    A vendor's class sets ``title`` and ``filename``, and builds (``build``). ``warnings`` collects warnings,
    ``cached`` says whether compile found the file. ``log`` is from network.make_logger.
    """

    title = "TensorRT"
    filename = "engine.plan"

    def __init__(self, job: Job, device: Cuda, log: Any) -> None:
        self._job = job
        self._device = device
        self._log = log
        self._runtime: Any = None
        self.cached = False
        self.warnings: List[WarningEntry] = []

    def compile(self) -> Dict[str, Any]:
        """Build the engine, unless the cache has it; return the settings that were read back at the build."""
        file = self.file()
        self.cached = file.usable
        return file.settings if file.usable else self.make(file)

    def load(self) -> Tuple[Any, Dict[str, Any]]:
        """Return (engine, settings); an engine for another chip or release, or a damaged one, is rebuilt."""
        file = self.file()
        if not file.usable:
            self.make(file)
        engine = self._deserialise(file)
        if engine is None:
            self.warnings.append(file.unreadable(self._log.last_error()))
            self.make(file)
            engine = self._deserialise(file)
        if engine is None:
            raise self._unloadable()
        return engine, file.settings

    def file(self) -> EngineFile:
        """The engine's file, and what it is made from."""
        name, capability = self._device.device()
        made_from = {
            "graph": graph_digest(self._job),
            self.title.lower(): _sdk().__version__,
            "device": name,
            "compute_capability": capability,
            "precision": self._job.precision,
            "batch_size": self._job.batch_size,
            **self.made_from(),
        }
        return EngineFile(self._job.cache_dir / self.filename, made_from)

    def made_from(self) -> Mapping[str, str]:
        """What else an engine depends on, name → value."""
        return {}

    def make(self, file: EngineFile) -> Dict[str, Any]:
        """Build the engine file, replacing an outdated one; return its settings."""
        stale = file.stale()
        if stale:
            self.warnings.append(stale)
        file.forget()
        settings, said = self.build(file.path)
        file.record(settings)
        self.warnings.extend(builder_warnings(said, self.title))
        return settings

    def build(self, path: Any) -> Tuple[Dict[str, Any], Sequence[str]]:
        """Write the engine to ``path``; return (settings read back from the configuration, warnings)."""
        raise NotImplementedError

    def _deserialise(self, file: EngineFile) -> Any:
        self._runtime = _sdk().Runtime(self._log)  # must outlive its engines
        engine = self._runtime.deserialize_cuda_engine(file.path.read_bytes())
        if engine is None and says_out_of_memory(self._log.last_error()):
            raise out_of_memory(self._log.last_error())
        return engine

    def _unloadable(self) -> StageFailure:
        return StageFailure(
            "infer",
            "{} cannot load the engine that it has just built: {}".format(
                self.title, self._log.last_error()
            ),
            "make check VENDOR={} tests the hook alone; the stage's log has {}'s messages".format(
                self._job.vendor, self.title
            ),
        )


def builder_warnings(lines: Sequence[str], title: str = "TensorRT") -> List[WarningEntry]:
    """One warning for the result, without the builder's repetitions; the log has them all."""
    lines = list(dict.fromkeys(lines))
    if not lines:
        return []
    message = "{}'s builder warned: {}".format(title, "; ".join(lines[:2]))
    if len(lines) > 2:
        message += " (and {} more)".format(len(lines) - 2)
    return [("compiler_warning", message, "read the compile stage's log beside the result")]


def _sdk() -> Any:
    import tensorrt

    found: Any = tensorrt
    return found
