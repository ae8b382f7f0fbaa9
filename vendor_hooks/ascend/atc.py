"""atc: ONNX (opset 11, static batch) → .om for one chip; its log goes to the stage's, its codes to failures.

From CANN 8 on, `--precision_mode_v2` is the advised flag; both cannot be given (GE documents of CANN 9.1, Precision
Tuning). vendor.toml names the stacks whose atc gets it.
"""

import os
import pathlib
import platform
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
#: precision_mode → the same mode of precision_mode_v2 (GE documents of CANN 9.1; the names of atc's options.cc).
V2 = {
    "force_fp16": "fp16",
    "allow_mix_precision": "mixed_float16",
    "force_fp32": "cube_fp16in_fp32out",
    "must_keep_origin_dtype": "origin",
}
#: Chips that compute fp32 convolutions in HF32, of 11 bits, unless it is switched off (ATC 9.1, --allow_hf32).
_HF32 = "Ascend910B"
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
        self._precision_flags = self._flags()
        made_from = {
            "graph": graph_digest(job),
            "soc_version": soc_version,
            "cann": cann_version(job),
            "batch_size": job.batch_size,
            # Of the older flag the mode alone, as in the records of engines that were made before.
            "precision_mode": " ".join(self._precision_flags).replace("--precision_mode=", ""),
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
            "precision_mode": self._precision_flags[0].rpartition("=")[2],
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
        words += self._precision_flags
        if self._mixlist():
            words += ["--modify_mixlist={}".format(self._mixlist())]
        return words + ["--log={}".format(self._job.engine_options.get("log", "error"))]

    def _flags(self):
        mode = self._options["precision_mode"]
        if self._job.stack not in self._job.engine_options.get("precision_mode_v2", ()):
            return ["--precision_mode={}".format(mode)]
        flags = ["--precision_mode_v2={}".format(V2[mode])]
        if V2[mode] == "origin" and self.soc_version.startswith(_HF32):
            flags.append("--allow_hf32=false")
        return flags

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
    home = pathlib.Path(_toolkit_home())
    # CANN 9's documents name the last one, below a folder of the machine's architecture.
    named = ["compiler/version.info", "version.info"]
    named.append("{}-linux/ascend_toolkit_install.info".format(platform.machine()))
    for name in named:
        try:
            text = (home / name).read_text(encoding="utf-8")
        except OSError:
            continue
        version = re.search(r"^version=(\S+)", text, re.MULTILINE | re.IGNORECASE)
        if version:
            return version.group(1)
    return home.resolve().name if home.exists() else job.stack


def _toolkit_home():
    """The toolkit's folder, as its set_env.sh names it."""
    for variable in ("ASCEND_TOOLKIT_HOME", "ASCEND_HOME_PATH"):
        if os.environ.get(variable):
            return os.environ[variable]
    return "/usr/local/Ascend/ascend-toolkit/latest"


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
