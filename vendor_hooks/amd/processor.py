"""Whether the processor that a stage runs on is AMD's, and has bf16 where that was asked for.

The driver asks before anything is fetched, by [processor] of vendor.toml. It cannot where the stages run
on another host (HOST=, RUNNER=slurm): these engines ask again.
"""

import pathlib

from harness.errors import StageFailure

CPUINFO = pathlib.Path("/proc/cpuinfo")
VENDOR = "AuthenticAMD"
BF16 = "avx512_bf16"


def require(precision, cpuinfo=CPUINFO):
    """Raise StageFailure (host) on another vendor's processor, and without instructions for ``precision``."""
    facts = _facts(cpuinfo.read_text(encoding="utf-8", errors="replace"))
    name = facts.get("model name", "unknown")
    if facts.get("vendor_id") != VENDOR:
        raise StageFailure(
            "host",
            "this processor is {} ({}), not one of AMD's".format(name, facts.get("vendor_id", "?")),
            "use VENDOR=cpu or VENDOR=intel, which run on any processor",
        )
    if precision == "bf16" and BF16 not in facts.get("flags", "").split():
        raise StageFailure(
            "host",
            "{} has no {}: bf16 would be emulated".format(name, BF16),
            "use PRECISION=fp32, or a processor from Zen 4 on",
        )


def _facts(text):
    """Key → value of the first processor."""
    found = {}
    for line in text.partition("\n\n")[0].splitlines():
        key, _, value = line.partition(":")
        found[key.strip()] = value.strip()
    return found


class OnZen:
    """Comes before an engine of PyTorch among the bases; refuses other processors in every stage."""

    def compile(self):
        """Compile as the engine does, on the right processor."""
        require(self.job.precision)
        return super().compile()

    def load(self):
        """Load as the engine does, on the right processor."""
        require(self.job.precision)
        return super().load()
