"""An engine whose core figure comes from a tool of its own, as trtexec's or ais_bench's would."""

from harness.engine import VendorTiming
from hook.engines.colours import Colours


class Tool(Colours):
    """The tool's figures are made up by job.engine_options: the test knows them."""

    def measure_core(self, batches, min_seconds):
        rows = sum(len(batch[self.job.inputs[0].name]) for batch in batches)
        return VendorTiming(
            items=rows,
            calls=len(batches),
            wall_ns=self.job.engine_options["wall_ns"],
            samples_ns=self.job.engine_options["samples_ns"],
            compute_ns=7,
            includes=("compute",),
        )


ENGINE = Tool
