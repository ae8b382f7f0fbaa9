"""Functions that the TorchScript exporter cannot write for older opsets, made of operators that they have.

Einsum exists since opset 12; repeat_interleave along an axis of unknown size can be written since opset 13.
"""

import contextlib

FIRST_COMPLETE = 13


@contextlib.contextmanager
def spelled_out(opset):
    """Within the block, torch functions that ``opset`` lacks are replaced by others."""
    import torch

    if opset >= FIRST_COMPLETE:
        yield
        return
    replaced = [
        (torch, "einsum", einsum),
        (torch, "repeat_interleave", repeat_interleave),
        (torch.Tensor, "repeat_interleave", repeat_interleave),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    for owner, name, function in replaced:
        setattr(owner, name, function)
    try:
        yield
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


def repeat_interleave(tensor, repeats, dim):
    """``torch.repeat_interleave`` for one number of repeats: each slice along ``dim``, ``repeats`` times."""
    sizes = list(tensor.shape)
    expanded = sizes[: dim + 1] + [repeats] + sizes[dim + 1 :]
    folded = sizes[:dim] + [sizes[dim] * repeats] + sizes[dim + 1 :]
    return tensor.unsqueeze(dim + 1).expand(expanded).reshape(folded)


def einsum(equation, left, right):
    """``torch.einsum`` of two operands as one matrix product.

    Each letter occurs at most once per operand, and every summed letter occurs in both.
    """
    import torch

    terms, result = equation.replace(" ", "").split("->")
    first, second = terms.split(",")
    shared = [letter for letter in first if letter in second]
    kept = [letter for letter in shared if letter in result]
    summed = [letter for letter in shared if letter not in result]
    only_left = [letter for letter in first if letter not in second]
    only_right = [letter for letter in second if letter not in first]
    sizes = dict(zip(second, right.shape))
    sizes.update(zip(first, left.shape))
    # Three axes each: kept, the operand's own, summed; the kept ones are the batch of the matrix product.
    a = _grouped(left, first, (kept, only_left, summed))
    b = _grouped(right, second, (kept, summed, only_right))
    product = torch.matmul(a, b)
    found = kept + only_left + only_right
    unfolded = product.reshape([sizes[letter] for letter in found])
    return unfolded.permute([found.index(letter) for letter in result])


def _grouped(tensor, letters, groups):
    """``tensor`` with its axes in the order of the groups, and one axis per group."""
    order = [letters.index(letter) for group in groups for letter in group]
    sizes = dict(zip(letters, tensor.shape))
    shape = []
    for group in groups:
        size = 1
        for letter in group:
            size = size * sizes[letter]
        shape.append(size)
    return tensor.permute(order).reshape(shape)
