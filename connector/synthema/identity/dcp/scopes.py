"""Scopes: which credentials somebody may ask for, e.g. ``org.eclipse.dspace.dcp.vc.type:MembershipCredential:read``.

The protocol writes two parts, alias and discriminator; common connectors and
the conformance kit write a third, the right. Both are read; the only right is to read.

Source: Decentralized Claims Protocol 1.0.1, Verifiable Presentation Protocol, "Scopes".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from synthema.errors import InputError

BY_TYPE: Final = "org.eclipse.dspace.dcp.vc.type"
BY_ID: Final = "org.eclipse.dspace.dcp.vc.id"
READ: Final = "read"
_RIGHTS: Final = frozenset({READ, "*", "all"})


@dataclass(frozen=True, slots=True)
class Scope:
    """Credentials of one type, or the one credential with an id."""

    by: Literal["type", "id"]
    value: str

    def __str__(self) -> str:
        return f"{BY_TYPE if self.by == 'type' else BY_ID}:{self.value}:{READ}"


def read_scope(text: str) -> Scope:
    """The scope in a text of two or three parts; raises :class:`InputError` for anything else.

    An id may hold colons itself (``urn:uuid:…``), so only its last part is looked at for a right.
    """
    alias, _, rest = text.partition(":")
    if alias not in (BY_TYPE, BY_ID) or not rest or len(text) > 1024:
        raise _unknown(text)
    value, _, right = rest.rpartition(":")
    if right not in _RIGHTS or not value:
        value = rest
    if alias == BY_TYPE:
        if ":" in value:
            raise _unknown(text)
        return Scope("type", value)
    return Scope("id", value)


def of_type(type_: str) -> Scope:
    """The scope that lets somebody read the credentials of a type."""
    return Scope("type", type_)


def _unknown(text: str) -> InputError:
    return InputError(
        f"'{text[:120]}' is not a scope that is known here",
        fix=f"write it like {BY_TYPE}:MembershipCredential or {BY_ID}:<id of the credential>",
    )
