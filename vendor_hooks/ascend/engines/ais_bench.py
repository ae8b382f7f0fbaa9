"""ais_bench: the vendor's tool runs atc's .om and times core; predictions come through pyACL.

Its times are device times. The figure is items ÷ (copies in + compute + copies out), as if each execution
had copied its batch: the tool copies a batch once and executes it as often as asked. Its own "throughput"
excludes the copies.
"""

import importlib.util

from harness.engine import VendorTiming
from harness.engines import vendor_tool
from harness.errors import StageFailure
from hook import ais_bench_output, repeating, samples
from hook.engines.cann import Cann

#: The older generation of the tool is a script, not a module.
OLD_SCRIPT = "ais_infer.py"
PHASES = ("host_to_device", "compute", "device_to_host")
NS_PER_MS = 1e6
#: The tool keeps the time of every execution in memory, and writes them all.
MOST_LOOPS = 1000000


class AisBench(Cann):
    """As Cann, except that the tool runs the core loop, one batch at a time."""

    core_in_flight = 1

    def require(self):
        """Every input must have a batch axis: the tool makes a batch from one file per item."""
        lone = [spec.name for spec in self.job.inputs if not spec.batched]
        if lone:
            raise StageFailure(
                self.job.stage,
                "ais_bench makes batches from files, but this model has inputs without a batch axis: {}".format(
                    ", ".join(lone)
                ),
                "use ENGINE=cann",
            )

    def measure_core(self, batches, min_seconds):
        """Run the tool over all batches, as often as ``min_seconds`` requires."""
        with samples.folder(self.job) as folder, self.lent():
            inputs, _ = samples.write(self.job, batches, folder)
            summary, loops = repeating.long_enough(
                lambda loops: self._run(inputs, folder / "loops-{}".format(loops), loops),
                lambda summary, loops: self._wall_ms(summary, len(batches), loops) / 1e3,
                min_seconds,
                lambda _summary: MOST_LOOPS,
            )
        return self._timing(summary, len(batches), loops)

    def _run(self, inputs, output, loops):
        output.mkdir()
        command = _command() + ["--model={}".format(self.om_path)]
        command += ["--input={}".format(",".join(str(path) for path in inputs))]
        command += ["--output={}".format(output), "--outfmt=BIN", "--loop={}".format(loops)]
        command += [
            "--batchsize={}".format(self.job.batch_size),
            "--device={}".format(self.number()),
        ]
        ran = vendor_tool.run(command, self.job.vendor, cwd=output)
        if ran.returncode:
            raise vendor_tool.failure("infer", ran)
        try:
            return ais_bench_output.read(str(output), self.job.batch_size)
        except ais_bench_output.AisBenchFormatError as error:
            raise StageFailure(
                "infer",
                str(error),
                "the stage's log beside the result has the full output of ais_bench",
            ) from error

    def _times(self, summary, batches):
        return summary.batch_times(batches, len(self.job.inputs), len(self.job.outputs))

    def _wall_ms(self, summary, batches, loops):
        return self._times(summary, batches).total_ms * batches * loops

    def _timing(self, summary, batches, loops):
        # Early summaries have no count, so the requested number of calls is used.
        calls = batches * loops
        times = self._times(summary, batches)
        totals = [None if ms is None else int(ms * calls * NS_PER_MS) for ms in times]
        single = summary.compute_ms if len(summary.compute_ms) == calls else ()
        return VendorTiming(
            items=calls * self.job.batch_size,
            calls=calls,
            wall_ns=int(times.total_ms * calls * NS_PER_MS),
            samples_ns=[int(ms * NS_PER_MS) for ms in single],
            h2d_ns=totals[0],
            compute_ns=totals[1],
            d2h_ns=totals[2],
            includes=tuple(name for name, ns in zip(PHASES, totals) if ns is not None),
        )


def _command():
    """The tool of this image: the module (since 2022-11), else the older script."""
    script = vendor_tool.find(OLD_SCRIPT)
    if script and importlib.util.find_spec("ais_bench") is None:
        return ["python3", script]
    return ["python3", "-m", "ais_bench"]


ENGINE = AisBench
