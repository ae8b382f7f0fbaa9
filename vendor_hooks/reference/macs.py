"""Counts the multiply-accumulates of one core item from the model itself."""

from hook import module

SCOPE = "one item; matrix products, convolutions and attention products (torch FlopCounterMode / 2)"


def count(job):
    """The multiply-accumulates of one item; on the meta device, so that nothing is computed or stored."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        # Eager attention is counted as matrix products; each fused kernel would need a formula.
        network = module.case_model().skeleton("eager")
    counter = FlopCounterMode(display=False)
    with counter:
        network(*module.example_inputs(job, items=1, device="meta"))
    return counter.get_total_flops() // 2
