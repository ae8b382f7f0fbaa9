"""The engine's side: it imports vendor code, runs what the harness asks for, and copies outputs back."""

import collections
import ctypes
import mmap
import os
import socket
import struct
import traceback
import warnings
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from harness import clock, garbage
from harness.boundary import channel as wire
from harness.boundary.layout import (
    DONE_BODY,
    PLACE,
    SUBMIT_HEAD,
    WAIT_BODY,
    BatchLayout,
    read_add,
    read_layout,
    tokens_body,
)
from harness.engine import Engine
from harness.errors import StageFailure, from_exception
from harness.job import Arrays, Job, read_job
from harness.outputs.contract import OutputContract
from harness.outputs.report import plain
from harness.plugins import load_engine

#: Number of a segment, its bytes, and whether the engine only reads it.
SEGMENT_BODY = struct.Struct("<IQB")
#: asm-generic/mman-common.h; Python 3.7 has no name for it.
MAP_POPULATE = 0x8000
NUMBER = struct.Struct("<I")
#: A batch that is done waits at most so long for others; not at all where there is none to run.
HELD_NS = 32000000


class Flying(NamedTuple):
    """A submitted batch."""

    number: int
    layout: BatchLayout
    segment: int
    with_phases: bool
    held: int
    ticket: Any


def serve(settings: Dict[str, Any]) -> None:
    """Serve the engine of the job in ``settings["folder"]`` until the harness closes it or is gone."""
    # Inputs cannot be written; PyTorch warns of this whenever a tensor is made of them.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
    control, descriptors = (socket.socket(fileno=number) for number in settings["descriptors"])
    for one in (control, descriptors):
        one.set_inheritable(False)  # tools that an engine starts do not get them
    server = Server(settings, wire.Channel(control), descriptors)
    try:
        server.run()
    except wire.ClosedError:
        return


class Server:
    """One engine; the messages come in the order in which the harness called."""

    def __init__(
        self, settings: Dict[str, Any], channel: wire.Channel, descriptors: socket.socket
    ) -> None:
        self._settings = settings
        self._channel = channel
        self._descriptors = descriptors
        self._engine = Engine(read_job(settings["folder"], settings["stage"]))
        self._contract = OutputContract(self._engine.job)
        self._memory: Dict[int, Any] = {}
        self._layouts: Dict[int, BatchLayout] = {}
        self._outputs: Dict[Tuple[int, int], List[Tuple[str, np.ndarray]]] = {}
        self._flying: Deque[Flying] = collections.deque()
        #: Sequences that the engine schedules: number → tokens that it still owes.
        self._sequences: Dict[int, int] = {}
        self._failed = False
        self._depth = 1
        self._flushed_ns = 0
        self._calls: Dict[str, Callable[[Dict[str, Any]], Any]] = {
            "open": self._open,
            "compile": lambda _: self._engine.compile() or {},
            "load": self._load,
            "measure_core": self._measure_core,
            "memory": lambda _: self._engine.memory(),
            "versions": lambda _: self._engine.versions(),
            "warnings": lambda _: self._engine.warnings(),
            "close": lambda _: self._engine.close(),
        }

    def run(self) -> None:
        """Answer until ``close`` was called."""
        while True:
            if self._channel.posted and not self._channel.at_hand():
                self._flush()
            if self._sequences and not self._failed and not self._channel.at_hand():
                # What came meanwhile joins before the next step: so sequences join a running batch.
                self._guarded(self._advance, None)
                continue
            kind, body = self._channel.receive()
            if kind == wire.ADD:
                self._guarded(self._add, body)
            elif kind == wire.SUBMIT:
                self._guarded(self._submit, body)
            elif kind == wire.WAIT:
                self._guarded(self._finish_up_to, WAIT_BODY.unpack(body)[0])
            elif kind == wire.CALL:
                request = wire.parsed(body)
                self._answer(request)
                if request["name"] == "close":
                    return
            else:
                self._arrange(kind, body)

    def _arrange(self, kind: int, body: bytes) -> None:
        if kind == wire.LAYOUT:
            layout = read_layout(wire.parsed(body))
            self._layouts[layout.number] = layout
        elif kind == wire.SEGMENT:
            self._map(*SEGMENT_BODY.unpack(body))
        elif kind == wire.DROP:
            # Views that a vendor's runtime keeps hold the mapping; else it goes now.
            self._memory.pop(NUMBER.unpack(body)[0], None)
        elif kind == wire.PING:
            self._channel.send(wire.PONG)

    def _load(self, _: Dict[str, Any]) -> Any:
        settings = self._engine.load() or {}
        garbage.search_as_usual()
        return settings

    def _map(self, number: int, size: int, for_reading: int) -> None:
        descriptor = wire.receive_descriptor(self._descriptors)
        # Populated now: page faults would be part of the first calls.
        flags = mmap.MAP_SHARED | MAP_POPULATE
        access = mmap.PROT_READ if for_reading else mmap.PROT_READ | mmap.PROT_WRITE
        try:
            memory = mmap.mmap(descriptor, size, flags, access)
        finally:
            os.close(descriptor)
        flagged = for_reading and self._engine.inputs_flagged_writable
        self._memory[number] = _flagged_writable(memory) if flagged else memory

    def _answer(self, request: Dict[str, Any]) -> None:
        try:
            value = plain(self._calls[request["name"]](request))
        except BaseException as error:  # whatever ended the call, the harness must name it
            self._report(error)
        else:
            self._channel.send_json(wire.ANSWER, {"value": value, "state": self._state()})

    def _open(self, _: Dict[str, Any]) -> Dict[str, Any]:
        job = self._engine.job
        if job.stage == "validate":
            job = job.validating()
        # What an engine leaves there is removed: the stage's own out folder is not its to write.
        job.redirect("out", self._settings["scratch"])
        self._engine = load_engine(job)
        self._contract = OutputContract(job)
        return {"landlock": self._settings["landlock"]}

    def _state(self) -> Dict[str, Any]:
        engine, kind = self._engine, type(self._engine)
        # The harness counts with this value, so that both know which batches are finished unasked.
        self._depth = int(engine.in_flight)
        return {
            "in_flight": int(engine.in_flight),
            "static_batch": bool(engine.static_batch),
            "simulated": bool(engine.simulated),
            "cached": bool(engine.cached),
            "same_process": bool(engine.same_process),
            "schedules": bool(engine.schedules),
            "has_phases": kind.phases is not Engine.phases,
            "times_itself": kind.measure_core is not Engine.measure_core,
        }

    def _guarded(self, step: Callable[[Any], None], argument: Any) -> None:
        if self._failed:
            return  # one failure ends the stage; what was posted ahead is not run
        try:
            step(argument)
        except wire.ClosedError:
            raise
        except BaseException as error:  # as in _answer
            self._failed = True
            self._report(error)

    def _submit(self, body: bytes) -> None:
        number, layout_number, segment, with_phases, held = SUBMIT_HEAD.unpack_from(body)
        layout = self._layouts[layout_number]
        inputs = self._inputs(layout, body, SUBMIT_HEAD.size)
        while len(self._flying) >= self._depth:
            self._finish()
        ticket = self._engine.submit(inputs)
        self._flying.append(Flying(number, layout, segment, bool(with_phases), held, ticket))
        if self._depth == 1:
            self._finish()

    def _inputs(self, layout: BatchLayout, body: bytes, start: int) -> Arrays:
        inputs = {}
        for one in layout.inputs:
            segment, offset = PLACE.unpack_from(body, start)
            inputs[one.name] = one.view(self._memory[segment], offset)
            start += PLACE.size
        return inputs

    def _add(self, body: bytes) -> None:
        numbers, prompts, tokens = read_add(body)
        self._engine.add(numbers, prompts, tokens)
        self._sequences.update(dict.fromkeys(numbers, tokens))

    def _advance(self, _: None) -> None:
        pairs = self._engine.advance()
        for number, _token in pairs:
            left = self._sequences.get(number, 0) - 1
            if left < 0:
                raise _too_many(number)
            if left:
                self._sequences[number] = left
            else:
                del self._sequences[number]
        if pairs:
            self._channel.send(wire.TOKENS, tokens_body(pairs))

    def _finish_up_to(self, number: int) -> None:
        while self._flying and self._flying[0].number <= number:
            self._finish()

    def _finish(self) -> None:
        done = self._flying.popleft()
        outputs = self._engine.wait(done.ticket)
        self._copy(outputs, done)
        phases = (0, 0, 0)
        if done.with_phases:
            h2d, compute, d2h = self._engine.phases(done.ticket)
            phases = (_ns(h2d), _ns(compute), _ns(d2h))
        self._channel.post(wire.DONE, DONE_BODY.pack(done.number, done.with_phases, *phases))
        late = clock.now_ns() - self._flushed_ns >= HELD_NS
        if late or self._channel.posted > done.held:
            self._flush()

    def _flush(self) -> None:
        self._channel.flush()
        self._flushed_ns = clock.now_ns()

    def _copy(self, outputs: Any, done: Flying) -> None:
        key = (done.layout.number, done.segment)
        views = self._outputs.get(key)
        if views is None:
            memory = self._memory[done.segment]
            views = [(one.name, one.view(memory)) for one in done.layout.outputs]
            self._outputs[key] = views
        for name, view in views:
            array = outputs.get(name) if type(outputs) is dict else None
            if (
                type(array) is not np.ndarray
                or array.shape != view.shape
                or array.dtype != view.dtype
            ):
                # The harness checks shapes and dtypes of what arrives: what does not fit cannot arrive.
                rows = done.layout.rows
                array = self._contract.checked(outputs, rows, rows)[name]
            np.copyto(view, array)

    def _measure_core(self, request: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        batches = []
        for layout, places in request["batches"]:
            body = b"".join(PLACE.pack(*place) for place in places)
            batches.append(self._inputs(self._layouts[layout], body, 0))
        timing = self._engine.measure_core(batches, request["min_seconds"])
        if timing is None:
            return None
        fields = timing._asdict()
        samples = np.array(fields.pop("samples_ns"), np.int64)
        self._channel.send(wire.SAMPLES, samples.tobytes())
        return fields

    def _report(self, error: BaseException) -> None:
        job = self._engine.job
        if not isinstance(error, StageFailure):
            # The log gets the traceback, to fix the hook; the report gets what the user needs.
            traceback.print_exception(type(error), error, error.__traceback__)
        failure = from_exception(error, job.stage, job.vendor, _writable(job))
        document = dict(failure.document(job.stage), state=self._state())
        self._channel.send_json(wire.FAILED, document)


def _flagged_writable(memory: mmap.mmap) -> Any:
    """The same memory, still only readable, as a buffer that numpy takes for writable."""
    array = np.frombuffer(memory, np.uint8)
    kind: Any = type("Flagged", (ctypes.c_ubyte * len(memory),), {"memory": memory})
    return kind.from_address(array.__array_interface__["data"][0])


def _too_many(number: int) -> StageFailure:
    return StageFailure(
        "contract",
        "advance() returned a token of sequence {}, which is not running".format(number),
        "return as many tokens of a sequence as add() asked for, each once",
    )


def _writable(job: Job) -> List[str]:
    return [str(job.out_dir), str(job.cache_dir)]


def _ns(value: Optional[int]) -> int:
    return -1 if value is None else int(value)
