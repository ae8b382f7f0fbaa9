"""In which arithmetic a compiled MIGraphX program computes, and what of it runs on the host.

MIGraphX's IR is typed. Quantising casts the graph before it is compiled; the compiler obeys these types, but
casts what the device lacks to float (the pass eliminate_data_type in its target.cpp). So the kernels of the
compiled program are read back, not only the graph.
"""

import collections
import re

from harness.errors import StageFailure

#: Instructions of a graph that do a model's products, before it is compiled.
GRAPH_PRODUCTS = ("dot", "convolution", "convolution_backwards", "quant_dot", "quant_convolution")
#: Kernels that do them afterwards. Those that MIGraphX compiles itself (MLIR, CK) are code objects, named after
#: the operators that were fused: mlir_reshape_dot_add, mlir_attention.
CODE_OBJECT = "gpu::code_object"
KERNEL_PRODUCTS = re.compile(r"dot|gemm|conv(?!ert)|attention|hipblaslt|miopen")
#: Where an instruction's inputs have several types, the narrowest is that of the products.
ARITHMETIC = (
    ("int8_type", "int8"),
    ("half_type", "fp16"),
    ("bf16_type", "bf16"),
    ("float_type", "fp32"),
)
#: With offload_copy=False no copy to the host is left but those around operators that run there.
HOST_COPY = "hip::copy_from_gpu"


def graph_products(program):
    """Arithmetic → number of products, of a program that is not compiled yet."""
    return _counted(ins for ins in program.get_main_module() if ins.name() in GRAPH_PRODUCTS)


def read_back(program, graph):
    """The settings that a compiled program states; ``graph`` is graph_products before compilation."""
    instructions = list(program.get_main_module())
    kernels = _counted(ins for ins in instructions if _is_product(ins))
    found = kernels or graph
    settings = {
        "arithmetic": max(sorted(found), key=lambda name: found[name]) if found else "fp32",
        "kernel_products": kernels,
        "host_copies": sum(ins.name() == HOST_COPY for ins in instructions),
    }
    if not kernels:
        settings["arithmetic_unread"] = (
            "none of the program's kernels is known to do products; its graph's types are reported"
        )
    return settings


def judge(read, job):
    """Warnings about settings of ``read_back``; StageFailure for parts on the host from `standard` on."""
    found = []
    if read["arithmetic"] != job.arithmetic:
        counts = read["kernel_products"]
        found.append(
            (
                "effective_differs",
                "{} was requested, but of the kernels that do products, MIGraphX's program has {}".format(
                    job.arithmetic,
                    ", ".join("{} in {}".format(counts[name], name) for name in sorted(counts)),
                ),
                "compare it only with figures of the arithmetic that ran, or use another PRECISION or ENGINE",
            )
        )
    if read["host_copies"]:
        message = (
            "MIGraphX computes a part of the graph on the host: {} tensors are copied to it".format(
                read["host_copies"]
            )
        )
        remedy = (
            "change the graph until no operator is left there; ENGINE=eager keeps it on the device"
        )
        if job.tier != "smoke":
            raise StageFailure("compile", message, remedy)
        found.append(("effective_differs", message, remedy))
    return found


def _is_product(instruction):
    name = instruction.name()
    if name == CODE_OBJECT:
        name = str(instruction.op().values().get("symbol_name", ""))
    elif not name.startswith("gpu::"):
        return False
    return KERNEL_PRODUCTS.search(name) is not None


def _counted(instructions):
    found = collections.Counter(_arithmetic(ins) for ins in instructions)
    # Products of integers (positions, masks) are no part of a model's arithmetic.
    return {name: found[name] for name in sorted(filter(None, found))}


def _arithmetic(instruction):
    types = {one.shape().type_string() for one in instruction.inputs()}
    return next((name for kind, name in ARITHMETIC if kind in types), None)
