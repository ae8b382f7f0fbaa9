"""What executes the model: the one base class that a vendor implements (README.md is the contract)."""

from typing import NamedTuple, Optional, Sequence


class VendorTiming(NamedTuple):
    """What a vendor's own tool measured: the result then says ``clock: vendor-tool``.

    ``samples_ns``: one per call, as the tool printed them (empty where it prints none); the phases
    are totals over all calls, None where the tool cannot tell; ``includes`` names what its wall time
    covers (host_to_device, compute, device_to_host, synchronise).
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

    Implement ``load`` and either ``infer`` (synchronous) or ``submit`` and ``wait`` (asynchronous).
    Import the SDK inside the methods, never at the top of the file. The file ends with
    ``ENGINE = <class>``.
    """

    #: Batches that the harness keeps on the device at once; more than 1 needs submit and wait.
    in_flight = 1
    #: True: every call gets exactly job.batch_size items; the harness pads and cuts the last one.
    static_batch = False
    #: True: wait() hands out buffers that a later call overwrites; the harness copies them.
    reuses_outputs = False
    #: True on a stand-in for the SDK: the result is marked and kept out of reports.
    simulated = False
    #: Set by compile() when it found what it would have made.
    cached = False

    def __init__(self, job):
        """``job`` is a harness.job.Job: paths, precision, batch size, options, threads, device."""
        self.job = job

    def compile(self):
        """Make the engine's files in job.cache_dir; return the settings that took effect (dict)."""
        return {}

    def load(self):
        """Make ready for inference; return the settings as READ BACK from the engine (dict)."""
        raise NotImplementedError("an engine must implement load()")

    def infer(self, inputs):
        """Run one batch: name → C-contiguous array, batch first; returns the same, in host memory."""
        return self.wait(self.submit(inputs))

    def submit(self, inputs):
        """Hand one batch over and return a ticket at once; ``inputs`` stay unchanged until wait."""
        return self.infer(inputs)

    def wait(self, ticket):
        """Outputs of a submitted batch, complete in HOST memory; sleep, do not spin."""
        return ticket

    def phases(self, ticket):
        """(h2d_ns, compute_ns, d2h_ns) of a finished ticket, each None where unknown."""
        raise NotImplementedError

    def measure_core(self, batches, min_seconds):  # noqa: ARG002
        """Only where the vendor's own tool must time: a VendorTiming; None leaves it to the harness."""
        return

    def memory(self):
        """(peak bytes, total bytes, source) of the device, or None: the monitor's figure is used."""
        return

    def versions(self):
        """Name → version of what runs here (SDK, driver, compiler)."""
        return {}

    def warnings(self):
        """(code, message, remedy) triples for the result, from driver/models/base.py WarningCode."""
        return ()

    def close(self):
        """Free the device; called once, also after a failure."""
