"""Which part of a compiled TorchScript runs in TensorRT engines, and which PyTorch computes."""

import collections

ENGINE = "tensorrt::execute_engine"
#: These move, slice or cast a tensor; every other aten operator that returns a tensor computes.
IDLE = {
    "aten::" + name
    for name in (
        "alias", "cat", "clone", "contiguous", "copy_", "cpu", "cuda", "detach", "expand",
        "expand_as", "flatten", "movedim", "narrow", "permute", "reshape", "select", "slice",
        "squeeze", "stack", "t", "to", "transpose", "type_as", "unflatten", "unsqueeze", "view",
        "view_as",
    )
}  # fmt: skip


class Share:
    """``engines``: number of calls of TensorRT engines; ``left``: operator → number of calls in PyTorch."""

    def __init__(self, module):
        counts = collections.Counter(_operators(module.inlined_graph))
        self.engines = counts.pop(ENGINE, 0)
        # prim:: operators are TorchScript's own: constants, lists, branches.
        self.left = {
            kind: count
            for kind, count in sorted(counts.items())
            if not kind.startswith("prim::") and kind not in IDLE
        }

    def settings(self):
        """The counts, for the effective settings."""
        return {"tensorrt_engines": self.engines, "left_to_pytorch": self.left}

    def listed(self, most=5):
        """The operators that PyTorch computes, most frequent first: "3 aten::linear, 1 aten::gelu"."""
        ordered = sorted(self.left.items(), key=lambda pair: -pair[1])
        text = ", ".join("{} {}".format(count, kind) for kind, count in ordered[:most])
        return text + (" and {} more".format(len(ordered) - most) if ordered[most:] else "")


def layer_information(module):
    """The layer information of each engine of a compiled module, as JSON; None where the release has none."""
    return [
        _information(_value(node.inputsAt(1), module))
        for node in _engine_nodes(module.inlined_graph)
    ]


def _information(engine):
    read = getattr(engine, "get_engine_layer_info", None)
    return read() if read is not None else None


def _value(value, module):
    """The object that a chain of prim::GetAttr reads from the module; the chain starts at ``self``."""
    node = value.node()
    if node.kind() != "prim::GetAttr":
        return module
    return getattr(_value(node.input(), module), node.s("name"))


def _engine_nodes(block):
    for node in block.nodes():
        if node.kind() == ENGINE:
            yield node
        for inner in node.blocks():
            for found in _engine_nodes(inner):
                yield found


def _operators(block):
    """Yield the kinds of all nodes that return a tensor or are an engine; others only handle numbers and lists."""
    for node in block.nodes():
        if node.kind() == ENGINE or any(o.type().kind() == "TensorType" for o in node.outputs()):
            yield node.kind()
        for inner in node.blocks():
            for kind in _operators(inner):
                yield kind
