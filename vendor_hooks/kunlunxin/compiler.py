"""Compiles the exported graph with XTCL: Relay's importer, the options of the passes, failures."""

import sys
from importlib import import_module

from harness.engines import vendor_tool
from harness.errors import StageFailure, one_line, out_of_memory, says_out_of_memory

OPT_LEVEL = 3
#: Importing it defines XTCL's named patterns, as far as public code shows: FlagPerf imports it without using it,
#: and refers to a pattern by name.
PATTERNS = "tvm.relay.xpu.patterns"


def compile_graph(job, executor, number):
    """Compile the job's graph for static shapes with ``executor``; return the settings of the passes.

    ``number`` is the chip's generation (2 for KUNLUN2). Raises StageFailure (compile, out_of_memory).
    """
    import tvm
    from tvm import relay

    graph = read_graph(job)
    passes = job.engine_options.get("cases", {}).get(job.case, {})
    config = pass_config(passes, job.precision_options.get("out_dtype"))
    settings = dict(passes, opt_level=OPT_LEVEL, target=executor.target(number))
    if passes.get("pattern_match"):
        settings["pattern_module"] = import_patterns()
    try:
        module, params = relay.frontend.from_onnx(graph, static_shapes(job))
        with tvm.transform.PassContext(
            opt_level=OPT_LEVEL, config=config, disabled_pass=list(passes.get("disabled_pass", ()))
        ):
            executor.compile(module, params, number)
    except (
        RuntimeError,
        ValueError,
    ) as error:  # TVMError and NotImplementedError are RuntimeErrors
        raise _refused(error) from error
    return settings


def import_patterns():
    """Import the module that defines patterns; None in a release without it, which must know them itself."""
    try:
        return import_module(PATTERNS).__name__
    except ImportError:
        return None


def read_graph(job):
    """The ModelProto with its external data; StageFailure (compile) for a truncated file."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(str(job.onnx_path))
    except DecodeError as error:
        raise StageFailure(
            "compile",
            "model.onnx is not a complete ONNX model: {}".format(one_line(error)),
            "make clean removes the exported graph; the next run exports it again",
        ) from error


def static_shapes(job):
    """Name → shape of every input, of a full batch."""
    return {spec.name: full_shape(spec, job.batch_size) for spec in job.inputs}


def full_shape(spec, batch_size):
    """The shape of an input or output, with its batch axis if it has one."""
    return ((batch_size * spec.rows_per_item,) if spec.batched else ()) + tuple(spec.shape)


def pass_config(passes, out_dtype):
    """The config of PassContext: fp16 between layers, and the passes of a case (vendor.toml)."""
    from tvm.contrib import xpu_config

    config = {}
    if out_dtype == "float16":
        lowered = xpu_config.XPUOutDtypeConfig(
            default_precision="float16", config_last_node=True, config_map={}
        )
        config["XPUOutDtypeConfig"] = lowered.value()
    if passes.get("fuse_without_pattern"):
        config["FuseWithoutPattern"] = list(passes["fuse_without_pattern"])
    if passes.get("pattern_match"):
        matched = xpu_config.XPUGraphMatchConfig(pattern_match=list(passes["pattern_match"]))
        config["XPUFuzzyMatch"] = matched.value()
    return config


def _refused(error):
    """TVM's messages are long stack traces: the log gets all of it, the failure the error lines."""
    text = str(error)
    sys.stderr.write(text + "\n")
    said = "; ".join(vendor_tool.telling(text)) or one_line(error)
    if says_out_of_memory(text):
        return out_of_memory("XTCL: {}".format(said))
    return StageFailure(
        "compile",
        "XTCL cannot compile the graph: {}".format(said),
        'the stage\'s log has its full message; XTCL_BUILD_DEBUG = "1" under env in '
        "vendor_hooks/kunlunxin/vendor.toml makes it more verbose",
    )
