"""Messages between the harness and the engine's process: framed, bounded, and no nonsense taken."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness.modules import channel, layout

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[tuple[Any, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield channel.Channel(ours), theirs


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
def test_a_message_of_any_size_arrives_whole(ends: tuple[Any, socket.socket], size: int) -> None:
    receiver, theirs = ends
    body = os.urandom(size)
    sender = threading.Thread(target=channel.Channel(theirs).send, args=(channel.SUBMIT, body))
    sender.start()
    assert receiver.receive() == (channel.SUBMIT, body)
    sender.join()


def test_messages_that_arrive_together_or_in_pieces_are_told_apart(
    ends: tuple[Any, socket.socket],
) -> None:
    receiver, theirs = ends
    stream = b"".join(channel.HEADER.pack(kind, 3) + b"abc" for kind in (1, 2, 3))
    theirs.sendall(stream[:15])
    assert receiver.receive() == (1, b"abc")
    threading.Timer(0.05, theirs.sendall, (stream[15:],)).start()
    assert [receiver.receive(), receiver.receive()] == [(2, b"abc"), (3, b"abc")]


def test_the_end_of_the_other_side_is_an_error_of_its_own(ends: tuple[Any, socket.socket]) -> None:
    receiver, theirs = ends
    theirs.sendall(channel.HEADER.pack(1, 100) + b"cut short")
    theirs.close()
    with pytest.raises(channel.ClosedError):
        receiver.receive()


def test_a_message_that_would_fill_the_memory_is_not_read(ends: tuple[Any, socket.socket]) -> None:
    receiver, theirs = ends
    theirs.sendall(channel.HEADER.pack(1, channel.LARGEST_BODY + 1))
    with pytest.raises(channel.ProtocolError):
        receiver.receive()


@pytest.mark.parametrize(
    "body",
    [b"", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"a": }', b" " * (channel.LARGEST_JSON + 1)],
    ids=["empty", "no object", "no text", "too deep", "broken", "too large"],
)
def test_what_is_no_object_of_json_is_refused(body: bytes) -> None:
    with pytest.raises(channel.ProtocolError):
        channel.parsed(body)


@pytest.mark.parametrize(
    "change",
    [
        {"number": "one"},
        {"inputs": [["x", "O", [1], 0]]},
        {"inputs": [["x", "<f4", [-1], 0]]},
        {"outputs": [["x", "<f4", [1], -8]]},
        {"outputs": [["x", "<f4", [1] * 33, 0]]},
        {"size": None},
    ],
)
def test_a_layout_that_is_not_valid_is_refused(change: dict[str, Any]) -> None:
    valid = {"number": 0, "rows": 1, "size": 64, "inputs": [], "outputs": []}
    assert layout.read_layout(json.loads(json.dumps(valid))).rows == 1
    with pytest.raises(channel.ProtocolError):
        layout.read_layout({**valid, **change})


def test_the_numbers_of_a_message_have_the_same_size_on_every_machine() -> None:
    sizes = [
        packed.size
        for packed in (layout.SUBMIT_HEAD, layout.PLACE, layout.DONE_BODY, channel.HEADER)
    ]
    assert sizes == [18, 12, 33, 8]
    assert struct.calcsize(layout.WAIT_BODY.format) == 8


def test_posted_messages_leave_together_and_before_one_that_is_sent(
    ends: tuple[Any, socket.socket],
) -> None:
    sender, theirs = ends
    receiver = channel.Channel(theirs)
    sender.post(1, b"a")
    sender.post(2, b"b")
    assert not receiver.at_hand()
    sender.send(3, b"c")
    assert sender.posted == 0
    assert [receiver.receive() for _ in range(3)] == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert not receiver.at_hand()


def test_a_message_or_the_end_is_at_hand_and_half_a_head_is_not(
    ends: tuple[Any, socket.socket],
) -> None:
    receiver, theirs = ends
    assert not receiver.at_hand()
    theirs.sendall(channel.HEADER.pack(1, 0)[:5])
    assert not receiver.at_hand()
    theirs.sendall(channel.HEADER.pack(1, 0)[5:])
    assert receiver.at_hand()
    assert receiver.receive() == (1, b"")
    theirs.close()
    assert receiver.at_hand()
    with pytest.raises(channel.ClosedError):
        receiver.receive()
