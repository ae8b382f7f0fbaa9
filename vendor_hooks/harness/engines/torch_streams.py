"""Batches on a device with streams and events, such as ``torch.cuda``, with copies beside the computation.

Three streams (copy in, compute, copy out) and two batches in flight: while one batch computes, the next
is staged in pinned host memory and copied. Pinned and device buffers are allocated once and reused.
"""

import collections
from typing import Any, Deque, Dict, List, Optional, Sequence, Tuple

from harness.engine import Engine, Phases
from harness.engines import torch_slot
from harness.engines.torch_build import require_build
from harness.errors import StageFailure
from harness.job import Arrays, Job

NS_PER_MS = 1e6


class TorchStreams(Engine):
    """Calls something that takes and returns device tensors; ``begin_streams`` is given what.

    ``options.torch_build`` of vendor.toml (``cuda``, ``hip``, ``corex``) refuses a PyTorch that was built for another
    device, so that one vendor's GPU is never reported as another's.
    """

    #: PyTorch's name of the device; ``torch.<device_type>`` has its streams, events and memory.
    device_type = "cuda"
    in_flight = 2
    reuses_outputs = True

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._call: Any = None
        self._idle: Deque[torch_slot.TorchSlot] = collections.deque()
        self._streams: Tuple[Any, ...] = ()

    def runtime(self, torch: Any) -> Any:
        """The module of the device: ``torch.cuda``."""
        return getattr(torch, self.device_type)

    def open_torch(self) -> Any:
        """Import torch; StageFailure (host, image) without a device or for another device's build."""
        import torch

        runtime = self.runtime(torch)
        self.simulated = self.simulated or bool(getattr(runtime, "__assay_standin__", False))
        require_build(self.job, torch)
        if runtime.is_available() and runtime.device_count():
            return torch
        raise StageFailure(
            "host",
            "PyTorch {} sees no device (torch.{}.is_available() is {})".format(
                torch.__version__, self.device_type, runtime.is_available()
            ),
            "make doctor VENDOR={} checks driver, device nodes and container runtime".format(
                self.job.vendor
            ),
        )

    def begin_streams(self, torch: Any, call: Any) -> None:
        """Make streams and buffers for ``call``: device tensors of a batch → device tensors of its outputs."""
        self._call = call
        runtime = self.runtime(torch)
        self._streams = tuple(runtime.Stream() for _ in range(3))
        slots = (
            torch_slot.TorchSlot(torch, self.job, self.device_type) for _ in range(self.in_flight)
        )
        self._idle.extend(slots)
        # Weights were copied on the default stream, for which the three others do not wait.
        runtime.synchronize()

    def as_called(self, torch: Any, tensors: Sequence[Any]) -> List[Any]:  # noqa: ARG002
        """The inputs of a batch in the dtypes that the call takes: as they are in host memory."""
        return list(tensors)

    def submit(self, inputs: Arrays) -> torch_slot.TorchSlot:
        """Enqueue staging, copy in, compute and copy out, without waiting for any of them."""
        import torch

        slot, on = self._idle.popleft(), self.runtime(torch).stream
        copy_in, compute, copy_out = self._streams
        marks = slot.marks
        with torch.inference_mode():
            tensors = slot.stage(inputs)
            with on(copy_in):
                marks[0].record(copy_in)
                for host, device in tensors:
                    device.copy_(host, non_blocking=True)
                marks[1].record(copy_in)
            compute.wait_event(marks[1])
            with on(compute):
                marks[2].record(compute)
                slot.hold(self._call(*self.as_called(torch, [device for _, device in tensors])))
                marks[3].record(compute)
            copy_out.wait_event(marks[3])
            with on(copy_out):
                marks[4].record(copy_out)
                slot.copy_out()
                marks[5].record(copy_out)
        return slot

    def wait(self, ticket: torch_slot.TorchSlot) -> Arrays:
        """Sleep until the copy out has finished; the arrays are views of this slot's pinned buffers."""
        ticket.marks[5].synchronize()
        found = ticket.arrays()
        self._idle.append(ticket)
        return found

    def phases(self, ticket: torch_slot.TorchSlot) -> Phases:
        """Device time of copy in, compute and copy out, by events on their streams."""
        m = ticket.marks
        h2d, compute, d2h = (int(a.elapsed_time(b) * NS_PER_MS) for a, b in zip(m[0::2], m[1::2]))
        return h2d, compute, d2h

    def memory(self) -> Optional[Tuple[int, int, str]]:
        """Device memory in use at the end of the stage, which is the peak: torch's pool never shrinks."""
        import torch

        if self._call is None:
            return None
        free, total = self.runtime(torch).mem_get_info()
        source = "torch.{}.mem_get_info at the end of the stage, all processes"
        return total - free, total, source.format(self.device_type)

    def versions(self) -> Dict[str, str]:
        """Versions of torch and of the device's runtime below it."""
        import torch

        found = {"torch": torch.__version__}
        for name in ("cuda", "hip", "maca"):
            if getattr(torch.version, name, None):
                found[name] = getattr(torch.version, name)
        return found

    def close(self) -> None:
        """Release what is called, and the buffers."""
        self._call = None
        self._idle.clear()
