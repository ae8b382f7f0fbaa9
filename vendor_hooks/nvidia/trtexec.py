"""trtexec's command line in its generations, and the files of tensors that it reads and writes."""

import contextlib
import json
import math
import shutil
from collections import namedtuple

import numpy as np
from harness.engines import vendor_tool
from harness.errors import StageFailure
from hook import engine_layers, trt_cast, trt_release, trtexec_lines, trtexec_output

PRECISION_OPTIONS = {"fp32": ["--noTF32"], "tf32": [], "fp16": ["--fp16"]}
#: 11 has no precision options but this one: fp16 is in the graph.
STRONG_OPTIONS = dict(PRECISION_OPTIONS, fp16=[])
#: trtexec's own default, passed explicitly to know which queries are warm-up.
WARM_UP_MS = 200
#: The release that renamed --buildOnly.
SKIP_INFERENCE_SINCE = (8, 6)
#: The release whose engines state the datatypes of their layers on request, in a file.
LAYERS_SINCE = (8, 4)
#: 11 measures without copies, with CUDA graphs and with spinning; these options measure as the releases before.
AS_BEFORE_SINCE = (11,)
AS_BEFORE = ["--includeDataTransfers", "--noCudaGraph", "--noSpinWait"]
#: The oldest release whose command line this hook knows.
OLDEST = (7,)

#: ``arithmetic`` as options and graph ask for it; ``read_back`` as engine_layers.read_back returns it.
Built = namedtuple("Built", "command warnings arithmetic read_back")


class TrtexecTool:
    """The trtexec of this image. ``version`` is (8, 5, 1); (7,) for 7.x, whose banner has none."""

    def __init__(self, job):
        self._job = job
        self._batched = [spec for spec in job.inputs if spec.batched]
        self.version_text, self.version = _version(job)

    def build(self, engine_path):
        """Build the engine for 1 to batch_size items; return Built."""
        job = self._job
        skip = "--skipInference" if self.version >= SKIP_INFERENCE_SINCE else "--buildOnly"
        strong = trt_release.is_strongly_typed(self.version)
        options = STRONG_OPTIONS if strong else PRECISION_OPTIONS
        with trt_cast.graph(job, self.version) as graph, self._scratch() as folder:
            layers = folder / "layers.json"
            command = ["trtexec", "--onnx={}".format(graph)]
            command += ["--saveEngine={}".format(engine_path), skip]
            command += options[job.precision] + self._profile(1, job.batch_size)
            if self.version >= LAYERS_SINCE:
                command += ["--profilingVerbosity=detailed", "--exportLayerInfo={}".format(layers)]
            ran = self._run(command, "compile")
            stated = layers.read_text(encoding="utf-8") if layers.is_file() else None
        if not engine_path.is_file():
            raise vendor_tool.failure("compile", ran)
        return Built(
            command,
            _warnings(ran.text),
            "fp16" if job.precision == "fp16" else _of_options(command),
            engine_layers.read_back([stated]),
        )

    def loop_options(self):
        """The options with which every release measures the same: with copies, without CUDA graphs, sleeping."""
        return AS_BEFORE if self.version >= AS_BEFORE_SINCE else []

    def measure(self, engine_path, inputs, seconds):
        """Time full batches of ``inputs``; return (TrtexecSummary, the queries that it counts, times in ns)."""
        with self._scratch() as folder:
            times = folder / "times.json"
            command = self._inference(engine_path, inputs, folder) + self.loop_options()
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


def _of_options(command):
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
    if version is None:
        return "7.x", (7,)
    text = trtexec_output.text_of(version)
    trt_release.require_known(text, OLDEST)
    return text, version


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
