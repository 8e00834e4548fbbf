"""Frames arrive as they were sent or not at all."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema.federation.flare.synthema_relay.frames import MAGIC, FrameError, join, receive, send, split

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    one, other = socket.socketpair()
    with one, other:
        one.settimeout(5)
        other.settimeout(5)
        yield one, other


@pytest.mark.parametrize("payload", [b"", b"x", bytes(5_000_000)])
def test_a_frame_arrives_as_it_was_sent(pair: Pair, payload: bytes) -> None:
    sender = threading.Thread(target=send, args=(pair[0], {"ask": "work", "ε": 1}, payload))
    sender.start()
    assert receive(pair[1]) == ({"ask": "work", "ε": 1}, payload)
    sender.join()


def test_a_frame_larger_than_agreed_is_neither_sent_nor_read(pair: Pair) -> None:
    with pytest.raises(FrameError, match="larger than the 10"):
        send(pair[0], {}, bytes(11), most=10)
    pair[0].sendall(struct.pack(">4sIQ32s", MAGIC, 2, 1 << 62, bytes(32)))
    with pytest.raises(FrameError, match="larger than"):
        receive(pair[1])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"HTTP" + bytes(44), "not a frame"),
        (struct.pack(">4sIQ32s", MAGIC, 2, 0, bytes(32)) + b"{}", "digest"),
        (b"SYN1", "ended within"),
    ],
)
def test_anything_else_is_no_frame(pair: Pair, data: bytes, problem: str) -> None:
    pair[0].sendall(data)
    pair[0].shutdown(socket.SHUT_WR)
    with pytest.raises(FrameError, match=problem):
        receive(pair[1])


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_parcels_put_together_come_apart_again(parcels: list[bytes]) -> None:
    assert split(join(parcels)) == parcels


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=5), st.integers(1, 20))
def test_parcels_cut_short_are_refused(parcels: list[bytes], cut: int) -> None:
    data = join(parcels)[:-cut]
    try:
        found = split(data)
    except FrameError:
        return
    assert found == parcels[: len(found)]
    assert len(found) < len(parcels)
