"""How the arrays of a batch are placed in shared memory, and the messages that name them."""

import re
import struct
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np

from harness.boundary.channel import ProtocolError
from harness.job import Arrays, Job, TensorSpec
from harness.outputs.contract import host_dtype

ALIGNMENT = 64
#: Number of the batch, number of its layout, segment of its outputs, whether its phases are wanted, and with how many
#: others that are done it may wait.
SUBMIT_HEAD = struct.Struct("<QIIBB")
#: Segment and offset of one input.
PLACE = struct.Struct("<IQ")
#: Number of the batch, whether phases follow, and these in nanoseconds (-1: unknown).
DONE_BODY = struct.Struct("<QBqqq")
WAIT_BODY = struct.Struct("<Q")
#: Sequences to begin, the length of their prompts, and how many tokens each gets; numbers [n] and prompts [n, length]
#: follow.
ADD_HEAD = struct.Struct("<QQQ")
#: Elements of what follows ADD_HEAD, and of the pairs (number, id) that come back.
WHOLE_NUMBER = np.dtype("<i8")

_DTYPE = re.compile(r"[<>|=][biufc][0-9]{1,2}")
MOST_ARRAYS, MOST_AXES = 1024, 32


class ArrayLayout(NamedTuple):
    """One array: its dtype as numpy's text (``<f4``), and for outputs the bytes before it."""

    name: str
    dtype: str
    shape: Tuple[int, ...]
    offset: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def view(self, memory: Any, start: int = 0) -> np.ndarray:
        """The array in ``memory`` (a buffer), from byte ``start`` + ``offset``."""
        return np.ndarray(self.shape, np.dtype(self.dtype), memory, start + self.offset)


class BatchLayout(NamedTuple):
    """Inputs and outputs of a batch of ``rows`` items; ``size`` bytes hold the outputs."""

    number: int
    rows: int
    inputs: Tuple[ArrayLayout, ...]
    outputs: Tuple[ArrayLayout, ...]
    size: int

    def document(self) -> Dict[str, Any]:
        """As an object of JSON."""
        return {
            "number": self.number,
            "rows": self.rows,
            "size": self.size,
            "inputs": [list(one) for one in self.inputs],
            "outputs": [list(one) for one in self.outputs],
        }


def read_layout(document: Dict[str, Any]) -> BatchLayout:
    """The layout from its object; ProtocolError for one that is not valid."""
    try:
        inputs = tuple(_array(one) for one in document["inputs"][:MOST_ARRAYS])
        outputs = tuple(_array(one) for one in document["outputs"][:MOST_ARRAYS])
        return BatchLayout(
            int(document["number"]),
            int(document["rows"]),
            inputs,
            outputs,
            int(document["size"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError("not a layout: {}".format(type(error).__name__)) from error


def _array(entry: Sequence[Any]) -> ArrayLayout:
    name, dtype, shape, offset = entry
    if not _DTYPE.fullmatch(dtype):
        raise ValueError(dtype)
    if len(shape) > MOST_AXES or min(list(shape) + [0]) < 0 or offset < 0:
        raise ValueError("shape or offset")
    return ArrayLayout(str(name), dtype, tuple(int(axis) for axis in shape), int(offset))


def layout_of(job: Job, inputs: Arrays, number: int, rows: int) -> BatchLayout:
    """The layout of a batch with these inputs, and the outputs that job.json declares for ``rows`` items."""
    given = tuple(ArrayLayout(name, array.dtype.str, array.shape) for name, array in inputs.items())
    outputs: List[ArrayLayout] = []
    size = 0
    for spec in job.outputs:
        one = _declared(spec, rows, size)
        outputs.append(one)
        size += -(-one.nbytes // ALIGNMENT) * ALIGNMENT
    return BatchLayout(number, rows, given, tuple(outputs), size)


def _declared(spec: TensorSpec, rows: int, offset: int) -> ArrayLayout:
    shape = ((rows * spec.rows_per_item,) if spec.batched else ()) + tuple(spec.shape)
    return ArrayLayout(spec.name, np.dtype(host_dtype(spec.dtype)).str, shape, offset)


def add_body(numbers: Sequence[int], prompts: np.ndarray, tokens: int) -> bytes:
    """The message that begins sequences: see Engine.add."""
    head = ADD_HEAD.pack(len(numbers), prompts.shape[1], tokens)
    named = np.asarray(numbers, WHOLE_NUMBER)
    return head + named.tobytes() + prompts.astype(WHOLE_NUMBER, copy=False).tobytes()


def read_add(body: bytes) -> Tuple[List[int], np.ndarray, int]:
    """What add_body packed: numbers, prompts [n, length], tokens."""
    count, length, tokens = ADD_HEAD.unpack_from(body)
    found = np.frombuffer(body, WHOLE_NUMBER, offset=ADD_HEAD.size)
    return found[:count].tolist(), found[count:].reshape(count, length), tokens


def tokens_body(pairs: Sequence[Tuple[int, int]]) -> bytes:
    """The message with the ids of a step: see Engine.advance."""
    return np.asarray(pairs, WHOLE_NUMBER).tobytes()


def read_tokens(body: bytes) -> List[Tuple[int, int]]:
    """What tokens_body packed. Raises ProtocolError for another length."""
    if not body or len(body) % (2 * WHOLE_NUMBER.itemsize):
        raise ProtocolError("{} bytes of tokens".format(len(body)))
    pairs = np.frombuffer(body, WHOLE_NUMBER).reshape(-1, 2).tolist()
    return [(number, token) for number, token in pairs]
