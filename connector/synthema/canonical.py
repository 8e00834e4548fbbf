"""One canonical form for everything that is hashed or signed.

JSON values use the JSON Canonicalization Scheme (RFC 8785). RDF that we mint
has no blank nodes, so its canonical form is its N-Quads lines sorted by bytes.
Foreign JSON is read strictly: no NaN, no duplicate keys, limits on size and depth.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import rfc8785

from synthema.errors import InputError

MAX_JSON_BYTES = 8 * 1024 * 1024
MAX_JSON_DEPTH = 64
_LARGEST_EXACT = 2**53 - 1
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True, check_circular=False)

# A text that is never closed is one match as well, so that the search takes one pass whatever is sent.
_BRACKETS = re.compile(r"""(?P<text>"(?:[^"\\]++|\\.)*+"?)|(?P<opening>[\[{])|(?P<closing>[\]}])""", re.DOTALL)


def canonical_json(value: Any) -> bytes:
    """The RFC 8785 bytes of a JSON value; raises :class:`InputError` where it has none."""
    try:
        return _plain_json(value) if _is_plain(value) else rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise InputError(
            f"this value has no canonical JSON form: {error}",
            fix="use only strings, booleans, null, finite numbers, lists and objects with string keys",
        ) from error


def _is_plain(value: Any) -> bool:
    """Whether the standard library writes a value as RFC 8785 does: no fractions, no keys that it sorts otherwise.

    Nearly all values are; the check and the fast encoder together take a third of the time of a full one.
    """
    kind = type(value)
    if kind is str:
        return True
    if kind is dict:
        return all(type(key) is str and key.isascii() for key in value) and all(map(_is_plain, value.values()))
    if kind is list:
        return all(map(_is_plain, value))
    if kind is int:
        return bool(-_LARGEST_EXACT <= value <= _LARGEST_EXACT)
    return value is None or kind is bool


def _plain_json(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value).encode()
    except UnicodeEncodeError:  # a lone surrogate: the full encoder says what is wrong
        return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """``sha256:<hex>`` over the canonical JSON of a value."""
    return digest_bytes(canonical_json(value))


def digest_bytes(data: bytes) -> str:
    """``sha256:<hex>`` over bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def digest_file(path: Path) -> str:
    """``sha256:<hex>`` over a file, read in blocks."""
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def digest_tree(root: Path, names: Iterable[str]) -> str:
    """One digest over named files below a folder: their names and their contents."""
    return digest({name: digest_file(root / name) for name in sorted(names)})


def sorted_nquads(lines: Iterable[str]) -> bytes:
    """Canonical bytes of blank-node-free N-Quads: unique lines in byte order, each ended by a newline."""
    unique = sorted({line.encode() for line in lines})
    if any(b"\n" in line or line.startswith(b"_:") or b" _:" in _outside_literals(line) for line in unique):
        raise InputError(
            "a provenance statement holds a line break or a blank node",
            fix="give every node an IRI and escape line breaks in literals",
        )
    return b"".join(line + b"\n" for line in unique)


def _outside_literals(line: bytes) -> bytes:
    """The line with the text of a literal cut out, so that words inside quotes are not read as nodes."""
    start = line.find(b' "')
    if start < 0:
        return line
    return line[:start] + line[line.rfind(b'"') :]


def parse_json_strictly(data: bytes, *, max_bytes: int = MAX_JSON_BYTES, max_depth: int = MAX_JSON_DEPTH) -> Any:
    """Read JSON from outside, refusing what two readers could understand differently.

    Raises :class:`InputError` on size, depth, duplicate keys, NaN or infinity,
    lone surrogates, NUL characters and any syntax error.
    """
    if len(data) > max_bytes:
        raise InputError(f"the message has {len(data)} bytes", fix=f"send at most {max_bytes} bytes")
    try:
        text = data.decode("utf-8")
        _check_depth(text, max_depth)
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
            parse_int=_integer,
            object_pairs_hook=_unique_keys,
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"not valid JSON: {error}", fix="send one JSON value in UTF-8") from error
    if "\\u" in text or "\x00" in text:
        _check_text(value)
    return value


def _check_depth(text: str, max_depth: int) -> None:
    if text.count("[") + text.count("{") <= max_depth:
        return  # most messages, at the speed of a search
    depth = 0
    for found in _BRACKETS.finditer(text):
        if found.lastgroup == "opening":
            depth += 1
            if depth > max_depth:
                raise InputError("the JSON is nested too deeply", fix=f"nest at most {max_depth} levels")
        elif found.lastgroup == "closing":
            depth -= 1


def _refuse_constant(name: str) -> NoReturn:
    raise InputError(f"{name} is not a JSON number", fix="send finite numbers only")


def _finite_float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise InputError(f"the number {text[:30]} is too large", fix="send finite numbers only")
    return value


def _integer(text: str) -> int | float:
    """A whole number as every JSON reader understands it: beyond 2⁵³ it is a double (RFC 8785, 3.2.2.3)."""
    if len(text) > 310:
        raise InputError("a number has too many digits", fix="send numbers that a double can hold")
    value = int(text)
    return value if abs(value) < 2**53 else _finite_float(text)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise InputError("an object names the same key twice", fix="name each key once")
    return value


def _check_text(value: Any) -> None:
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise InputError("a text holds NUL or half a character", fix="send complete Unicode characters without NUL")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)
