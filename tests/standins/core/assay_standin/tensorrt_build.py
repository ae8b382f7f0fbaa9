"""What the TensorRT builder and trtexec share: parsing, profiles, engine files of a chip and version."""

import json

from assay_standin import chips, faults, onnx_file, program, settings

# https://docs.nvidia.com/deeplearning/tensorrt/support-matrix/ : newest opset of the ONNX parser.
NEWEST_OPSET = {7: 13, 8: 17, 9: 20, 10: 22, 11: 24}
UNSUPPORTED_BEFORE = {"LayerNormalization": (8, 6), "GroupNormalization": (8, 6), "Gelu": (10, 0)}

#: Ada, whose tensor cores were the first with fp8.
FP8_CAPABILITY = (8, 9)


class BuildError(Exception):
    """The builder logs this and gives nothing."""


#: IxRT has the names of this release of TensorRT, but for TF32, and a version of its own.
LIKE_IXRT = (10, 3, 0)
IXRT = "1.1.0"


def is_ixrt():
    """Whether IxRT is imitated, not TensorRT."""
    return chips.CUDA_VENDOR == "iluvatar"


def version():
    """Return the imitated version as numbers, (8, 6, 1)."""
    if is_ixrt():
        return LIKE_IXRT
    return tuple(int(part) for part in settings.value("tensorrt").split(".")[:3])


def strongly_typed():
    """Whether every network computes in the types of its graph."""
    return version() >= (11,)


def _quantized(model):
    """Return the precision of a graph's quantizers, None if it has none."""
    if "QuantizeLinear" not in model.operators:
        return None
    return "fp8" if model.eight else "int8"


def _device_has_fp8():
    return tuple(int(part) for part in chips.cuda_chip().kind.split(".")) >= FP8_CAPABILITY


def require_ranges(model, asked):
    """Raise where int8 has neither quantizers nor a calibrator, and where quantizers lack the flag or the device."""
    found = _quantized(model)
    if found not in (None, asked) and not strongly_typed():
        raise BuildError(
            "4: [network.cpp::validate] {} precision has been set for a layer or layer output, but {} is "
            "not configured in the builder".format(found.capitalize(), found)
        )
    if found == "fp8" and not _device_has_fp8():
        # https://github.com/NVIDIA/Model-Optimizer/issues/70
        raise BuildError(
            "IBuilder::buildSerializedNetwork: Error Code 9: API Usage Error (Networks with FP8 Q/DQ layers require "
            "hardware with FP8 support.)"
        )
    if asked == "int8" and found is None:
        raise BuildError(
            "4: [standardEngineBuilder.cpp] Calibration failure: no calibrator, no Q/DQ layers"
        )


def chosen(model, asked):
    """Return the precision that is built: ``asked``, or the graph's where networks are strongly typed."""
    if _quantized(model) and strongly_typed():
        return _quantized(model)
    if strongly_typed() and (model.half or model.brain):
        return "fp16" if model.half else "bf16"
    # The flag permits a precision, it does not force it.
    ignored = asked in ("fp16", "bf16") and "ignore" in faults.asked("compile")
    nothing_in_fp8 = asked == "fp8" and _quantized(model) is None
    return "tf32" if ignored or nothing_in_fp8 else asked


def layer_information(precision, detailed):
    """Return an engine's inspector's JSON: names alone, unless the engine was built with the details."""
    ends = {"I/O Tensors": []} if strongly_typed() else {"Bindings": ["input_0", "output_0"]}
    if not detailed:
        return json.dumps(dict(ends, Layers=["matmul_1 + add_2"]))
    datatype = {"fp16": "FP16", "bf16": "BF16", "int8": "Int8", "fp8": "FP8"}.get(precision, "FP32")
    tactic = "sm80_xmma_gemm_{}_tn".format("tf32tf32" if precision == "tf32" else "f32")
    port = {"Name": "input_0", "Format/Datatype": "Row major linear {} format".format(datatype)}
    layer = {"Name": "matmul_1 + add_2", "LayerType": "CaskGemmMatrixMultiply", "Inputs": [port],
             "Outputs": [port], "TacticName": tactic}  # fmt: skip
    return json.dumps(dict(ends, Layers=[layer]))


def parse(path):
    """Return the OnnxFile that the parser took; ``BuildError`` names the operator it does not take."""
    try:
        model = onnx_file.read(path)
    except onnx_file.OnnxError as error:
        raise BuildError(
            "Failed to parse ONNX model from file: {}: {}".format(path, error)
        ) from None
    major = version()[0]
    if model.eight and major < 10:
        raise BuildError("Unsupported ONNX data type: FLOAT8E4M3FN (17)")
    newest = NEWEST_OPSET.get(major, max(NEWEST_OPSET.values()))
    if model.opset > newest and major >= 10:
        raise BuildError("opset {} is not supported (newest: {})".format(model.opset, newest))
    for operator in model.operators:
        if version()[:2] < UNSUPPORTED_BEFORE.get(operator, (0, 0)) or operator == "NotAnOperator":
            raise BuildError("No importer registered for op: {}. Attempting to import as plugin. "
                             "getPluginCreator could not find plugin: {}".format(operator, operator))  # fmt: skip
    return model


def engine(model, precision, profiles, detailed=False):
    """Return the Program: ``profiles`` is a list of {input: (min, opt, max)}, [] for a static model."""
    faults.strike("compile")
    if "fail" in faults.asked("compile") or "oom" in faults.asked("compile"):
        raise BuildError(
            "10: Could not find any implementation for node {}.".format("MatMul_1")
            if "fail" in faults.asked("compile")
            else "2: [virtualMemoryBuffer.cpp::resizePhysical::140] Error Code 2: OutOfMemory (no "
            "further information)"
        )
    dynamic = [port for port in model.inputs if port.dynamic]
    if dynamic and not profiles:
        raise BuildError(
            "4: [network.cpp::validate::3062] Error Code 4: Internal Error (Network has dynamic or "
            "shape inputs, but no optimization profile has been defined.)"
        )
    for profile in profiles:
        for port in dynamic:
            _check(port, profile.get(port.name))
    header = {
        "tool": "tensorrt",
        "version": ".".join(str(part) for part in version()),
        "capability": chips.cuda_chip().kind,
        "detailed": detailed,
        "profiles": [
            {name: [list(shape) for shape in shapes] for name, shapes in profile.items()}
            for profile in profiles
        ],
    }
    return program.compile_model(model, header, chosen(model, precision))


def _check(port, shapes):
    if shapes is None:
        raise BuildError(
            "4: [network.cpp::validate::3062] Error Code 4: Internal Error ({}: dynamic input is "
            "missing dimensions in profile 0.)".format(port.name)
        )
    low, best, high = shapes
    for shape in shapes:
        fixed = [(want, dim) for want, dim in zip(shape, port.dims) if isinstance(dim, int)]
        if len(shape) != len(port.dims) or any(want != dim for want, dim in fixed):
            raise BuildError(
                "4: [network.cpp::validate] for input {} profile shape {} does not fit {}".format(
                    port.name, list(shape), list(port.dims)
                )
            )
    if not all(a <= b <= c for a, b, c in zip(low, best, high)):
        raise BuildError("3: [optimizationProfile] min <= opt <= max does not hold")


def open_engine(data):
    """Return the Program of engine bytes; ``BuildError`` as the runtime logs it."""
    try:
        found = program.loads(data)
    except program.NotAProgram:
        raise BuildError(
            "1: [stdArchiveReader.cpp::StdArchiveReader::32] Error Code 1: Serialization "
            "(Serialization assertion magicTagRead == kMAGIC_TAG failed.Magic tag does not match)"
        ) from None
    own = ".".join(str(part) for part in version())
    if found.header.get("tool") != "tensorrt":
        raise BuildError("1: Error Code 1: Serialization (this is no TensorRT engine)")
    if found.header["version"] != own:
        raise BuildError(
            "6: The engine plan file is not compatible with this version of TensorRT, expecting "
            "library version {} got {}, please rebuild.".format(own, found.header["version"])
        )
    if found.header["capability"] != chips.cuda_chip().kind:
        raise BuildError(
            "6: The engine plan file is generated on an incompatible device, expecting compute {} "
            "got compute {}, please rebuild.".format(
                chips.cuda_chip().kind, found.header["capability"]
            )
        )
    return found
