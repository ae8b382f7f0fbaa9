"""ais_bench: the vendor's tool on atc's .om, timed by its own clock; predictions come through pyACL.

Its times are the device's. The figure is items ÷ the sum of copies in, compute and copies out, one after
the other, as if each execution had copied: the tool executes a batch as often as asked, and copies it
once. Its own "throughput" leaves the copies out.
"""

import importlib.util

from harness import program
from harness.engine import VendorTiming
from harness.errors import StageFailure
from hook import ais_bench_output, repeating, samples
from hook.engines.cann import Cann

#: The tool's older generation is a script, not a module.
OLD_SCRIPT = "ais_infer.py"
PHASES = ("host_to_device", "compute", "device_to_host")
NS_PER_MS = 1e6
#: The tool keeps a time of every execution in its memory, and writes them all down.
MOST_LOOPS = 1000000


class AisBench(Cann):
    """The compiled model is Cann's; only the core loop is the tool's, a batch at a time."""

    core_in_flight = 1

    def require(self):
        """Every input has a batch: the tool makes it of as many files as there are items."""
        lone = [spec.name for spec in self.job.inputs if not spec.batched]
        if lone:
            raise StageFailure(
                self.job.stage,
                "ais_bench makes batches of files, and this model has inputs without a batch: {}".format(
                    ", ".join(lone)
                ),
                "use ENGINE=cann",
            )

    def measure_core(self, batches, min_seconds):
        """Run the tool over all held batches, as often as ``min_seconds`` need."""
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
        ran = program.run(command, self.job.vendor, cwd=output)
        if ran.returncode:
            raise program.failure("infer", ran)
        try:
            return ais_bench_output.read(str(output), self.job.batch_size)
        except ais_bench_output.AisBenchFormatError as error:
            raise StageFailure(
                "infer",
                str(error),
                "the whole output of ais_bench is in the stage's log beside the result",
            ) from error

    def _times(self, summary, batches):
        return summary.batch_times(batches, len(self.job.inputs), len(self.job.outputs))

    def _wall_ms(self, summary, batches, loops):
        return self._times(summary, batches).total_ms * batches * loops

    def _timing(self, summary, batches, loops):
        # Early summaries count nothing: what was asked for is what was done.
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
    """The tool of this image: the module of 2022-11 and later, else the script before it."""
    script = program.find(OLD_SCRIPT)
    if script and importlib.util.find_spec("ais_bench") is None:
        return ["python3", script]
    return ["python3", "-m", "ais_bench"]


ENGINE = AisBench
