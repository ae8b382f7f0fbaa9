"""What executes the model: the one base class that a vendor implements (README.md has the contract)."""

from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from harness.job import Arrays, Job

#: Host to device, compute, device to host, in nanoseconds; None where unknown.
Phases = Tuple[Optional[int], Optional[int], Optional[int]]
#: (code, message, remedy); the codes are WarningCode of driver/models/base.py.
WarningEntry = Tuple[str, str, str]


class VendorTiming(NamedTuple):
    """What a vendor's own tool measured; the result is marked ``clock: vendor-tool``.

    ``samples_ns`` has the time of each call as the tool printed it (empty if it prints none). The three
    phases are totals over all calls, None where the tool does not report them. ``includes`` names what
    the wall time covers (host_to_device, compute, device_to_host, synchronise).
    """

    items: int
    calls: int
    wall_ns: int
    in_flight: int = 1
    samples_ns: Sequence[int] = ()
    h2d_ns: Optional[int] = None
    compute_ns: Optional[int] = None
    d2h_ns: Optional[int] = None
    includes: Sequence[str] = ()


class Engine:
    """One engine of a vendor; the harness calls it and owns the clock.

    Implement ``load`` and either ``infer`` (synchronous) or ``submit`` and ``wait`` (asynchronous); for language
    models that generate, ``prefill`` and ``decode``; an engine that batches sequences by itself derives from
    harness.engines.serving.scheduling.SchedulingEngine instead.
    Import the SDK inside the methods, never at the top of the file. The file ends with
    ``ENGINE = <class>``.
    """

    #: Batches that the harness keeps on the device at once; more than 1 needs submit and wait.
    in_flight: int = 1
    #: True: every call gets job.batch_size items; the harness pads the last batch and cuts its outputs.
    static_batch: bool = False
    #: True: wait() returns buffers that a later call overwrites; the harness copies them.
    reuses_outputs: bool = False
    #: True on a stand-in for the SDK: the result is marked and kept out of reports.
    simulated: bool = False
    #: True: the engine shares the harness's process; its results are marked, and refused at ``official``.
    same_process: bool = False
    #: True: inputs are arrays that numpy takes for writable, for SDKs that copy others. Writing is still fatal.
    inputs_flagged_writable: bool = False
    #: True: the engine decides by itself which sequences a step advances; it has add and advance.
    schedules: bool = False
    #: Set by compile() when the cache already had what it makes.
    cached: bool = False

    #: Batches that the core loop posts beyond in_flight; of the harness's proxy alone.
    ahead: int = 0

    def __init__(self, job: Job) -> None:
        """``job`` is a harness.job.Job: paths, precision, batch size, options, threads, device."""
        self.job = job

    def compile(self) -> Dict[str, Any]:
        """Make the engine's files in job.cache_dir; return the settings that took effect."""
        return {}

    def load(self) -> Dict[str, Any]:
        """Prepare for inference; return the settings as READ BACK from the engine."""
        raise NotImplementedError("an engine must implement load()")

    def infer(self, inputs: Arrays) -> Arrays:
        """Run one batch of C-contiguous arrays, batch first; return the outputs, in host memory."""
        return self.wait(self.submit(inputs))

    def submit(self, inputs: Arrays) -> Any:
        """Start one batch and return a ticket at once; ``inputs`` stay unchanged until wait() returns."""
        return self.infer(inputs)

    def wait(self, ticket: Any) -> Arrays:
        """Return the outputs of a submitted batch, complete in HOST memory; sleep, do not spin."""
        return ticket

    def prefill(self, tokens: np.ndarray) -> np.ndarray:
        """Begin new sequences with int64 [batch, length] tokens, and keep their keys and values on the device.

        Returns the logits of each sequence's last token: float32 [batch, vocabulary], in host memory.
        """
        raise NotImplementedError

    def decode(self, tokens: np.ndarray) -> np.ndarray:
        """Append one token to each sequence, int64 [batch]; return the logits, as prefill does."""
        raise NotImplementedError

    def add(self, numbers: Sequence[int], prompts: np.ndarray, tokens: int) -> None:
        """Let new sequences join those that run: int64 [n, length] prompts, each of which gets ``tokens`` greedy ids.

        ``numbers`` name them; of those that run, no two have the same. Returns at once; only where ``schedules`` is True.
        """
        raise NotImplementedError

    def advance(self) -> Sequence[Tuple[int, int]]:
        """Wait for the next tokens of running sequences: (number, id) of each, in the order of a sequence's ids.

        Called only while a sequence runs.
        """
        raise NotImplementedError

    def phases(self, ticket: Any) -> Phases:
        """Return (h2d_ns, compute_ns, d2h_ns) of a finished ticket, each None where unknown."""
        raise NotImplementedError

    def measure_core(
        self,
        batches: Sequence[Arrays],  # noqa: ARG002
        min_seconds: float,  # noqa: ARG002
    ) -> Optional[VendorTiming]:
        """Only where the vendor's own tool must time itself; None leaves timing to the harness."""
        return None

    def times_itself(self) -> bool:
        """Whether there is a measure_core; for the harness."""
        return type(self).measure_core is not Engine.measure_core

    def time_phases(self, wanted: bool) -> bool:
        """Say whether phases() will be asked of every batch from now on, if there is one; for the harness."""
        return wanted and type(self).phases is not Engine.phases

    def empty(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """Return an uninitialised array which the engine reads without a copy; for the harness."""
        return np.empty(tuple(shape), dtype)

    def settle(self) -> None:
        """Return once memory that was handed over or given up needs no more work; for the harness."""

    def memory(self) -> Optional[Tuple[Optional[int], Optional[int], str]]:
        """Return (peak bytes, total bytes, source) of the device; None uses the monitor's figure."""
        return None

    def versions(self) -> Dict[str, str]:
        """Return name → version of what runs here (SDK, driver, compiler)."""
        return {}

    def warnings(self) -> Sequence[WarningEntry]:
        """Return (code, message, remedy) of each warning; the codes are WarningCode of driver/models/base.py."""
        return ()

    def close(self) -> None:
        """Free the device; called once, also after a failure."""
