"""Messages between the harness and the engine's process: a kind, a length, a body; nothing is unpickled."""

import array
import json
import socket
import struct
from typing import Any, Dict, List, Tuple

HEADER = struct.Struct("<II")
#: As many samples as the driver accepts in a file, and room for names.
LARGEST_BODY = (512 << 20) + (1 << 20)
LARGEST_JSON = 16 << 20
RECEIVED_AT_ONCE = 1 << 16

# Kinds. From the harness: CALL asks a method of the engine, SUBMIT and WAIT run batches, ADD begins sequences.
CALL, LAYOUT, SEGMENT, DROP, SUBMIT, WAIT, PING, ADD = range(1, 9)
# From the engine's process: ANSWER to a CALL, DONE for a batch, TOKENS of sequences, FAILED for any of them.
ANSWER, SAMPLES, DONE, FAILED, PONG, TOKENS = range(16, 22)


class ClosedError(Exception):
    """The other end is gone."""


class ProtocolError(Exception):
    """The other end sent what no message looks like."""


class Channel:
    """One end of a stream socket. Reading blocks; a message that is too large is refused unread.

    Posted messages leave together, with the next flush: each time the other end wakes up costs both of them more
    than all else that a message does.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = b""
        self._posted: List[bytes] = []

    @property
    def posted(self) -> int:
        """Messages that wait for a flush."""
        return len(self._posted)

    def post(self, kind: int, body: bytes) -> None:
        """Let one message wait for the next flush."""
        self._posted.append(HEADER.pack(kind, len(body)) + body)

    def flush(self) -> None:
        """Send what was posted; ClosedError where nobody reads any more."""
        if not self._posted:
            return
        together = b"".join(self._posted)
        self._posted.clear()
        try:
            self._socket.sendall(together)
        except OSError as error:
            raise ClosedError(str(error)) from error

    def send(self, kind: int, body: bytes = b"") -> None:
        """Send one message, after those that were posted; ClosedError where nobody reads any more."""
        self.post(kind, body)
        self.flush()

    def send_json(self, kind: int, document: Dict[str, Any]) -> None:
        """Send an object of JSON; ValueError for NaN and Inf."""
        self.send(kind, json.dumps(document, allow_nan=False).encode("utf-8"))

    def receive(self) -> Tuple[int, bytes]:
        """Return (kind, body) of the next message; ClosedError at the end, ProtocolError for nonsense."""
        self._fill(HEADER.size)
        kind, length = HEADER.unpack_from(self._received)
        if length > LARGEST_BODY:
            raise ProtocolError("a message of {} bytes".format(length))
        end = HEADER.size + length
        self._fill(end)
        body = self._received[HEADER.size : end]
        self._received = self._received[end:]
        return kind, body

    def at_hand(self) -> bool:
        """Whether ``receive`` would return or raise without a wait for the other end."""
        if len(self._received) >= HEADER.size:
            return True
        try:
            part = self._socket.recv(RECEIVED_AT_ONCE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True  # receive says what is wrong
        self._received += part
        return not part or len(self._received) >= HEADER.size

    def limit(self, seconds: float) -> None:
        """Wait at most this long for each part of a message from now on."""
        self._socket.settimeout(seconds)

    def shut(self) -> None:
        """End both directions, so that whoever waits here wakes up."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it was shut already

    def _fill(self, wanted: int) -> None:
        if len(self._received) >= wanted:
            return
        parts, held = [self._received], len(self._received)
        while held < wanted:
            try:
                part = self._socket.recv(max(RECEIVED_AT_ONCE, min(wanted - held, 1 << 24)))
            except OSError as error:
                raise ClosedError(str(error)) from error
            if not part:
                raise ClosedError("end of the stream")
            parts.append(part)
            held += len(part)
        self._received = b"".join(parts)


def parsed(body: bytes) -> Dict[str, Any]:
    """An object of JSON from a message; ProtocolError for anything else."""
    if len(body) > LARGEST_JSON:
        raise ProtocolError("{} bytes of JSON".format(len(body)))
    try:
        document = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not JSON: {}".format(type(error).__name__)) from error
    if not isinstance(document, dict):
        raise ProtocolError("JSON, but no object")
    return document


def send_descriptor(connection: socket.socket, descriptor: int) -> None:
    """Hand over a file descriptor; ClosedError where nobody is there."""
    numbers = array.array("i", [descriptor])
    try:
        connection.sendmsg([b"d"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)])
    except OSError as error:
        raise ClosedError(str(error)) from error


def receive_descriptor(connection: socket.socket) -> int:
    """Take a file descriptor; ClosedError at the end."""
    numbers = array.array("i")
    _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(numbers.itemsize))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: numbers.itemsize])
            return numbers[0]
    raise ClosedError("no descriptor came")
