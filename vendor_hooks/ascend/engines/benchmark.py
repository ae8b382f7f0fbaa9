"""benchmark.x86_64: the tool before ais_bench times core; predictions come through pyACL.

Published document 004 prints its "Interface throughputRate": device time of the model's execution only,
without the copies, of one chip.
"""

import itertools

from harness.engine import VendorTiming
from harness.engines import vendor_tool
from harness.errors import StageFailure
from hook import benchmark_output, repeating, samples
from hook.engines.cann import Cann

PROGRAM = "benchmark.x86_64"
#: Reading files takes the tool longer than computing; a quarter of the stage's usual time limit.
LONGEST_RUN_S = 6 * 3600


class Benchmark(Cann):
    """As Cann, except that the tool runs the core loop, one batch at a time."""

    core_in_flight = 1

    def require(self):
        """The model must have one input, an image: the tool supports nothing else."""
        if len(self.job.inputs) == 1 and len(self.job.inputs[0].shape) == 3:
            return
        raise StageFailure(
            self.job.stage,
            "{} supports only models with one image as input, this one has {}".format(
                PROGRAM, ", ".join(spec.name for spec in self.job.inputs)
            ),
            "use ENGINE=cann (ais_bench can measure models with several batched inputs)",
        )

    def measure_core(self, batches, min_seconds):
        """Run the tool over a list that repeats the items until their computation takes ``min_seconds``."""
        with samples.folder(self.job) as folder, self.lent():
            inputs, count = samples.write(self.job, batches, folder)
            paths = [str(inputs[0] / "{:06d}.bin".format(number)) for number in range(count)]
            summary, passes = repeating.long_enough(
                lambda passes: self._run(paths, folder, passes),
                lambda summary, passes: count * passes / summary.interface_rate,
                min_seconds,
                lambda summary: int(LONGEST_RUN_S * summary.e2e_rate / count),
            )
        items = count * passes
        return VendorTiming(
            items=items,
            calls=items // self.job.batch_size,
            wall_ns=int(items / summary.interface_rate * 1e9),
            compute_ns=int(items / summary.interface_rate * 1e9),
            includes=("compute",),
        )

    def _run(self, paths, folder, passes):
        height, width = self.job.inputs[0].shape[1:]
        listed = folder / "items.info"
        # Millions of lines, written one at a time.
        with listed.open("w", encoding="utf-8") as file:
            repeated = itertools.chain.from_iterable(itertools.repeat(paths, passes))
            for number, path in enumerate(repeated):
                file.write("{} {} {} {}\n".format(number, path, width, height))
        device, size = self.number(), self.job.batch_size
        command = [PROGRAM, "-model_type=vision", "-device_id={}".format(device)]
        command += ["-batch_size={}".format(size), "-om_path={}".format(self.om_path)]
        command += ["-input_text_path={}".format(listed), "-input_width={}".format(width)]
        command += ["-input_height={}".format(height), "-output_binary=True", "-useDvpp=False"]
        ran = vendor_tool.run(command, self.job.vendor, cwd=folder)
        report = folder / "result" / "perf_vision_batchsize_{}_device_{}.txt".format(size, device)
        if ran.returncode or not report.is_file():
            raise vendor_tool.failure("infer", ran)
        try:
            return benchmark_output.parse(report.read_text(encoding="utf-8"))
        except benchmark_output.BenchmarkFormatError as error:
            raise StageFailure(
                "infer",
                str(error),
                "the stage's log beside the result has the full output of {}".format(PROGRAM),
            ) from error


ENGINE = Benchmark
