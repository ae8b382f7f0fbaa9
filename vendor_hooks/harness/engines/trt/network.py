"""What builders of TensorRT's API share: TensorRT, and Iluvatar's IxRT. ``trt`` is the module with its names."""

import sys
from typing import Any, List, Sequence

from harness.errors import StageFailure, out_of_memory, says_out_of_memory
from harness.job import Job

#: The most lines that a failure quotes; the stage's log has them all.
LINES = 4


def make_logger(trt: Any, title: str = "TensorRT") -> Any:
    """A logger that keeps errors and warnings, and copies all messages to the stage's log."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: List[str] = []
            self.warnings: List[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (self.INTERNAL_ERROR, self.ERROR):
                self.errors.append(message)
            elif severity == self.WARNING:
                self.warnings.append(message)
            if severity != self.VERBOSE:
                sys.stderr.write("[{}] {}\n".format(title, message))

        def last_error(self) -> str:
            return self.errors[-1] if self.errors else "{}'s log is empty".format(title)

    kinds = trt.ILogger.Severity
    for name in ("INTERNAL_ERROR", "ERROR", "WARNING", "VERBOSE"):
        setattr(Log, name, getattr(kinds, name))
    return Log()


def parse(trt: Any, network: Any, log: Any, path: Any) -> List[str]:
    """Read the ONNX file at ``path`` into the network; return the parser's errors, none where it could.

    From the file, not from bytes: the parser finds external data beside it.
    """
    parser = trt.OnnxParser(network, log)
    if parser.parse_from_file(str(path)):
        return []
    errors = [str(parser.get_error(i)) for i in range(parser.num_errors)]
    return errors or [log.last_error()]


def one_profile(builder: Any, network: Any, job: Job) -> Any:
    """One profile from 1 to batch_size items, optimised for batch_size; None for a static graph."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    if not any(-1 in tuple(tensor.shape) for tensor in inputs):
        return None
    specs = {spec.name: spec for spec in job.inputs}
    profile = builder.create_optimization_profile()
    for tensor in inputs:
        if -1 not in tuple(tensor.shape):
            continue
        spec = specs[tensor.name]
        one = (spec.rows_per_item,) + spec.shape
        full = (job.batch_size * spec.rows_per_item,) + spec.shape
        profile.set_shape(tensor.name, one, full, full)
    return profile


def build_failure(what: str, lines: Sequence[str], remedy: str) -> StageFailure:
    """The StageFailure (compile, out_of_memory) of a step, with the last of its error ``lines``."""
    said = "; ".join(dict.fromkeys(line.strip() for line in lines[-LINES:])) or "its log is empty"
    if says_out_of_memory(said):
        return out_of_memory("{}: {}".format(what, said))
    return StageFailure("compile", "{}: {}".format(what, said), remedy)
