"""Ascend's cube unit under force_fp32: products of float16 inputs, with float32 accumulation and outputs."""

from assay_standin import wire

# The operators that the cube unit computes, each with how many of its inputs are multiplied.
CUBE = {"MatMul": 2, "Gemm": 2, "Conv": 2, "ConvTranspose": 2}
FLOAT, FLOAT16 = 1, 10
_INT = 2


def rounded(node):
    """Return the nodes that replace ``node``, as bytes: its multiplied inputs are cast to float16 and back."""
    fields = list(wire.fields(memoryview(node)))
    operator = next(bytes(value).decode() for number, _, value, _, _ in fields if number == 4)
    inputs = [bytes(value).decode() for number, _, value, _, _ in fields if number == 1]
    output = next(bytes(value).decode() for number, _, value, _, _ in fields if number == 2)
    casts = []
    for index, name in enumerate(inputs[: CUBE.get(operator, 0)]):
        half, inputs[index] = ("{}/cube{}/{}".format(output, index, kind) for kind in ("in", "out"))
        casts += [_cast(name, half, FLOAT16), _cast(half, inputs[index], FLOAT)]
    kept = b"".join(bytes(node[begin:end]) for number, _, _, begin, end in fields if number != 1)
    return [*casts, b"".join(wire.bytes_field(1, name) for name in inputs) + kept]


def _cast(source, target, data_type):
    attribute = (
        wire.bytes_field(1, "to") + wire.number_field(3, data_type) + wire.number_field(20, _INT)
    )
    return b"".join([
        wire.bytes_field(1, source), wire.bytes_field(2, target), wire.bytes_field(4, "Cast"),
        wire.bytes_field(5, attribute),
    ])  # fmt: skip
