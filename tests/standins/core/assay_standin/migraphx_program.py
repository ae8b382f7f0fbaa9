"""What MIGraphX makes of a graph: typed instructions before compilation, kernels afterwards."""

import numpy as np

from assay_standin import chips, faults
from assay_standin import program as programs

# The names of shape::type_t.
TYPES = {
    "bool": "bool_type", "float16": "half_type", "float32": "float_type", "float64": "double_type",
    "uint8": "uint8_type", "int8": "int8_type", "int32": "int32_type", "int64": "int64_type",
}  # fmt: skip
CAST = {"fp32": "float_type", "fp16": "half_type", "bf16": "bf16_type"}
PRODUCTS = {"MatMul": "dot", "Gemm": "dot", "Conv": "convolution"}


class Shape:
    """A type and the lengths of a tensor in C order."""

    def __init__(self, dtype, lens, kind=None):
        self._dtype, self._lens = np.dtype(dtype), [int(length) for length in lens]
        self._kind = kind or TYPES[self._dtype.name]

    def dtype(self):
        """The stand-in's own: numpy's type."""
        return self._dtype

    def type_string(self):
        """Return the type's name."""
        return self._kind

    def lens(self):
        """Return the lengths."""
        return list(self._lens)

    def standard(self):
        """Tell whether it is packed and in C order."""
        return True

    def bytes(self):
        """Return how many bytes it has."""
        return int(np.prod(self._lens, dtype=np.int64)) * self._dtype.itemsize

    def __eq__(self, other):
        return (self._kind, self._lens) == (other._kind, other._lens)

    def __hash__(self):
        return hash((self._kind, tuple(self._lens)))

    def __repr__(self):
        return "{}, {{{}}}".format(self._kind, ", ".join(str(length) for length in self._lens))


class Operation:
    """What an instruction does."""

    def __init__(self, name, values):
        self._name, self._values = name, values

    def name(self):
        """Return its name."""
        return self._name

    def values(self):
        """Return its attributes."""
        return dict(self._values)


class Instruction:
    """One instruction, with the types of its inputs."""

    def __init__(self, name, kinds, values):
        self._name, self._kinds, self._values = name, kinds, values

    def name(self):
        """Return the operation's name."""
        return self._name

    def op(self):
        """Return the operation."""
        return Operation(self._name, self._values)

    def shape(self):
        """Return the output's shape, of which only the type is imitated."""
        return Shape("float32", [1], self._kinds[0])

    def inputs(self):
        """Return the inputs."""
        return [Instruction("@param", [kind], {}) for kind in self._kinds]


class Parsed:
    """A graph whose dimensions without a size have ``size``."""

    def __init__(self, model, size):
        self.model = model
        self.free = {
            dim: size for port in model.inputs for dim in port.dims if isinstance(dim, str)
        }
        self.inputs = [(port.name, port.dtype, self._sized(port)) for port in model.inputs]
        self.outputs = [(port.name, port.dtype, self._sized(port)) for port in model.outputs]

    def _sized(self, port):
        return [dim if isinstance(dim, int) else self.free.get(dim, 1) for dim in port.dims]


def instructions(parsed, precision):
    """Return the instructions of a graph that is not compiled."""
    kind = CAST[precision]
    found = [Instruction("@param", ["float_type"], {}) for _ in parsed.inputs]
    names = [PRODUCTS.get(operator, operator.lower()) for operator in parsed.model.operators]
    return found + [Instruction(name, [kind, kind], {}) for name in names]


def compiled(parsed, precision, offload_copy):
    """Return the Program; faults of ``compile`` are the compiler's own."""
    struck = faults.strike("compile")
    if "fail" in struck:
        raise RuntimeError("mlir.cpp:1012: run_pipeline: Invalid MLIR created")
    if "oom" in struck:
        raise RuntimeError("hip.cpp:95: allocate_gpu: Gpu allocation failed: out of memory")
    ran = "fp32" if "ignore" in struck else precision
    header = {
        "tool": "migraphx",
        "architecture": chips.chip("amd").kind,
        "offload_copy": offload_copy,
        "instructions": _kernels(parsed, CAST[ran], struck),
        "free_dimensions": parsed.free,
    }
    return programs.compile_model(parsed.model, header, ran)


def _kernels(parsed, kind, struck):
    """(name, types of the inputs, attributes) of each instruction of the compiled program."""
    found = []
    for operator in parsed.model.operators:
        name = PRODUCTS.get(operator)
        symbol = "mlir_{}_add".format(name) if name else "{}_kernel".format(operator.lower())
        found.append(("gpu::code_object", [kind, kind], {"symbol_name": symbol}))
    if "part" in struck:
        # An operator that runs on the host: its inputs are copied there.
        found.append(("hip::copy_from_gpu", [kind], {}))
    return found
