"""Canonical forms and strict reading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema.canonical import (
    canonical_json,
    digest,
    digest_bytes,
    digest_file,
    digest_tree,
    parse_json_strictly,
    sorted_nquads,
)
from synthema.errors import InputError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_canonical_json_is_read_back_unchanged_and_is_a_fixed_point(value: object) -> None:
    text = canonical_json(value)
    assert parse_json_strictly(text) == value
    assert canonical_json(parse_json_strictly(text)) == text


@given(st.dictionaries(st.text(max_size=5), st.integers(-1000, 1000), max_size=6))
def test_order_of_keys_does_not_change_a_digest(value: dict[str, int]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'"\\ud800"',
        b'["\\u0000"]',
        b"[" * 200 + b"]" * 200,
        b"[" * 100_000,
        b"\xff",
        b"",
        b"{",
        b"[1,]",
    ],
)
def test_ambiguous_or_hostile_json_is_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        parse_json_strictly(text)


def test_size_is_bounded() -> None:
    with pytest.raises(InputError, match="bytes"):
        parse_json_strictly(b'"' + b"a" * 100 + b'"', max_bytes=50)


def test_brackets_inside_text_do_not_count_as_depth() -> None:
    assert parse_json_strictly(json.dumps("[" * 500 + '"' + "\\").encode()) == "[" * 500 + '"' + "\\"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: "a"}, {"a": object()}])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(InputError):
        canonical_json(value)


def test_nquads_are_sorted_unique_and_end_with_a_newline() -> None:
    assert sorted_nquads(["<b:1> <p:1> <o:1> .", "<a:1> <p:1> <o:1> .", "<b:1> <p:1> <o:1> ."]) == (
        b"<a:1> <p:1> <o:1> .\n<b:1> <p:1> <o:1> .\n"
    )


@pytest.mark.parametrize("line", ["_:b <p:1> <o:1> .", "<a:1> <p:1> _:b .", "<a:1> <p:1>\n<o:1> ."])
def test_blank_nodes_and_line_breaks_are_refused(line: str) -> None:
    with pytest.raises(InputError):
        sorted_nquads([line])


def test_a_literal_may_look_like_a_blank_node() -> None:
    assert b"_:x" in sorted_nquads(['<a:1> <p:1> "see _:x there" <g:1> .'])


def test_digests_of_files_and_trees_see_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    assert digest_file(tmp_path / "a") == digest_bytes(b"one")
    before = digest_tree(tmp_path, ["b", "a"])
    assert before == digest_tree(tmp_path, ["a", "b"])
    (tmp_path / "a").rename(tmp_path / "c")
    assert digest_tree(tmp_path, ["c", "b"]) != before
