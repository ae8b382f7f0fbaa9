"""atc, CANN 5.1 and 9.1: ONNX in, .om out; its flags, its refusals, what it prints."""

import json
import os
import sys

from assay_standin import faults, onnx_file, program, settings

FLAGS = {
    "framework", "model", "output", "input_format", "input_shape", "dynamic_batch_size",
    "dynamic_image_size", "dynamic_dims", "soc_version", "precision_mode", "modify_mixlist", "log",
    "out_nodes", "input_fp16_nodes", "output_type", "insert_op_conf", "op_select_implmode",
    "optypelist_for_implmode", "fusion_switch_file", "buffer_optimize", "mode", "weight", "help",
    "enable_small_channel", "auto_tune_mode", "op_debug_level", "input_shape_range", "core_type",
}  # fmt: skip
# Since CANN 8 (GE's atc, options.cc).
NEWER_FLAGS = {"precision_mode_v2", "allow_hf32"}
# Ascend710 is 310P's older name: RC1 takes it still (document 004), and the newer one already (model zoo
# pages of that release); no page of RC2 has the older.
SOCS = {
    "5.1.RC1": ("Ascend310", "Ascend310P1", "Ascend310P3", "Ascend710", "Ascend910A", "Ascend910B"),
    "5.1.RC2": ("Ascend310", "Ascend310P1", "Ascend310P3", "Ascend910A", "Ascend910B"),
    "9.1.0": (
        "Ascend310P1", "Ascend310P3", "Ascend910B1", "Ascend910B2", "Ascend910B3", "Ascend910B4",
    ),
}  # fmt: skip
PRECISION = {
    "force_fp16": "fp16",
    # The same mode as cube_fp16in_fp32out of later releases (GE API 9.1, AOE 9.0): the cube unit takes fp16.
    "force_fp32": "fp16in_fp32out",
    "allow_mix_precision": "fp16",
    "allow_fp32_to_fp16": "fp16",
    "must_keep_origin_dtype": "fp32",
}
PRECISION_V2 = {
    "fp16": "fp16",
    "origin": "fp32",
    "cube_fp16in_fp32out": "fp16in_fp32out",
    "mixed_float16": "fp16",
    "mixed_bfloat16": "bf16",
}
MIXED = ("allow_mix_precision", "mixed_float16", "mixed_bfloat16")
NEWEST_OPSET = {"5.1.RC1": 11, "5.1.RC2": 11, "9.1.0": 18}


class Refused(Exception):
    """A code and its text, as atc prints them behind "ATC run failed"."""

    def __init__(self, code, text):
        super().__init__("{}: {}".format(code, text))


def main(argv):
    """Run as the program: 0, or 255."""
    print("ATC start working now, please wait for a moment.", flush=True)
    try:
        flags = _flags(argv)
        warning = _convert(flags)
    except Refused as refusal:
        print("ATC run failed, Please check the detail log, Try 'atc --help' for more information")
        print(refusal)
        print("        Solution: see the log in $HOME/ascend/log.")
        return 255
    print("ATC run success, welcome to the next use.")
    if warning:
        print(warning)
    return 0


def _flags(argv):
    flags = {}
    known = FLAGS | NEWER_FLAGS if settings.value("cann").startswith("9.") else FLAGS
    for word in argv:
        name, _, value = word.lstrip("-").partition("=")
        if not word.startswith("--") or name not in known:
            print("ERROR: unknown command line flag '{}'".format(name), file=sys.stderr)
            sys.exit(1)
        flags[name] = value.strip("\"'")
    return flags


def _invalid(name, value, reason):
    return Refused(
        "E10001",
        "Value [{}] for parameter [--{}] is invalid. Reason: {}".format(value, name, reason),
    )


def _convert(flags):
    for name in ("model", "output", "soc_version"):
        if not flags.get(name):
            raise Refused("E10007", "[--{}] is required.".format(name))
    if flags.get("framework") != "5":
        raise Refused("E10007", "[--framework] is required. The value must be [0(Caffe) or 1(MindSpore) "
                      "or 3(TensorFlow) or 5(Onnx)].")  # fmt: skip
    _check_choices(flags)
    model = _read(flags["model"])
    shapes = _shapes(model, flags)
    mode, arithmetic = _precision(flags)
    if mode in MIXED:
        _check_mixlist(flags.get("modify_mixlist"))
    elif flags.get("modify_mixlist"):
        raise _invalid("modify_mixlist", flags["modify_mixlist"],
                       "it takes effect only with --precision_mode=allow_mix_precision.")  # fmt: skip
    faults_asked = faults.strike("compile")
    if "fail" in faults_asked:
        raise Refused("EZ3003", "No supported Ops kernel and engine are found for [MatMul_1], optype "
                      "[MatMul].\n        Possible Cause: The operator is not supported by the system.")  # fmt: skip
    if "oom" in faults_asked:
        raise Refused("EL0004", "Failed to allocate memory of 1073741824 bytes.")
    _write(model, flags, shapes, mode, arithmetic)
    return (
        "W11001: High-priority service of op[Add_2] is invalid." if "warn" in faults_asked else ""
    )


def _check_choices(flags):
    soc, known = flags["soc_version"], SOCS[settings.value("cann")]
    if soc not in known:
        raise _invalid(
            "soc_version", soc, "the soc_version is not one of {}.".format(", ".join(known))
        )
    _precision(flags)
    if flags.get("log", "null") not in ("null", "debug", "info", "warning", "error"):
        raise Refused("E10010", "Value [{}] for parameter [--log] is invalid. The value must be "
                      "[debug, info, warning, error, null].".format(flags["log"]))  # fmt: skip
    if flags.get("input_format", "NCHW") not in ("NCHW", "ND"):
        raise _invalid("input_format", flags["input_format"], "ONNX takes NCHW or ND.")
    given = [
        n for n in ("dynamic_batch_size", "dynamic_image_size", "dynamic_dims") if flags.get(n)
    ]
    if len(given) > 1:
        raise _invalid(given[1], flags[given[1]], "it cannot be given with --{}.".format(given[0]))
    folder = os.path.dirname(os.path.abspath(flags["output"]))
    if not os.path.isdir(folder):
        raise _invalid("output", flags["output"], "the folder does not exist.")


def _precision(flags):
    """Return (mode, arithmetic), of one of the two flags."""
    older, newer = flags.get("precision_mode"), flags.get("precision_mode_v2")
    if older and newer:
        raise Refused("E10056", "[--precision_mode] and [--precision_mode_v2] cannot be configured at the "
                      "same time.")  # fmt: skip
    name, modes = ("precision_mode_v2", PRECISION_V2) if newer else ("precision_mode", PRECISION)
    mode = newer or older or "force_fp16"
    if mode not in modes:
        raise _invalid(name, mode, "it must be one of {}.".format(", ".join(modes)))
    newest = flags["soc_version"].startswith("Ascend910B")
    if mode == "mixed_bfloat16" and not newest:
        raise _invalid(name, mode, "{} does not support bfloat16.".format(flags["soc_version"]))
    if flags.get("allow_hf32") and not newest:
        raise _invalid("allow_hf32", flags["allow_hf32"], "{} does not support it.".format(
            flags["soc_version"]))  # fmt: skip
    # Convolutions are in HF32 unless it is switched off; it keeps as many bits as TF32.
    hf32 = newest and flags.get("allow_hf32") != "false"
    return mode, "tf32" if modes[mode] == "fp32" and hf32 else modes[mode]


def _read(path):
    if not os.path.isfile(path):
        raise _invalid("model", path, "the file does not exist.")
    try:
        model = onnx_file.read(path)
    except onnx_file.OnnxError as error:
        raise Refused("E19999", "Inner Error! [Invoke][Parse] parse onnx model [{}] failed: {}".format(
            path, error)) from None  # fmt: skip
    newest = NEWEST_OPSET[settings.value("cann")]
    if model.opset > newest:
        operator = model.operators[0]
        raise Refused("E19010", "No parser is registered for Op [{0}_0, optype [ai.onnx::{1}::{0}]]. "
                      "Possible Cause: opset {1} is newer than {2}.".format(
                          operator, model.opset, newest))  # fmt: skip
    if "NotAnOperator" in model.operators:
        raise Refused("E19010", "No parser is registered for Op [NotAnOperator_1, optype "
                      "[ai.onnx::{}::NotAnOperator]].".format(model.opset))  # fmt: skip
    return model


def _shapes(model, flags):
    """Return {input: shape}; every dimension must be known, but for the batch of --dynamic_batch_size."""
    given = {}
    for item in filter(None, flags.get("input_shape", "").split(";")):
        name, _, dims = item.rpartition(":")
        try:
            given[name] = tuple(int(dim) for dim in dims.split(","))
        except ValueError:
            raise _invalid("input_shape", item, "it must be name:1,3,224,224.") from None
    names = [port.name for port in model.inputs]
    for name in given:
        if name not in names:
            raise _invalid("input_shape", name, "the model has no input of this name ({}).".format(
                ", ".join(names)))  # fmt: skip
    return {port.name: _shape(port, given.get(port.name), flags) for port in model.inputs}


def _shape(port, given, flags):
    if given is None:
        if port.dynamic:
            raise Refused("E10054", "[--input_shape] is required: the shape of input [{}] is not fixed "
                          "in the model.".format(port.name))  # fmt: skip
        return port.dims
    fixed = [(a, b) for a, b in zip(given, port.dims) if isinstance(b, int)]
    if len(given) != len(port.dims) or any(a != b for a, b in fixed):
        raise _invalid("input_shape", given, "input [{}] of the model is {}.".format(
            port.name, list(port.dims)))  # fmt: skip
    if any(dim < 1 for dim in given) and not flags.get("dynamic_batch_size"):
        raise _invalid("input_shape", given, "-1 needs --dynamic_batch_size.")
    return given


def _check_mixlist(path):
    if not path:
        return
    try:
        with open(path, encoding="utf-8") as file:
            lists = json.load(file)
        known = {"black-list", "white-list", "gray-list"}
        right = isinstance(lists, dict) and set(lists) <= known and all(
            set(entry) <= {"to-add", "to-remove"} for entry in lists.values())  # fmt: skip
    except (OSError, ValueError, TypeError):
        right = False
    if not right:
        raise _invalid("modify_mixlist", path,
                       'it must be a JSON file such as {"black-list": {"to-add": []}}.')  # fmt: skip


def _write(model, flags, shapes, mode, precision):
    symbols = {}
    for port in model.inputs:
        pairs = zip(port.dims, shapes[port.name])
        symbols.update({d: size for d, size in pairs if not isinstance(d, int) and size > 0})
    header = {
        "tool": "atc",
        "cann": settings.value("cann"),
        "soc_version": flags["soc_version"],
        "precision_mode": mode,
        "inputs": [[p.name, p.dtype.name, list(shapes[p.name])] for p in model.inputs],
        "free_dimensions": {name: size for name, size in symbols.items() if name},
        "dynamic_batch": flags.get("dynamic_batch_size", ""),
    }
    data = program.compile_model(model, header, precision).tobytes()
    path = flags["output"] if flags["output"].endswith(".om") else flags["output"] + ".om"
    with open(path, "wb") as file:
        file.write(data)
