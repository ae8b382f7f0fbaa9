"""One batch in flight on a torch device: reused pinned and device buffers, events between its steps."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from harness.job import Arrays, Job, TensorSpec


class TorchSlot:
    """The buffers and events of one batch in flight, of at most ``job.batch_size`` items.

    Events: start and end of copy in, compute and copy out, in this order.
    """

    def __init__(self, torch: Any, job: Job, device_type: str = "cuda") -> None:
        self._torch = torch
        self._inputs, self._outputs = job.inputs, job.outputs
        self.host_in = full_batch(torch, job, job.inputs, device="cpu", pin_memory=True)
        self.device_in = full_batch(torch, job, job.inputs, device=device_type)
        self.host_out = full_batch(torch, job, job.outputs, device="cpu", pin_memory=True)
        event = getattr(torch, device_type).Event
        self.marks = [event(enable_timing=True) for _ in range(5)]
        # The last event blocks: the waiting thread sleeps instead of spinning.
        self.marks.append(event(enable_timing=True, blocking=True))
        #: The module's outputs on the device, kept alive until they are copied out.
        self.outputs: List[Any] = []
        self._rows: List[Optional[int]] = []

    def stage(self, inputs: Arrays) -> List[Tuple[Any, Any]]:
        """(pinned host tensor, device tensor) of each input, cut to the rows of this call."""
        pairs = []
        for spec in self._inputs:
            given = self._torch.from_numpy(inputs[spec.name])
            host, device = self.host_in[spec.name], self.device_in[spec.name]
            if spec.batched:
                host, device = host[: len(given)], device[: len(given)]
            host.copy_(given)
            pairs.append((host, device))
        return pairs

    def hold(self, outputs: Sequence[Any]) -> None:
        """Keep the outputs in declared order, still on the device, floats as fp32."""
        self.outputs = [t.float() if t.is_floating_point() else t for t in outputs]

    def copy_out(self) -> None:
        """Enqueue the copies of the outputs that are held, into pinned memory."""
        self._rows = []
        for spec, tensor in zip(self._outputs, self.outputs):
            host = self.host_out[spec.name]
            self._rows.append(tensor.shape[0] if spec.batched else None)
            (host[: tensor.shape[0]] if spec.batched else host).copy_(tensor, non_blocking=True)

    def arrays(self) -> Arrays:
        """The outputs in pinned memory; to be called after the last event."""
        self.outputs = []
        found = {}
        for spec, rows in zip(self._outputs, self._rows):
            host = self.host_out[spec.name]
            found[spec.name] = (host if rows is None else host[:rows]).numpy()
        return found


def full_batch(torch: Any, job: Job, specs: Sequence[TensorSpec], **where: Any) -> Dict[str, Any]:
    """Name → uninitialised tensor of a full batch, in the dtype that host memory has."""
    made = {}
    for spec in specs:
        dtype = torch.float32 if spec.dtype == "bfloat16" else getattr(torch, spec.dtype)
        rows = (job.batch_size * spec.rows_per_item,) if spec.batched else ()
        made[spec.name] = torch.empty(rows + tuple(spec.shape), dtype=dtype, **where)
    return made
