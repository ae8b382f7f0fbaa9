"""trtexec's command line in its generations, and the files of tensors that it reads and writes."""

import contextlib
import json
import math
import shutil

import numpy as np
from harness.engines import vendor_tool
from harness.errors import StageFailure
from hook import trtexec_lines, trtexec_output

PRECISION_OPTIONS = {"fp32": ["--noTF32"], "tf32": [], "fp16": ["--fp16"]}
#: trtexec's own default, passed explicitly to know which queries are warm-up.
WARM_UP_MS = 200
#: The release that renamed --buildOnly.
SKIP_INFERENCE_SINCE = (8, 6)


class TrtexecTool:
    """The trtexec of this image. ``version`` is (8, 5, 1); (7,) for 7.x, whose banner has none."""

    def __init__(self, job):
        self._job = job
        self._batched = [spec for spec in job.inputs if spec.batched]
        self.version_text, self.version = _version(job)

    def build(self, engine_path):
        """Build the engine for 1 to batch_size items; return (command, warnings)."""
        skip = "--skipInference" if self.version >= SKIP_INFERENCE_SINCE else "--buildOnly"
        size = self._job.batch_size
        command = ["trtexec", "--onnx={}".format(self._job.onnx_path)]
        command += ["--saveEngine={}".format(engine_path), skip]
        command += PRECISION_OPTIONS[self._job.precision] + self._profile(1, size)
        ran = self._run(command, "compile")
        if not engine_path.is_file():
            raise vendor_tool.failure("compile", ran)
        return command, _warnings(ran.text)

    def measure(self, engine_path, inputs, seconds):
        """Time full batches of ``inputs``; return (TrtexecSummary, the queries that it counts, times in ns)."""
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
                "the stage's log beside the result has the full output of trtexec",
            ) from error
        return summary, queries

    def outputs(self, engine_path, inputs):
        """The outputs of one batch, from a separate run; needed for 7.x, which has no v3 API."""
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
        ran = vendor_tool.run(command, self._job.vendor)
        if ran.returncode:
            raise vendor_tool.failure(
                kind, ran, trtexec_output.errors(ran.text)[: vendor_tool.LINES]
            )
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


def arithmetic_of(command):
    """The arithmetic that the options of a build command allow."""
    if "--fp16" in command:
        return "fp16"
    return "fp32" if "--noTF32" in command else "tf32"


def is_stand_in():
    """Whether trtexec is a test's imitation."""
    return vendor_tool.is_stand_in("trtexec")


def _version(job):
    """(text, numbers) of the banner; trtexec has no option that prints only its version."""
    ran = vendor_tool.run(["trtexec", "--help"], job.vendor)
    try:
        version = trtexec_output.read_banner(ran.text).version
    except trtexec_lines.TrtexecFormatError as error:
        raise StageFailure(
            "image",
            "the release of trtexec is unknown: {}".format(error),
            "use a STACK of vendor_hooks/nvidia/vendor.toml; trtexec --help shows the banner",
        ) from error
    return (trtexec_output.text_of(version), version) if version else ("7.x", (7,))


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
