"""atc: ONNX (opset 11, static batch) → .om for one chip; its log in the stage's, its codes in failures."""

import os
import pathlib
import re

from harness import files, program
from harness.engine_file import EngineFile, graph_digest
from harness.errors import StageFailure

SUCCESS = "ATC run success"
FILE_NAME = "model.om"
ONNX = 5
#: E10001, EZ3003, EL0004 … lead the lines that say why; W11001 … those that warn.
_CODE = re.compile(r"\bE[A-Z]?\d{4,5}\b")
_WARNING = re.compile(r"^(W\d{5}|\[WARNING\])")
_HINTS = (
    ("E19010", "this operator or opset has no parser: atc of CANN 5.1 takes opset 11"),
    ("E10001", "correct that parameter in vendor_hooks/ascend/vendor.toml"),
    ("EZ3003", "the chip's library has no such operator: a newer STACK may, or CHIP is wrong"),
)


class Atc:
    """One compilation: what it is made from, and the command that makes it."""

    def __init__(self, job, soc_version):
        self._job = job
        self.soc_version = soc_version
        self._options = job.precision_options
        made_from = {
            "graph": graph_digest(job),
            "soc_version": soc_version,
            "cann": cann_version(job),
            "batch_size": job.batch_size,
            "precision_mode": self._options["precision_mode"],
            "mixlist": files.sha256(self._mixlist()) if self._mixlist() else None,
        }
        self.file = EngineFile(job.cache_dir / FILE_NAME, made_from)

    def run(self):
        """Compile; (effective settings, warnings). StageFailure (compile, out_of_memory, image)."""
        self.file.forget()
        ran = program.run(self.command(), self._job.vendor, cwd=self._job.out_dir)
        # A driver that is missing, or a full disk, have made atc print one and return the other.
        if ran.returncode or SUCCESS not in ran.text or not self.file.path.is_file():
            raise self._failed(ran)
        settings = {
            "precision": self._job.precision,
            "arithmetic": self._job.arithmetic,
            "precision_mode": self._options["precision_mode"],
            "modify_mixlist": self._options.get("modify_mixlist"),
            "soc_version": self.soc_version,
            "command": " ".join(ran.argv),
        }
        self.file.record(settings)
        return settings, _warnings(ran.text)

    def command(self):
        """The command line."""
        words = ["atc", "--framework={}".format(ONNX), "--model={}".format(self._job.onnx_path)]
        # atc appends .om by itself.
        words += ["--output={}".format(str(self.file.path)[: -len(".om")])]
        words += [
            "--input_format={}".format(self._format()),
            "--input_shape={}".format(input_shapes(self._job.inputs, self._job.batch_size)),
        ]
        words += ["--soc_version={}".format(self.soc_version)]
        words += ["--precision_mode={}".format(self._options["precision_mode"])]
        if self._mixlist():
            words += ["--modify_mixlist={}".format(self._mixlist())]
        return words + ["--log={}".format(self._job.engine_options.get("log", "error"))]

    def _format(self):
        pictures = all(len(spec.shape) == 3 and spec.batched for spec in self._job.inputs)
        return "NCHW" if pictures else "ND"

    def _mixlist(self):
        name = self._options.get("modify_mixlist")
        return pathlib.Path(__file__).resolve().parent / name if name else None

    def _failed(self, ran):
        lines = [line.strip() for line in ran.text.splitlines() if _CODE.search(line)]
        remedy = next((hint for code, hint in _HINTS if code in ran.text), None)
        if "libascend_hal" in ran.text:
            raise StageFailure(
                "host",
                "atc cannot load libascend_hal.so, a part of the host's driver",
                "install the driver on the host, or check the toolkit's devlib stubs; make doctor VENDOR=ascend",
            )
        said = (
            remedy
            and "{}; the whole output of atc is in the stage's log beside the result".format(remedy)
        )
        return program.failure("compile", ran, lines[: program.LINES] or None, said)


def input_shapes(specs, batch_size):
    """The inputs as --input_shape has them, name:1,3,224,224;… without scalars.

    Until CANN 8 atc takes a scalar only unnamed, later also with nothing after the colon.
    """
    texts = []
    for spec in specs:
        rows = [batch_size * spec.rows_per_item] if spec.batched else []
        sizes = rows + list(spec.shape)
        if sizes:
            texts.append("{}:{}".format(spec.name, ",".join(map(str, sizes))))
    return ";".join(texts)


def cann_version(job):
    """What the toolkit says of itself, with the stack's name where it says nothing."""
    home = pathlib.Path(
        os.environ.get("ASCEND_TOOLKIT_HOME", "/usr/local/Ascend/ascend-toolkit/latest")
    )
    for name in ("compiler/version.info", "version.info"):
        try:
            text = (home / name).read_text(encoding="utf-8")
        except OSError:
            continue
        version = re.search(r"^Version=(\S+)", text, re.MULTILINE)
        if version:
            return version.group(1)
    return home.resolve().name if home.exists() else job.stack


def _warnings(text):
    lines = list(
        dict.fromkeys(line.strip() for line in text.splitlines() if _WARNING.match(line.strip()))
    )
    if not lines:
        return []
    message = "atc warned: {}".format("; ".join(lines[:2]))
    if len(lines) > 2:
        message += " (and {} more)".format(len(lines) - 2)
    return [("compiler_warning", message, "read the compile stage's log beside the result")]
