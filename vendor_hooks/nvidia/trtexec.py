"""trtexec's command line in its generations, and the tensors that it reads and writes as files."""

import contextlib
import json
import math
import shutil

import numpy as np
from harness import program
from harness.errors import StageFailure
from hook import trtexec_lines, trtexec_output

PRECISION_OPTIONS = {"fp32": ["--noTF32"], "tf32": [], "fp16": ["--fp16"]}
#: trtexec's own default, said so that it is known which queries are warm-up.
WARM_UP_MS = 200
#: The release that renamed --buildOnly.
SKIP_INFERENCE_SINCE = (8, 6)


class Trtexec:
    """The program of this image. ``version`` is (8, 5, 1), None before 8 (its banner has none)."""

    def __init__(self, job):
        self._job = job
        self._batched = [spec for spec in job.inputs if spec.batched]
        self.version_text, self.version = _version(job)

    def build(self, engine_path):
        """Build the engine from 1 to batch_size items; the command that did it."""
        skip = (
            "--skipInference" if (self.version or (7,)) >= SKIP_INFERENCE_SINCE else "--buildOnly"
        )
        size = self._job.batch_size
        command = ["trtexec", "--onnx={}".format(self._job.onnx_path)]
        command += ["--saveEngine={}".format(engine_path), skip]
        command += PRECISION_OPTIONS[self._job.precision] + self._profile(1, size)
        ran = self._run(command, "compile")
        if not engine_path.is_file():
            raise program.failure("compile", ran)
        return command, _warnings(ran.text)

    def measure(self, engine_path, inputs, seconds):
        """Time full batches of ``inputs``; (TrtexecSummary, the queries that it counts, times in ns)."""
        with self._scratch() as folder:
            times = folder / "times.json"
            command = self._inference(engine_path, inputs, folder)
            command += ["--warmUp={}".format(WARM_UP_MS)]
            command += ["--duration={}".format(max(1, math.ceil(seconds)))]
            ran = self._run(command + ["--exportTimes={}".format(times)], "infer")
            exported = times.read_text(encoding="utf-8")
        try:
            summary = trtexec_output.parse(ran.text)
            queries = trtexec_output.counted(
                trtexec_output.parse_times(exported), WARM_UP_MS, summary
            )
        except trtexec_lines.TrtexecFormatError as error:
            raise StageFailure(
                "infer",
                str(error),
                "the whole output of trtexec is in the stage's log beside the result",
            ) from error
        return summary, queries

    def outputs(self, engine_path, inputs):
        """Name → array of one batch, computed by a run of its own: what 7.x has no v3 API for."""
        with self._scratch() as folder:
            exported = folder / "outputs.json"
            command = self._inference(engine_path, inputs, folder)
            command += ["--iterations=1", "--duration=0", "--warmUp=0", "--avgRuns=1"]
            self._run(command + ["--exportOutput={}".format(exported)], "infer")
            rows = json.loads(exported.read_text(encoding="utf-8"))
        found = {row["name"]: row for row in rows}
        return {spec.name: _array(found[spec.name], spec) for spec in self._job.outputs}

    def _inference(self, engine_path, inputs, folder):
        command = ["trtexec", "--loadEngine={}".format(engine_path)]
        shapes = {spec.name: inputs[spec.name].shape for spec in self._batched}
        command += ["--shapes={}".format(_shapes(shapes))]
        files = []
        for name, array in inputs.items():
            path = folder / "{}.bin".format(len(files))
            array.tofile(str(path))
            files.append("{}:{}".format(name, path))
        return command + ["--loadInputs={}".format(",".join(files))]

    def _profile(self, least, most):
        options = []
        for option, items in (("minShapes", least), ("optShapes", most), ("maxShapes", most)):
            shapes = {s.name: (items * s.rows_per_item,) + s.shape for s in self._batched}
            options.append("--{}={}".format(option, _shapes(shapes)))
        return options

    def _run(self, command, kind):
        ran = program.run(command, self._job.vendor)
        if ran.returncode:
            raise program.failure(kind, ran, trtexec_output.errors(ran.text)[: program.LINES])
        return ran

    @contextlib.contextmanager
    def _scratch(self):
        folder = self._job.cache_dir / "trtexec"
        shutil.rmtree(str(folder), ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
        finally:
            shutil.rmtree(str(folder), ignore_errors=True)


def is_stand_in():
    """True for a test's imitation of trtexec."""
    return program.is_stand_in("trtexec")


def _version(job):
    """(text, numbers) of the banner; trtexec has no option that prints its version alone."""
    ran = program.run(["trtexec", "--help"], job.vendor)
    for line in ran.text.splitlines():
        banner = trtexec_output.BANNER.match(line)
        if banner and banner.group(2):
            digits = banner.group(2)
            wide = 1 if len(digits) == 4 else 2
            numbers = (int(digits[: -2 - wide]), int(digits[-2 - wide : -2]), int(digits[-2:]))
            return ".".join(str(number) for number in numbers), numbers
    return "7.x", None


def _shapes(shapes):
    return ",".join(
        "{}:{}".format(name, "x".join(str(size) for size in shape))
        for name, shape in shapes.items()
    )


def _array(row, spec):
    shape = [int(size) for size in row["dimensions"].split("x")]
    return np.array(
        row["values"], dtype="float32" if spec.dtype == "bfloat16" else spec.dtype
    ).reshape(shape)


def _warnings(text):
    lines = [line for line in text.splitlines() if "[W]" in line]
    return [line.partition("[W]")[2].strip() for line in dict.fromkeys(lines)]
