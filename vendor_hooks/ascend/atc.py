"""atc: ONNX (opset 11, static batch) → .om for one chip; its log goes to the stage's, its codes to failures."""

import os
import pathlib
import re

from harness import files
from harness.engines import vendor_tool
from harness.engines.engine_file import EngineFile, graph_digest
from harness.errors import StageFailure

SUCCESS = "ATC run success"
FILE_NAME = "model.om"
ONNX = 5
#: E10001, EZ3003, EL0004 … start error lines; W11001 … start warnings.
_CODE = re.compile(r"\bE[A-Z]?\d{4,5}\b")
_WARNING = re.compile(r"^(W\d{5}|\[WARNING\])")
#: precision_mode → arithmetic of matrix products and convolutions; README.md has the sources. Under force_fp32, the
#: cube unit takes fp16 and gives fp32.
ARITHMETIC = {
    "force_fp16": "fp16",
    "allow_mix_precision": "fp16",
    "force_fp32": "fp16",
    "must_keep_origin_dtype": "fp32",
}
_HINTS = (
    ("E19010", "atc cannot parse this operator or opset; CANN 5.1 takes opset 11"),
    ("E10001", "correct that parameter in vendor_hooks/ascend/vendor.toml"),
    ("EZ3003", "the chip's library lacks this operator: try a newer STACK, or correct CHIP"),
)


class Atc:
    """One compilation: what the engine is made from, and the command that makes it."""

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
        """Compile; return (effective settings, warnings). StageFailure (compile, out_of_memory, image)."""
        self.file.forget()
        ran = vendor_tool.run(self.command(), self._job.vendor, cwd=self._job.out_dir)
        # With a missing driver or a full disk, the exit code and the success line have contradicted each other.
        if ran.returncode or SUCCESS not in ran.text or not self.file.path.is_file():
            raise self._failed(ran)
        settings = {
            "precision": self._job.precision,
            "arithmetic": ARITHMETIC[self._options["precision_mode"]],
            "arithmetic_unread": "atc accepted this mode, but states nothing of the model's operators",
            "precision_mode": self._options["precision_mode"],
            "modify_mixlist": self._options.get("modify_mixlist"),
            "soc_version": self.soc_version,
            "command": " ".join(ran.argv),
        }
        self.file.record(settings)
        return settings, _warnings(ran.text)

    def command(self):
        """The command line of atc."""
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
                "atc cannot load libascend_hal.so, which is part of the host's driver",
                "install the driver on the host, or check the toolkit's devlib stubs; make doctor VENDOR=ascend",
            )
        said = remedy and "{}; the stage's log beside the result has the full output of atc".format(
            remedy
        )
        return vendor_tool.failure("compile", ran, lines[: vendor_tool.LINES] or None, said)


def input_shapes(specs, batch_size):
    """The value of --input_shape, name:1,3,224,224;…, without scalars.

    Before CANN 8, atc takes scalars only if they are left out; later also with nothing after the colon.
    """
    texts = []
    for spec in specs:
        rows = [batch_size * spec.rows_per_item] if spec.batched else []
        sizes = rows + list(spec.shape)
        if sizes:
            texts.append("{}:{}".format(spec.name, ",".join(map(str, sizes))))
    return ";".join(texts)


def cann_version(job):
    """The version that the toolkit states; the stack's name where it states none."""
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
