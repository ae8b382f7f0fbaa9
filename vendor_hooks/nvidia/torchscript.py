"""What of a compiled TorchScript runs in TensorRT's engines, and what PyTorch computes itself."""

import collections

ENGINE = "tensorrt::execute_engine"
#: These move, cut or cast a tensor; whatever else of aten gives a tensor computes.
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
    """``engines``: how many TensorRT engines are called; ``left``: operator → how often PyTorch computes it."""

    def __init__(self, module):
        counts = collections.Counter(_operators(module.inlined_graph))
        self.engines = counts.pop(ENGINE, 0)
        # prim is TorchScript's own: constants, lists, branches.
        self.left = {
            kind: count
            for kind, count in sorted(counts.items())
            if not kind.startswith("prim::") and kind not in IDLE
        }

    def settings(self):
        """As the result holds it."""
        return {"tensorrt_engines": self.engines, "left_to_pytorch": self.left}

    def listed(self, most=5):
        """The operators that PyTorch computes, the most frequent first: "3 aten::linear, 1 aten::gelu"."""
        ordered = sorted(self.left.items(), key=lambda pair: -pair[1])
        text = ", ".join("{} {}".format(count, kind) for kind, count in ordered[:most])
        return text + (" and {} kinds more".format(len(ordered) - most) if ordered[most:] else "")


def _operators(block):
    """The kinds of all nodes that give a tensor or are an engine; numbers and lists are bookkeeping."""
    for node in block.nodes():
        if node.kind() == ENGINE or any(o.type().kind() == "TensorType" for o in node.outputs()):
            yield node.kind()
        for inner in node.blocks():
            for kind in _operators(inner):
                yield kind
