"""Ranges of bytes as RFC 9110 has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema.dataspace.dataplane.ranges import (
    PIECE,
    Span,
    UnsatisfiableError,
    asked_span,
    etag,
    given_span,
    pieces,
    size_of,
)

TAG = etag("sha256:" + "0" * 64)


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=90-", 90, 99),
        ("bytes=90-4000", 90, 99),
        ("bytes=-10", 90, 99),
        ("bytes=-4000", 0, 99),
        ("BYTES = 5 - 5", 5, 5),
    ],
)
def test_one_range_is_understood(header: str, first: int, last: int) -> None:
    assert asked_span(header, None, TAG, 100) == Span(first, last, 100)


@pytest.mark.parametrize("header", [None, "bytes=0-1,5-6", "bytes=9-3", "bytes=-", "rows=0-9", "bytes=a-b", "bytes"])
def test_what_is_not_one_range_of_bytes_gets_the_whole(header: str | None) -> None:
    assert asked_span(header, None, TAG, 100) is None


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=4000-5000", "bytes=-0"])
def test_a_range_behind_the_end_cannot_be_satisfied(header: str) -> None:
    with pytest.raises(UnsatisfiableError) as caught:
        asked_span(header, None, TAG, 100)
    assert caught.value.size == 100


def test_a_part_of_other_bytes_is_the_whole_of_the_present_ones() -> None:
    assert asked_span("bytes=50-", TAG, TAG, 100) == Span(50, 99, 100)
    assert asked_span("bytes=50-", '"sha256:other"', TAG, 100) is None
    assert asked_span("bytes=50-", f"W/{TAG}", TAG, 100) is None  # a weak tag never matches here


def test_nothing_has_no_parts() -> None:
    assert asked_span("bytes=0-", None, TAG, 0) is None
    assert list(pieces(b"", Span(0, -1, 0))) == []


@pytest.mark.parametrize("text", [None, "", "bytes 0-9", "bytes 5-3/10", "bytes 0-10/10", "bytes 0-9/*", "rows 0-9/10"])
def test_an_answer_that_says_no_span_gives_none(text: str | None) -> None:
    assert given_span(text) is None


@given(size=st.integers(1, 10**6), first=st.integers(0, 10**6), length=st.integers(1, 10**6))
def test_what_is_sent_is_what_was_asked_for(size: int, first: int, length: int) -> None:
    if first >= size:
        return
    span = asked_span(f"bytes={first}-{first + length - 1}", None, TAG, size)
    assert span is not None
    assert (span.first, span.length) == (first, min(length, size - first))
    assert given_span(span.content_range) == span


def test_bytes_and_files_give_the_same_pieces(tmp_path: Path) -> None:
    content = bytes(range(256)) * (PIECE // 100)
    file = tmp_path / "content"
    file.write_bytes(content)
    span = Span(17, len(content) - 9, len(content))
    assert list(pieces(content, span)) == list(pieces(file, span))
    assert b"".join(pieces(file, span)) == content[17:-8]
    assert size_of(file) == size_of(content) == len(content)
