"""A graph with quantizers in fp8 (E4M3), made of the one with int8 quantizers, as NVIDIA's ModelOpt makes it.

Both types round symmetrically: the largest value is the type's largest number, 127 or 448, so scales and zero points
are all that differ. ONNX Runtime's own ``QuantType.QFLOAT8E4M3FN`` sets scales by the standard deviation instead, which
cuts off what is far from the mean: `vit_digits` had a cosine of 0.37 with fp32, and 0.97 with these.

Weights have one scale a tensor: products whose two scales are scalars are those that TensorRT is known to fuse, and a
floating-point number needs no scale of its own in each channel.
"""

import contextlib

import numpy as np

#: Quantizers take float8 since 19: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
OPSET = 19
LARGEST, LARGEST_INT8 = 448, 127
#: TensorRT's kernels for convolutions in fp8 need as many channels, and no larger a window (ModelOpt leaves out others).
CHANNELS, WINDOW = 16, 32
QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")


@contextlib.contextmanager
def in_opset(source):
    """Yield the path of ``source``, or of a copy in OPSET beside it, so that its weights are found; then remove it."""
    import onnx
    from onnx import version_converter

    model = onnx.load(str(source), load_external_data=False)
    if _opset(model) >= OPSET:
        yield source
        return
    copy = source.with_name("opset{}.onnx".format(OPSET))
    model = version_converter.convert_version(model, OPSET)
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    onnx.save_model(model, str(copy))
    try:
        yield copy
    finally:
        copy.unlink()


def unsupported(source):
    """Return the names of convolutions that stay in fp32."""
    import onnx

    graph = onnx.load(str(source), load_external_data=False).graph
    shapes = {tensor.name: tensor.dims for tensor in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv" and not _has_kernel(shapes.get(node.input[1]))
    ]


def _has_kernel(shape):
    """Whether TensorRT has kernels for a convolution with weights of this shape: [out, in, ...], None if unknown."""
    if shape is None:
        return False
    channels, window = shape[:2], np.prod(shape[2:])
    return min(channels) > CHANNELS and channels[0] % 16 == channels[1] % 16 and window <= WINDOW


def retype(path):
    """Make E4M3 of the int8 of all quantizers in the file; raises onnx's ValidationError if it is no model then."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    nodes = [node for node in model.graph.node if node.op_type in QUANTIZERS]
    scales = {node.input[1] for node in nodes}
    zeros = {node.input[2] for node in nodes}
    for tensor in model.graph.initializer:
        if tensor.name in scales:
            scale = numpy_helper.to_array(tensor) * np.float32(LARGEST_INT8 / LARGEST)
            tensor.CopyFrom(numpy_helper.from_array(scale, tensor.name))
        elif tensor.name in zeros:
            kind, empty = onnx.TensorProto.FLOAT8E4M3FN, bytes(int(np.prod(tensor.dims)))
            zero = onnx.helper.make_tensor(tensor.name, kind, tensor.dims, empty, raw=True)
            tensor.CopyFrom(zero)
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))


def _opset(model):
    return next(one.version for one in model.opset_import if not one.domain)
