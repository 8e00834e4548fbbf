"""Typed identifiers: ``<kind>-<32 hex digits>``, sortable by time of making.

The kind is part of the value, so an id of one kind is never taken for another
(a known framework once matched the *name* "13" against the *id* 13). Ids are
random enough to be unguessable and are never reused.
"""

from __future__ import annotations

import re
import secrets
import time

from synthema.errors import InputError

_SHAPE = re.compile(r"^(?P<kind>[a-z][a-z0-9]*)-(?P<value>[0-9a-f]{32})$")


def new_id(kind: str) -> str:
    """A fresh id of this kind: 48 bits of milliseconds, then 80 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{kind}-{milliseconds:012x}{secrets.token_hex(10)}"


def kind_of(identifier: str) -> str:
    """The kind an id was made for; raises :class:`InputError` on any other text."""
    match = _SHAPE.match(identifier)
    if match is None:
        raise InputError(
            f"'{identifier[:80]}' is not an identifier",
            fix="give an identifier as the connector printed it, e.g. run-0192…",
        )
    return match["kind"]


def require_id(kind: str, identifier: str) -> str:
    """Return the id unchanged if it is one of this kind, else raise :class:`InputError`."""
    found = kind_of(identifier)
    if found != kind:
        raise InputError(
            f"expected a {kind} identifier, got one of kind {found}",
            fix=f"give an identifier that starts with '{kind}-'",
        )
    return identifier
