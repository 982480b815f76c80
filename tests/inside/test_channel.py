"""Messages and streams between the harness and a keeper: whole, or an error."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.inside.channel import LARGE, Channel, CutShort
from harness.inside.errors import StreamCut
from harness.verify.testing.strategies import file_names

MESSAGES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | file_names().map(os.fsdecode),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PIECES = st.lists(st.binary(max_size=20) | st.just(b"large" * LARGE), max_size=5)


def sender() -> tuple[Channel, io.BytesIO]:
    """A channel, and what it has sent."""
    sent = io.BytesIO()
    return Channel(lambda size: b"", sent.write), sent


def receiver(data: bytes, *, at_most: int = 7) -> Channel:
    """A channel at the other end of a stream of these bytes, which come so many at a time."""
    source = io.BytesIO(data)
    return Channel(
        source.read, lambda data: None, read_some=lambda size: source.read(min(size, at_most))
    )


def stream(pieces: list[bytes]) -> bytes:
    channel, sent = sender()
    channel.send_pieces(pieces)
    return sent.getvalue()


@settings(deadline=None)
@given(st.lists(MESSAGES, max_size=3))
def test_messages_arrive_in_order(messages: list[object]) -> None:
    """File names of every kind in them, and after the last one there is none."""
    channel, sent = sender()
    for message in messages:
        channel.send(message)
    other = receiver(sent.getvalue())
    assert [other.receive() for _ in messages] == messages
    assert other.receive() is None


@settings(deadline=None)
@given(PIECES, MESSAGES, st.integers(1, 2 * LARGE))
def test_a_stream_ends_where_the_next_message_begins(
    pieces: list[bytes], message: object, at_most: int
) -> None:
    """Its pieces arrive whole, or as the bytes come; an empty one does not end it."""
    channel, sent = sender()
    channel.send_pieces(pieces)
    channel.send(message)
    other = receiver(sent.getvalue())
    assert list(other.receive_pieces()) == [piece for piece in pieces if piece]
    assert other.receive() == message
    other = receiver(sent.getvalue(), at_most=at_most)
    assert b"".join(other.receive_pieces(whole=False)) == b"".join(pieces)
    assert other.receive() == message


@settings(deadline=None)
@given(PIECES, st.booleans(), st.data())
def test_a_stream_that_is_cut_anywhere_is_an_error(
    pieces: list[bytes], whole: bool, data: st.DataObject
) -> None:
    """Between two pieces too."""
    sent = stream(pieces)
    part = sent[: data.draw(st.integers(0, len(sent) - 1))]
    with pytest.raises(StreamCut):
        list(receiver(part, at_most=LARGE).receive_pieces(whole=whole))


@settings(deadline=None)
@given(MESSAGES, st.data())
def test_a_message_that_is_cut_anywhere_is_an_error(message: object, data: st.DataObject) -> None:
    """Only before its first byte there is simply none."""
    channel, sent = sender()
    channel.send(message)
    whole = sent.getvalue()
    part = whole[: data.draw(st.integers(1, len(whole) - 1))]
    with pytest.raises(StreamCut):
        receiver(part).receive()


def test_a_sender_that_fails_says_so_and_the_next_message_is_understood() -> None:
    """The error goes on at its own end, as a cause; the other end learns that the stream was
    cut.
    """

    def pieces() -> Iterator[bytes]:
        yield b"first"
        raise ZeroDivisionError

    channel, sent = sender()
    with pytest.raises(CutShort) as cut:
        channel.send_pieces(pieces())
    assert isinstance(cut.value.__cause__, ZeroDivisionError)
    channel.send("next")
    other = receiver(sent.getvalue())
    received = other.receive_pieces()
    assert next(received) == b"first"
    with pytest.raises(StreamCut, match="could not finish"):
        next(received)
    assert other.receive() == "next"


def test_an_interrupted_sender_says_nothing_more() -> None:
    """It may have been stopped in the middle of a piece, of which anything that follows would be
    taken for the rest.
    """
    sent = bytearray()

    def write(data: bytes) -> None:
        sent.extend(data[:3])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Channel(lambda size: b"", write).send_pieces([b"first", b"second"])
    assert len(sent) == 3
