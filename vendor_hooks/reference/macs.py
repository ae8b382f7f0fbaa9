"""Counts the multiply-accumulates of one core item from the model itself."""

from harness import log
from harness.errors import one_line
from hook import module

SCOPE = "one item; matrix products, convolutions and attention products (torch FlopCounterMode / 2)"


def count(job):
    """The multiply-accumulates of one item; on the meta device, so that nothing is computed or stored.

    None where the model cannot run there, such as one that reads a tensor's value (``Tensor.item()``):
    the exported graph is counted then.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        # Eager attention is counted as matrix products; each fused kernel would need a formula.
        network = module.case_model().skeleton("eager")
    counter = FlopCounterMode(display=False)
    try:
        with counter:
            network(*module.example_inputs(job, items=1, device="meta"))
    # Whatever torch raises for an operation that needs values.
    except (NotImplementedError, RuntimeError) as error:
        log.say("torch cannot count this model: {}".format(one_line(error)))
        return None
    return counter.get_total_flops() // 2
