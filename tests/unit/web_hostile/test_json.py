"""Foreign JSON is read in one way or not at all, at every address that takes it."""

from __future__ import annotations

import json
import socket
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema import canonical
from synthema.canonical import MAX_JSON_BYTES, MAX_JSON_DEPTH, parse_json_strictly
from synthema.dataspace.messages import CONTEXT
from synthema.errors import InputError
from synthema.web.openapi import PUBLIC
from tests.unit.web_hostile.live import Live

JSON: Final = {"content-type": "application/json"}
TAKES_JSON: Final = [
    each for each in PUBLIC
    if each.method == "POST" and each.body is not None and each.media_type == "application/json"
    and (not each.roles or "site" in each.roles)
]  # fmt: skip

TWO_READINGS: Final = {
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a number beyond a double": b'{"a": 1e999}',
    "digits without end": b'{"a": ' + b"9" * 100_000 + b"}",
    "one key twice": b'{"@type": "A", "@type": "B"}',
    "one key twice, once escaped": b'{"a": 1, "\\u0061": 2}',
    "one key twice, deep inside": b'{"a": [{"b": {"c": 1, "c": 2}}]}',
    "half a character": b'{"a": "\\ud83d"}',
    "half a character as key": b'{"\\udc00": 1}',
    "NUL": b'{"a": "x\\u0000y"}',
    "a mark before the text": b'\xef\xbb\xbf{"a": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "overlong UTF-8": b'{"a": "\xc0\xaf"}',
    "surrogates in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "two values": b"{}{}",
    "words after it": b"{} x",
    "a comment": b'{"a": 1 /* x */}',
    "a trailing comma": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "a raw line break in a text": b'{"a": "x\ny"}',
    "too deep": b'{"a":' * (MAX_JSON_DEPTH + 1) + b"1" + b"}" * (MAX_JSON_DEPTH + 1),
    "deep arrays": b"[" * 100_000,
    "nothing": b"",
    "cut off": b'{"a": "',
}


@pytest.mark.parametrize("name", TWO_READINGS)
def test_what_can_be_read_in_two_ways_is_refused_everywhere(site: Live, name: str) -> None:
    assert len(TAKES_JSON) > 18
    for operation in TAKES_JSON:
        path = operation.path.replace("{", "").replace("}", "")
        answer = site.ask("POST", path, content=TWO_READINGS[name], headers=JSON)
        assert answer.status_code == 400, (operation.path, answer.text)
        assert answer.headers["content-type"] == "application/json"
    inside = site.inside("POST", "/management/log/size", content=TWO_READINGS[name], headers=JSON)
    assert (inside.status_code, inside.json()["code"]) == (400, "input")


@pytest.mark.parametrize(
    ("operation", "value"),
    [
        ("log/entries", {"after": "1"}),
        ("log/entries", {"after": True}),
        ("log/entries", {"after": 1.5}),
        ("log/entries", {"limit": [10]}),
        ("people/register", {"roles": "dpo", "public_key": "00"}),
        ("budget/history", {"budget": 5}),
        ("obligation/list", {"everything": "yes"}),
        ("log/size", {"unknown": 1}),
        ("log/size", []),
        ("log/size", None),
        ("log/size", "{}"),
    ],
)
def test_nothing_is_coerced_for_the_house_either(site: Live, operation: str, value: Any) -> None:
    answer = site.inside("POST", f"/management/{operation}", content=json.dumps(value), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (400, "input")


@pytest.mark.parametrize("media_type", ["", "text/plain", "text/json", "application/xml", "application/jsonx", "json"])
def test_json_comes_as_json(site: Live, media_type: str) -> None:
    answer = site.ask("POST", "/dsp/catalog/request", content=b"{}", headers={"content-type": media_type})
    assert (answer.status_code, answer.json()["@type"]) == (400, "CatalogError")


@pytest.mark.parametrize(
    "context",
    [
        "https://w3id.org/dspace/2025/1/context.jsonld",
        ["http://127.0.0.1:1/context.jsonld"],
        [{"@import": "http://127.0.0.1:1/context.jsonld"}],
        [{"@vocab": "http://evil.example/"}],
        {"@context": "https://w3id.org/dspace/2025/1/context.jsonld"},
        None,
    ],
)
def test_only_the_protocols_own_context_is_understood_and_none_is_fetched(site: Live, context: Any) -> None:
    message = {"@context": context, "@type": "CatalogRequestMessage"}
    assert site.ask("POST", "/dsp/catalog/request", json=message).status_code == 400


def test_a_foreign_context_beside_the_protocols_own_is_not_fetched(site: Live) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        foreign = f"http://127.0.0.1:{listening.getsockname()[1]}/context.jsonld"
        message = {"@context": [CONTEXT, foreign], "@type": "CatalogRequestMessage"}
        assert site.ask("POST", "/dsp/catalog/request", json=message).status_code == 200
        with pytest.raises(BlockingIOError):
            listening.accept()


# the depth of a text --------------------------------------------------------------------------------------------------


def depth_by_hand(text: str) -> int:
    """How deep a text nests, character by character."""
    deepest = depth = 0
    inside = escaped = False
    for character in text:
        if inside:
            inside = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='[]{}"\\a,: \n', max_size=60), st.integers(1, 6))
def test_depth_is_judged_as_by_hand(text: str, most: int) -> None:
    if depth_by_hand(text) > most:
        with pytest.raises(InputError):
            canonical._check_depth(text, most)
    else:
        canonical._check_depth(text, most)


@pytest.mark.parametrize("piece", ['"', '\\"', "[]", '["', "{}", '"\\', "\\"])
def test_long_texts_are_judged_in_one_pass(piece: str) -> None:
    """Would take hours if the search began anew at each quotation mark."""
    text = piece * (2 * 1024 * 1024 // len(piece))
    with pytest.raises(InputError):
        parse_json_strictly(("[" * 70 + "]" * 70 + text).encode(), max_bytes=MAX_JSON_BYTES)
    with pytest.raises(InputError):
        parse_json_strictly(("[]" * 70 + text).encode(), max_bytes=MAX_JSON_BYTES)
