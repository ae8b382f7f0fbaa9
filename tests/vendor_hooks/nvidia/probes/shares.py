"""Writes what a scripted and a traced module leave to PyTorch: argv[1] is the hook's folder."""

import json
import sys

import torch

sys.path.insert(0, sys.argv[1])
import torchscript  # the path comes first


@torch.jit.script
def in_a_branch(x: torch.Tensor) -> torch.Tensor:
    """Compute in a branch alone."""
    if x.size(0) > 1:
        return torch.softmax(x, 1)
    return x


class Module(torch.nn.Module):
    """One product, moved about before and added to after."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Move, compute, and use a size."""
        rows = x.reshape(x.size(0) * 2, -1).transpose(0, 1).contiguous().transpose(0, 1)
        return in_a_branch(self.head(rows.to(torch.float32))) + 1


for module in (torch.jit.script(Module()), torch.jit.trace(Module(), torch.zeros(2, 16))):
    share = torchscript.Share(module)
    sys.stdout.write(json.dumps([share.settings(), share.listed(2)]) + "\n")
