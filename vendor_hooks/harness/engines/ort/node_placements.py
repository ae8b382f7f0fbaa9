"""Which provider of ONNX Runtime got which nodes of a graph: as a session recorded it, or by a profile of one call."""

import collections
import json
import pathlib
from typing import Any, Collection, Dict, Iterator, Mapping, Sequence, Tuple

CPU = "CPUExecutionProvider"
#: In place of CPU for nodes that compute shapes: providers on a device leave these to it by design.
SHAPES = "CPUExecutionProvider, shapes"
#: The session option that has a session record it (ONNX Runtime 1.24 and later).
RECORD = "session.record_ep_graph_assignment_info"
#: What ONNX Runtime puts between providers: it computes nothing.
COPIES = ("MemcpyFromHost", "MemcpyToHost")

#: ONNX Runtime's operators that multiply whole numbers, and those that multiply floating-point numbers.
INTEGER = (
    "ConvInteger",
    "DynamicQuantizeMatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "QGemm",
    "QLinearConv",
    "QLinearMatMul",
)
FLOATING = ("Conv", "FusedConv", "FusedGemm", "FusedMatMul", "Gemm", "MatMul")

#: Provider → operator → nodes.
Placements = Dict[str, Dict[str, int]]


def recorded_here(session: Any) -> bool:
    """Whether this release tells which nodes it assigned to which provider."""
    return hasattr(session, "get_provider_graph_assignment_info")


def recorded_placements(session: Any, shapes: Collection[str] = ()) -> Placements:
    """Provider → operator → nodes of the graph, as the session assigned them (ONNX Runtime 1.24 and later).

    ``shapes`` has the names of nodes that compute shapes: on the CPU they are counted under SHAPES.
    """
    return _counted(
        (
            SHAPES if subgraph.ep_name == CPU and node.name in shapes else subgraph.ep_name,
            node.op_type,
        )
        for subgraph in session.get_provider_graph_assignment_info()
        for node in subgraph.get_nodes()
    )


def profile_placements(path: str) -> Placements:
    """Provider → operator → nodes that one profiled call ran; a fused part of the graph is one node.

    Removes the profile.
    """
    profile = pathlib.Path(path)
    events = json.loads(profile.read_text(encoding="utf-8"))
    profile.unlink()
    ran = (
        event.get("args", {})
        for event in events
        if event.get("cat") == "Node" and event.get("name", "").endswith("_kernel_time")
    )
    return _counted(
        (args["provider"], args["op_name"])
        for args in ran
        if args.get("provider") and args["op_name"] not in COPIES
    )


def totals(placed: Placements) -> Dict[str, int]:
    """Provider → nodes."""
    return {name: sum(operators.values()) for name, operators in placed.items()}


def arithmetic_counts(placed: Placements) -> Dict[str, int]:
    """Arithmetic → nodes of ONNX Runtime's own kernels that multiply: int8 and fp32; those of none are left out."""
    ran: Dict[str, int] = placed.get(CPU, {})
    counts = {
        "int8": sum(ran.get(name, 0) for name in INTEGER),
        "fp32": sum(ran.get(name, 0) for name in FLOATING),
    }
    return {name: count for name, count in counts.items() if count}


def beyond(operators: Mapping[str, int], allowed: Sequence[str]) -> str:
    """The operators that are not allowed, with their numbers: "2 Gelu, 1 Pow"; "" where all are."""
    left = {name: count for name, count in operators.items() if name not in allowed}
    return ", ".join("{} {}".format(left[name], name) for name in sorted(left))


def _counted(pairs: Iterator[Tuple[str, str]]) -> Placements:
    found: Placements = {}
    for (provider, operator), count in sorted(collections.Counter(pairs).items()):
        found.setdefault(provider, {})[operator] = count
    return found
