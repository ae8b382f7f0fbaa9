"""The whole loop's pipeline: what overlaps, what is bounded, what an error leaves behind."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.harness.job_folder import job_document
from tests.harness.modules import contract as contract_module
from tests.harness.modules import engine as engine_module
from tests.harness.modules import errors
from tests.harness.modules import job as job_module
from tests.harness.modules import task as task_module
from tests.harness.modules import whole as whole_module

PATIENCE_S = 20


class Numbers:
    """A source whose item n is the number n; remembers what was asked of it."""

    def __init__(self) -> None:
        self.layout = {"input": ((2,), np.dtype(np.float32))}
        self.filled: list[int] = []
        self.buffers: set[int] = set()
        self.lock = threading.Condition()

    def fill(self, position: int, row: int, buffers: dict[str, Any]) -> None:
        with self.lock:
            self.filled.append(position)
            self.buffers.add(id(buffers["input"]))
            self.lock.notify_all()
        buffers["input"][row] = position

    def wait_for(self, position: int) -> bool:
        with self.lock:
            return self.lock.wait_for(lambda: position in self.filled, PATIENCE_S)


class Echo(task_module.Task):  # type: ignore[misc]
    """Predicts the number itself."""

    def decode(self, found: dict[str, Any]) -> dict[str, Any]:
        return {"number": found["logits"][:, 0].astype(np.int64)}


class Device(engine_module.Engine):  # type: ignore[misc]
    """Gives its inputs back."""

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        return {"logits": inputs["input"].copy()}


def whole_of(
    folder: Path, count: int, device: Any, task: Any = None, **changes: Any
) -> tuple[Any, Numbers]:
    document = job_document(
        inputs=[{"name": "input", "shape": [2]}],
        outputs=[{"name": "logits", "shape": [2]}],
        **changes,
    )
    job = job_module.Job(folder, document, "infer")
    job.out_dir.mkdir()
    source = Numbers()
    dataset = SimpleNamespace(ids=[f"{n:06d}" for n in range(count)])
    contract = contract_module.OutputContract(job)
    task = task or Echo(job)
    return whole_module.WholeLoop(device, task, dataset, source, contract, job), source


def predicted(whole: Any) -> list[int]:
    return [int(n) for n in whole.predictions.written()["number"]]


def no_threads_left() -> bool:
    names = {thread.name.split("_")[0] for thread in threading.enumerate()}
    return not names & {"loader", "decoder"}


def progress() -> SimpleNamespace:
    return SimpleNamespace(done=0, loop_began=lambda _: None, loop_ended=lambda: None)


@pytest.mark.parametrize(("count", "batch_size"), [(1, 4), (4, 4), (9, 4), (23, 1), (16, 16)])
@pytest.mark.parametrize("in_flight", [1, 3])
def test_predictions_are_in_the_order_of_the_items(
    tmp_path: Path, count: int, batch_size: int, in_flight: int
) -> None:
    device = Device(None)
    device.in_flight = in_flight
    whole, _ = whole_of(tmp_path, count, device, batch_size=batch_size)
    whole.run(None, progress())
    assert predicted(whole) == list(range(count))
    assert len(whole.completed_ns) == -(-count // batch_size)
    assert no_threads_left()


def test_the_next_batches_are_prepared_while_the_device_works(tmp_path: Path) -> None:
    overlapped = []

    class Watching(Device):
        def wait(self, ticket: Any) -> Any:
            # While this batch is on the device, the next one must come without our doing.
            following = int(ticket["logits"][0, 0]) + 4
            overlapped.append(following >= 16 or self.source.wait_for(following))
            return ticket

    device = Watching(None)
    whole, device.source = whole_of(tmp_path, 16, device, batch_size=4)
    whole.run(None, progress())
    assert overlapped == [True] * 4


def test_decoding_predictions_does_not_hold_up_the_device(tmp_path: Path) -> None:
    third_call = threading.Event()
    waited = []

    class Counting(Device):
        calls = 0

        def submit(self, inputs: Any) -> Any:
            self.calls += 1
            if self.calls == 3:
                third_call.set()
            return self.infer(inputs)

    class Patient(Echo):
        def decode(self, found: Any) -> Any:
            waited.append(third_call.wait(PATIENCE_S))
            return super().decode(found)

    whole, _ = whole_of(tmp_path, 12, Counting(None), Patient(None), batch_size=4)
    whole.run(None, progress())
    assert waited == [True] * 3
    assert predicted(whole) == list(range(12))


def test_outputs_that_the_engine_overwrites_are_kept_until_they_are_decoded(tmp_path: Path) -> None:
    all_done = threading.Event()

    class Overwriting(Device):
        reuses_outputs = True
        calls = 0

        def infer(self, inputs: Any) -> Any:
            self.calls += 1
            if self.calls == 1:
                self.buffer = inputs["input"].copy()
            self.buffer[:] = inputs["input"]
            if self.calls == 3:
                all_done.set()
            return {"logits": self.buffer}

    class Patient(Echo):
        def decode(self, found: Any) -> Any:
            assert all_done.wait(PATIENCE_S)
            return super().decode(found)

    whole, _ = whole_of(tmp_path, 12, Overwriting(None), Patient(None), batch_size=4)
    whole.run(None, progress())
    assert predicted(whole) == list(range(12))


def test_buffers_are_reused_not_made_anew_for_every_batch(tmp_path: Path) -> None:
    whole, source = whole_of(tmp_path, 400, Device(None), batch_size=4, threads=2)
    whole.run(None, progress())
    assert predicted(whole) == list(range(400))
    assert len(source.buffers) <= 6


def test_a_static_batch_is_padded_with_its_last_item_and_cut_again(tmp_path: Path) -> None:
    seen = []

    class Static(Device):
        static_batch = True

        def infer(self, inputs: Any) -> Any:
            seen.append(inputs["input"][:, 0].tolist())
            return super().infer(inputs)

    whole, _ = whole_of(tmp_path, 6, Static(None), batch_size=4)
    whole.run(None, progress())
    assert seen == [[0, 1, 2, 3], [4, 5, 5, 5]]
    assert predicted(whole) == list(range(6))


def test_a_task_with_several_calls_an_item_runs_its_own_loop(tmp_path: Path) -> None:
    class Twice(Echo):
        def run(self, infer: Any, inputs: Any) -> Any:
            first = infer(inputs)
            return infer({"input": first["logits"] + 100})

    whole, _ = whole_of(tmp_path, 6, Device(None), Twice(None), batch_size=4)
    whole.run(None, progress())
    assert predicted(whole) == [100 + n for n in range(6)]


def test_the_clock_stops_when_predictions_are_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the clock takes 1 ns here, and writing an archive a second."""
    passed = itertools.count()
    slow_ns = 0

    def write_slowly(path: Path, arrays: Any) -> None:
        nonlocal slow_ns
        write(path, arrays)
        slow_ns += 1_000_000_000

    write = whole_module.files.write_npz
    monkeypatch.setattr(whole_module.files, "write_npz", write_slowly)
    monkeypatch.setattr(whole_module.clock, "now_ns", lambda: next(passed) + slow_ns)
    whole, _ = whole_of(tmp_path, 6, Device(None), batch_size=4)
    whole.run(None, progress())
    assert (tmp_path / "out" / "predictions.npz").is_file()
    assert 1_000_000_000 < whole.wall_ns < 1_000_001_000


@pytest.mark.parametrize("broken", ["source", "device", "decode", "shape"])
def test_an_error_anywhere_ends_the_loop_and_leaves_no_thread(tmp_path: Path, broken: str) -> None:
    def explode(*_: Any) -> Any:
        raise errors.StageFailure("infer", f"the {broken} broke", "fix it")

    device = Device(None)
    whole, source = whole_of(tmp_path, 400, device, batch_size=4)
    if broken == "source":
        vars(source)["fill"] = explode
    elif broken == "device":
        device.wait = explode
    elif broken == "decode":
        whole._task.decode = explode
    else:
        device.__dict__["infer"] = lambda inputs: {"logits": inputs["input"][:, :1]}
    expected = "has shape" if broken == "shape" else f"the {broken} broke"
    with pytest.raises(errors.StageFailure, match=expected):
        whole.run(None, progress())
    assert no_threads_left()
    assert not (tmp_path / "out" / "predictions.npz").exists()


def test_memory_is_there_before_the_clock_starts(tmp_path: Path) -> None:
    happened = []

    class Allocating(Device):
        def empty(self, shape: Any, dtype: Any) -> Any:
            happened.append("buffer")
            return super().empty(shape, dtype)

        def settle(self) -> None:
            happened.append("settled")

    seen = progress()
    seen.loop_began = lambda _: happened.append("clock")
    whole, _ = whole_of(tmp_path, 23, Allocating(None), batch_size=4)
    whole.run(None, seen)
    assert happened == ["buffer", "buffer", "settled", "clock"]
