"""Stand-in of MIGraphX's Python API (2.15, ROCm 7.2); see tests/standins/README.md.

Names, parameters and refusals are those of its binding (src/py/migraphx_py.cpp); errors are RuntimeError, as
pybind11 raises C++'s.
"""

import ctypes

import numpy as np
from assay_standin import chips, execution, faults, migraphx_program, onnx_file
from assay_standin import program as programs
from assay_standin.migraphx_program import Instruction, Shape

__assay_standin__ = True
__version__ = "2.15.0.dev+20250912-17-214-g9fe7fe1f0"

shape = Shape
_STREAM = "ihipStream_t"
_OUTPUT = "main:#output_"


class target:
    """What a program is compiled for."""

    def __init__(self, name):
        self.name = name


def get_target(name):
    """Return the target; MIGraphX loads a library of its name."""
    if name not in ("gpu", "ref", "cpu"):
        raise RuntimeError("make_target: could not load libmigraphx_{}.so".format(name))
    return target(name)


class argument:
    """Memory of a shape, on the device or on the host; never copied."""

    def __init__(self, of, address, owner=None):
        self._shape, self._address, self._owner = of, int(address), owner

    def get_shape(self):
        """Return the shape."""
        return self._shape

    def data_ptr(self):
        """Return the address."""
        return self._address

    def standin_view(self):
        """Return the memory as an array."""
        raw = (ctypes.c_uint8 * self._shape.bytes()).from_address(self._address)
        return np.frombuffer(raw, dtype=self._shape.dtype()).reshape(self._shape.lens())


def argument_from_pointer(shape, address):
    """Return memory of another library, which is not copied."""
    return argument(shape, address)


def gpu_sync():
    """Wait for the device."""
    faults.strike("infer")


class program:
    """A graph that was parsed, and what it was compiled to."""

    def __init__(self, model=None, compiled=None):
        self._model, self._precision = model, "fp32"
        self._compiled, self._run = compiled, None
        if compiled is not None:
            self._run = execution.Execution(compiled)

    def is_compiled(self):
        """Tell whether it can run."""
        return self._run is not None

    def standin_quantize(self, precision):
        """Cast the graph; a compiled program has none."""
        if self.is_compiled():
            raise RuntimeError("quantize: the program is compiled")
        self._precision = precision

    def compile(self, t, offload_copy=True, fast_math=True, exhaustive_tune=False):
        """Compile for a target; without copies, the caller gives the memory of the outputs."""
        if self.is_compiled():
            raise RuntimeError("compile: Program is already compiled")
        if t.name != "gpu":
            raise RuntimeError("the stand-in has the target gpu only")
        self._compiled = migraphx_program.compiled(self._model, self._precision, offload_copy)
        self._run = execution.Execution(self._compiled)

    def get_parameter_names(self):
        """Return the names of the inputs, and of the outputs' buffers."""
        return list(self.get_parameter_shapes())

    def get_parameter_shapes(self):
        """Return name → shape; without copies, the outputs' buffers are parameters too."""
        found = {name: Shape(dtype, dims) for name, dtype, dims in self._ports("inputs")}
        if self._compiled is not None and not self._compiled.header["offload_copy"]:
            for index, made in enumerate(self.get_output_shapes()):
                found["{}{}".format(_OUTPUT, index)] = made
        return found

    def get_output_shapes(self):
        """Return the outputs' shapes, in the graph's order."""
        return [Shape(dtype, dims) for _, dtype, dims in self._ports("outputs")]

    def _ports(self, kind):
        return getattr(self._model if self._run is None else self._run, kind)

    def get_main_module(self):
        """Return the instructions."""
        if self._compiled is not None:
            return [Instruction(*one) for one in self._compiled.header["instructions"]]
        return migraphx_program.instructions(self._model, self._precision)

    def run_async(self, params, stream, stream_name):
        """Enqueue on a stream of HIP; the stand-in's device is always done at once."""
        if stream_name != _STREAM:
            raise RuntimeError(
                "any_ptr: type mismatch: {} != {}".format(stream_name, "ihipStream_t")
            )
        if not self.is_compiled():
            raise RuntimeError("eval: the program is not compiled")
        wanted = self.get_parameter_shapes()
        for name, of in wanted.items():
            if name not in params:
                raise RuntimeError("Parameter not found: {}".format(name))
            if params[name].get_shape() != of:
                raise RuntimeError(
                    "Incorrect shape {{{}}} for parameter: {}".format(
                        params[name].get_shape(), name
                    )
                )
        feeds = {name: params[name].standin_view().copy() for name, _, _ in self._run.inputs}
        outputs = []
        for index, array in enumerate(self._run.run(feeds)):
            buffer = params["{}{}".format(_OUTPUT, index)]
            buffer.standin_view()[...] = array
            outputs.append(buffer)
        return outputs

    def run(self, params):
        """Only run_async is imitated."""
        raise NotImplementedError("the stand-in of MIGraphX has run_async alone")


def parse_onnx(filename, default_dim_value=0, map_input_dims=None, skip_unknown_operators=False,
               print_program_on_error=False, max_loop_iterations=10, limit_max_iterations=65535):  # fmt: skip
    """Read a graph; dimensions without a size become 1, MIGraphX's own default."""
    try:
        model = onnx_file.read(filename)
    except onnx_file.OnnxError as error:
        raise RuntimeError(
            "onnx_parser.cpp:265: parse_from: PARSE_FROM: Failed reading onnx file: {} ({})".format(
                filename, error
            )
        ) from None
    if "NotAnOperator" in model.operators and not skip_unknown_operators:
        raise RuntimeError("onnx_parser.cpp:582: parse_graph: Unknown operator: NotAnOperator")
    return program(migraphx_program.Parsed(model, default_dim_value or 1))


def quantize_fp16(prog, ins_names=("all",)):
    """Cast the graph to fp16; inputs and outputs keep their types."""
    prog.standin_quantize("fp16")


def quantize_bf16(prog, ins_names=("all",)):
    """Cast the graph to bf16; inputs and outputs keep their types."""
    prog.standin_quantize("bf16")


def save(p, filename, format="msgpack"):
    """Write a compiled program."""
    with open(filename, "wb") as file:
        file.write(p._compiled.tobytes())


def load(filename, format="msgpack"):
    """Read a compiled program; one of another architecture does not load."""
    if "oom" in faults.strike("load"):
        raise RuntimeError("hip.cpp:95: allocate_gpu: Gpu allocation failed: out of memory")
    try:
        found = programs.load(filename)
    except (programs.NotAProgram, OSError) as error:
        raise RuntimeError("msgpack.cpp: insufficient bytes: {}".format(error)) from None
    if found.header["architecture"] != chips.chip("amd").kind:
        raise RuntimeError(
            "kernel.cpp:52: Failed to load code object: no kernel image is available"
        )
    return program(compiled=found)
