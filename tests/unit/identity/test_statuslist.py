from __future__ import annotations

import gzip
from typing import Any

import pytest

from synthema.errors import InputError
from synthema.identity import StatusList, status_entry
from synthema.identity.multibase import encode_base64url
from synthema.identity.statuslist import MAX_SIZE, MINIMUM_SIZE, is_set


def test_the_first_bit_is_the_highest_of_the_first_byte() -> None:
    bits = StatusList()
    bits.set(0, True)
    bits.set(9, True)
    raw = gzip.decompress(_decoded(bits.encode()))
    assert raw[:2] == bytes([0x80, 0x40])
    assert len(raw) == 16 * 1024


def test_the_same_bits_give_the_same_text_and_come_back() -> None:
    bits = StatusList()
    for index in (1, 77, MINIMUM_SIZE - 1):
        bits.set(index, True)
    again = StatusList.decode(bits.encode())
    assert again == bits
    assert again.encode() == bits.encode()
    again.set(77, False)
    assert not again.get(77)
    assert again.get(1)
    assert again != bits
    assert len(again) == MINIMUM_SIZE


@pytest.mark.parametrize("index", [-1, MINIMUM_SIZE, True])
def test_an_index_outside_the_list_is_refused(index: int) -> None:
    with pytest.raises(InputError):
        StatusList().get(index)


@pytest.mark.parametrize("size", [8, MINIMUM_SIZE + 1, MAX_SIZE * 2])
def test_a_list_has_room_for_a_crowd_but_not_for_everything(size: int) -> None:
    with pytest.raises(InputError):
        StatusList(size)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no gzip",
        gzip.compress(bytes(10), mtime=0),
        gzip.compress(bytes(MAX_SIZE), mtime=0),
        gzip.compress(bytes(16384), mtime=0)[:-5],
        gzip.compress(bytes(16384), mtime=0) + b"more",
    ],
)
def test_a_broken_or_exploding_list_is_refused(raw: bytes) -> None:
    with pytest.raises(InputError):
        StatusList.decode("u" + encode_base64url(raw))


def test_a_list_without_its_multibase_letter_is_refused() -> None:
    with pytest.raises(InputError):
        StatusList.decode(StatusList().encode()[1:])


@pytest.mark.parametrize("index", ["-1", "1.0", "", " 1", "٣", "9" * 10, 1])
def test_a_malformed_entry_is_refused(index: Any) -> None:
    url = "https://hospital.example/status/1"
    subject = {"type": "BitstringStatusList", "statusPurpose": "revocation", "encodedList": StatusList().encode()}
    listed = {"id": url, "type": ["BitstringStatusListCredential"], "credentialSubject": subject}
    entry = status_entry(url, 0, "revocation")
    assert not is_set(entry, listed)
    with pytest.raises(InputError):
        is_set(entry | {"statusListIndex": index}, listed)


def _decoded(text: str) -> bytes:
    from synthema.identity.multibase import decode_base64url

    return decode_base64url(text[1:])
