"""The engine as the harness sees it: the same methods, run in the engine's process."""

import collections
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from harness import clock
from harness.boundary import channel as wire
from harness.boundary.arena import Arena, Segment
from harness.boundary.layout import (
    DONE_BODY,
    PLACE,
    SUBMIT_HEAD,
    WAIT_BODY,
    BatchLayout,
    add_body,
    layout_of,
    read_tokens,
)
from harness.boundary.process import EngineProcess
from harness.boundary.server import NUMBER, SEGMENT_BODY
from harness.engine import Engine, Phases, VendorTiming, WarningEntry
from harness.errors import KINDS, StageFailure
from harness.job import Arrays, Job, items_in

#: Seconds for an engine to close when batches are still out, as after an interrupt: the driver kills a
#: stage after five.
SHORT_CLOSE_S = 3.0
#: Seconds from the answer to ``close`` to the end of the process.
ENDING_S = 10.0
LONGEST_TEXT = 8192
MOST_IN_FLIGHT = 1024
PINGS = 101


class Slot:
    """What one of the batches that are out needs: memory for its outputs, and for inputs not shared."""

    def __init__(self) -> None:
        self.segment = -1
        self.memory = np.empty(0, np.uint8)
        self.staged: Dict[str, np.ndarray] = {}
        #: Layout's number → views of the outputs.
        self.views: Dict[int, Arrays] = {}


class Ticket(NamedTuple):
    """A submitted batch: its number, its layout, where its outputs go."""

    number: int
    layout: BatchLayout
    slot: Slot


class RemoteEngine(Engine):
    """An engine in another process. Outputs are views of shared memory that later calls overwrite."""

    reuses_outputs = True
    #: So many batches more than the engine has in flight may be posted, so that its process never idles, and both
    #: processes seldom wake up.
    ahead = 16

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._process = EngineProcess(job)
        self._channel = self._process.channel
        self._arena = Arena(self._announce)
        self._layouts: Dict[Any, BatchLayout] = {}
        self._free: Deque[Slot] = collections.deque()
        self._submitted = self._completed = 0
        self._phases: Phases = (None, None, None)
        self._has_phases = self._with_phases = self._times_itself = False
        self._closed = self._cut_off = False
        #: Version of Landlock that keeps files from the engine; None: the kernel has none.
        self.landlock: Optional[int] = None
        #: The time of an empty message to the engine's process and back, in nanoseconds.
        self.call_ns = 0

    def open(self) -> None:
        """Let the process import the engine."""
        found = self._ask("open")
        version = found.get("landlock") if isinstance(found, dict) else None
        self.landlock = version if type(version) is int else None

    @property
    def inputs_locked(self) -> bool:
        """Whether the engine's process cannot write the inputs, whatever it does."""
        return self._arena.locked

    def compile(self) -> Dict[str, Any]:
        """See Engine."""
        return self._ask("compile")

    def load(self) -> Dict[str, Any]:
        """See Engine; then time an empty message."""
        settings = self._ask("load")
        self.call_ns = self._ping()
        return settings

    def empty(self, shape: Sequence[int], dtype: Any) -> np.ndarray:
        """An array that the engine's process reads without a copy."""
        return self._arena.empty(shape, dtype)

    def settle(self) -> None:
        """See Engine: the process maps and unmaps in the order of its messages, beside what happens here."""
        self._drop_forgotten()
        self._pong()

    def times_itself(self) -> bool:
        """See Engine."""
        return self._times_itself

    def time_phases(self, wanted: bool) -> bool:
        """See Engine."""
        self._with_phases = wanted and self._has_phases
        return self._with_phases

    def submit(self, inputs: Arrays) -> Ticket:
        """Post a batch; it starts as soon as the engine has fewer than ``in_flight``."""
        number = self._submitted
        # Never the slot of the batch that was completed last: its outputs are still in use.
        slot = self._free.popleft() if len(self._free) > 1 else Slot()
        layout = self._layout(inputs)
        places = [self._place(slot, name, array) for name, array in inputs.items()]
        if len(slot.memory) < layout.size:
            slot.views = {}
            slot.segment, slot.memory = self._arena.output(layout.size)
        # Half of what waits there: the other half keeps the engine busy while answers to the first are on their way.
        held = max(0, min(number - self._completed - self.in_flight, self.ahead) // 2)
        head = SUBMIT_HEAD.pack(number, layout.number, slot.segment, self._with_phases, held)
        self._channel.post(wire.SUBMIT, head + b"".join(places))
        self._submitted += 1
        if self._submitted - self._channel.posted - self._completed <= self.in_flight + 1:
            self._sent(self._channel.flush)
        return Ticket(number, layout, slot)

    def wait(self, ticket: Ticket) -> Arrays:
        """Return the outputs of the oldest batch that is out."""
        # A batch is finished unasked if the one that takes its place has been posted.
        if self.in_flight > 1 and self._submitted <= ticket.number + self.in_flight:
            self._channel.post(wire.WAIT, WAIT_BODY.pack(ticket.number))
        if self._channel.posted and not self._channel.at_hand():
            self._sent(self._channel.flush)
        kind, body = self._receive()
        if kind != wire.DONE or len(body) != DONE_BODY.size:
            raise self._unexpected(kind, body)
        number, _, *phases = DONE_BODY.unpack(body)
        if number != ticket.number or number != self._completed:
            raise self._process.protocol("batch {} instead of {}".format(number, self._completed))
        self._completed += 1
        self._free.append(ticket.slot)
        h2d, compute, d2h = (None if ns < 0 else ns for ns in phases)
        self._phases = (h2d, compute, d2h)
        return self._outputs(ticket)

    def add(self, numbers: Sequence[int], prompts: np.ndarray, tokens: int) -> None:
        """See Engine. May be called in another thread than ``advance``; whatever is at hand joins the next step."""
        self._send(wire.ADD, add_body(numbers, prompts, tokens))

    def advance(self) -> Sequence[Tuple[int, int]]:
        """See Engine. The process continues by itself: what it sent since the last call is here at once."""
        kind, body = self._receive()
        if kind != wire.TOKENS:
            raise self._unexpected(kind, body)
        try:
            return read_tokens(body)
        except wire.ProtocolError as error:
            raise self._process.protocol(str(error)) from error

    def phases(self, ticket: Any) -> Phases:  # noqa: ARG002  # the last one that was waited for
        """See Engine."""
        return self._phases

    def measure_core(self, batches: Sequence[Arrays], min_seconds: float) -> Optional[VendorTiming]:
        """See Engine."""
        slot = Slot()
        described = []
        for inputs in batches:
            layout = self._layout(inputs)
            places = [
                PLACE.unpack(self._place(slot, n, a, lasting=True)) for n, a in inputs.items()
            ]
            described.append([layout.number, places])
        samples: List[bytes] = []
        found = self._ask(
            "measure_core", samples.append, batches=described, min_seconds=min_seconds
        )
        return None if found is None else self._timing(found, b"".join(samples))

    def memory(self) -> Optional[Tuple[Optional[int], Optional[int], str]]:
        """See Engine."""
        found = self._ask("memory")
        if found is None:
            return None
        peak, total, source = self._of_type(found, list, 3)
        return peak, total, str(source)

    def versions(self) -> Dict[str, str]:
        """See Engine."""
        return self._of_type(self._ask("versions"), dict)

    def warnings(self) -> Sequence[WarningEntry]:
        """See Engine."""
        entries = self._of_type(self._ask("warnings"), list)
        found = [self._of_type(entry, list, 3) for entry in entries]
        return [(str(code), str(message), str(remedy)) for code, message, remedy in found]

    def close(self) -> None:
        """Let the engine free its device, then end its process and whatever that started."""
        if self._closed:
            return
        self._closed = True
        if self._cut_off or self._submitted > self._completed:
            self._channel.limit(SHORT_CLOSE_S)
        try:
            self._ask("close")
        except BaseException:
            self._process.stop(0)
            raise
        self._process.stop(ENDING_S)

    def _layout(self, inputs: Arrays) -> BatchLayout:
        key = tuple((name, array.shape, array.dtype) for name, array in inputs.items())
        layout = self._layouts.get(key)
        if layout is None:
            rows = self.job.batch_size if self.static_batch else items_in(inputs, self.job)
            layout = layout_of(self.job, inputs, len(self._layouts), rows)
            self._layouts[key] = layout
            self._sent(lambda: self._channel.send_json(wire.LAYOUT, layout.document()))
        return layout

    def _place(self, slot: Slot, name: str, array: np.ndarray, *, lasting: bool = False) -> bytes:
        """Where the process finds this input: as it is, or in a copy that lasts until the slot is used again."""
        place = self._arena.place(array)
        if place is None:
            staged = None if lasting else slot.staged.get(name)
            if staged is None or staged.shape != array.shape or staged.dtype != array.dtype:
                staged = self._arena.empty(array.shape, array.dtype)
                slot.staged[name if not lasting else str(len(slot.staged))] = staged
            np.copyto(staged, array)
            place = self._arena.place(staged)
            assert place is not None, "an array of the arena has a place"
        return PLACE.pack(*place)

    def _outputs(self, ticket: Ticket) -> Arrays:
        slot = ticket.slot
        views = slot.views.get(ticket.layout.number)
        if views is None:
            views = {one.name: one.view(slot.memory.data) for one in ticket.layout.outputs}
            slot.views[ticket.layout.number] = views
        return dict(views)

    def _announce(self, segment: Segment, for_reading: bool) -> None:
        self._drop_forgotten()
        file = segment.file
        descriptor = file.readable if for_reading else file.descriptor
        self._sent(lambda: self._process.hand_over(descriptor))
        self._send(wire.SEGMENT, SEGMENT_BODY.pack(segment.number, segment.size, for_reading))

    def _drop_forgotten(self) -> None:
        for number in self._arena.forget():
            self._send(wire.DROP, NUMBER.pack(number))

    def _ask(
        self, name: str, on_samples: Optional[Callable[[bytes], None]] = None, **arguments: Any
    ) -> Any:
        """Call one method of the engine; its failures are raised here."""
        self._sent(lambda: self._channel.send_json(wire.CALL, dict(arguments, name=name)))
        while True:
            kind, body = self._receive()
            if kind == wire.SAMPLES and on_samples is not None:
                on_samples(body)
            elif kind == wire.DONE:
                self._completed += 1  # batches that were posted before a failure
            elif kind == wire.TOKENS:
                continue  # of sequences that were given up
            elif kind == wire.ANSWER:
                document = self._parsed(body)
                self._take_state(document.get("state"))
                return document.get("value")
            else:
                raise self._unexpected(kind, body)

    def _ping(self) -> int:
        taken = []
        for _ in range(PINGS):
            started = clock.now_ns()
            self._pong()
            taken.append(clock.now_ns() - started)
        return sorted(taken)[PINGS // 2]

    def _pong(self) -> None:
        self._send(wire.PING, b"")
        kind, body = self._receive()
        if kind != wire.PONG:
            raise self._unexpected(kind, body)

    def _send(self, kind: int, body: bytes) -> None:
        self._sent(lambda: self._channel.send(kind, body))

    def _sent(self, send: Callable[[], None]) -> None:
        """Call ``send``; whatever it sends, a process that is gone is the same failure."""
        try:
            send()
        except wire.ClosedError:
            # What the engine said last, if it said anything, is why it is gone.
            raise self._last_words() from None

    def _last_words(self) -> StageFailure:
        while True:
            kind, body = self._receive()
            if kind == wire.FAILED:
                return self._failure(body)

    def _receive(self) -> Tuple[int, bytes]:
        try:
            return self._channel.receive()
        except wire.ClosedError:
            raise self._process.died() from None
        except wire.ProtocolError as error:
            raise self._process.protocol(str(error)) from error
        except BaseException:
            self._cut_off = True
            raise

    def _parsed(self, body: bytes) -> Dict[str, Any]:
        try:
            return wire.parsed(body)
        except wire.ProtocolError as error:
            raise self._process.protocol(str(error)) from error

    def _unexpected(self, kind: int, body: bytes) -> StageFailure:
        if kind == wire.FAILED:
            return self._failure(body)
        return self._process.protocol("a message of kind {}".format(kind))

    def _failure(self, body: bytes) -> StageFailure:
        document = self._parsed(body)
        self._take_state(document.get("state"))
        self._completed = self._submitted
        kind, message, remedy = (
            str(document.get(key))[:LONGEST_TEXT] for key in ("kind", "message", "remedy")
        )
        if kind not in KINDS:
            return self._process.protocol("a failure of kind {!r}".format(kind[:80]))
        return StageFailure(kind, message, remedy)

    def _take_state(self, state: Any) -> None:
        found = self._of_type(state, dict)
        depth = found.get("in_flight")
        if type(depth) is not int or not 1 <= depth <= MOST_IN_FLIGHT:
            raise self._process.protocol("in_flight is {!r}".format(depth))
        self.in_flight = depth
        self.static_batch = found.get("static_batch") is True
        self.simulated = found.get("simulated") is True
        self.cached = found.get("cached") is True
        self.same_process = found.get("same_process") is True
        self.schedules = found.get("schedules") is True
        self._has_phases = found.get("has_phases") is True
        self._times_itself = found.get("times_itself") is True

    def _timing(self, found: Any, samples: bytes) -> VendorTiming:
        fields = self._of_type(found, dict)
        numbers = np.frombuffer(samples[: len(samples) // 8 * 8], np.int64)
        try:
            return VendorTiming(samples_ns=numbers.tolist(), **fields)
        except TypeError as error:
            raise self._process.protocol("a timing with other fields") from error

    def _of_type(self, value: Any, kind: Any, length: Optional[int] = None) -> Any:
        if not isinstance(value, kind) or (length is not None and len(value) != length):
            raise self._process.protocol(
                "a {} instead of a {}".format(type(value).__name__, kind.__name__)
            )
        return value
