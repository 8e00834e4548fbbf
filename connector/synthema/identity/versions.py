"""Versions of a key: one purpose, one key at a time, and a while in which the old one is still believed.

A connector's first key for a purpose is named like the purpose (``assertion``);
later ones are numbered (``assertion-2``). The name is the fragment in the DID
document, so that every signature names the very key that made it:

* a new key is **published before it signs**, so that partners who keep our
  document for a while know it when the first signature arrives;
* a replaced key goes on to open what it signed: its proofs made before its end
  are good for ever, its tokens as long as tokens live;
* a stolen key opens nothing any more.

Source: Controlled Identifiers 1.0 §2.2 (``expires`` and ``revoked`` of a verification method).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, runtime_checkable

OVERLAP: Final = timedelta(minutes=15)
"""How long a replaced key is still believed: longer than any token lives, with the leeway of its reader."""

_NUMBERED: Final = re.compile(r"-[2-9]$|-[1-9][0-9]{1,3}$")


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One key of a purpose. It signs from ``begins`` (``None``: from the start) until ``ends`` (``None``: still)."""

    purpose: str
    name: str
    public_key: bytes
    begins: datetime | None = None
    ends: datetime | None = None
    revoked: bool = False

    def signs_at(self, moment: datetime) -> bool:
        """Whether it is the key to sign with."""
        begun = self.begins is None or self.begins <= moment
        return begun and not self.revoked and (self.ends is None or moment < self.ends)

    def authenticates_at(self, moment: datetime) -> bool:
        """Whether partners believe a token by it: also shortly before it signs, and for a while after its end."""
        return not self.revoked and (self.ends is None or moment < self.ends + OVERLAP)

    @property
    def expires(self) -> datetime | None:
        """When it ends for partners: no proof or token by it may say that it was made later."""
        return None if self.ends is None else self.ends if self.revoked else self.ends + OVERLAP


@runtime_checkable
class RotatingSigner(Protocol):
    """A signer whose keys have versions."""

    def current(self, purpose: str) -> str:
        """The name of the key that signs for a purpose now."""
        ...

    def versions(self, purpose: str) -> tuple[KeyVersion, ...]:
        """All keys of a purpose, the oldest first."""
        ...

    def now(self) -> datetime:
        """The moment by which the versions count."""
        ...


def current_key(signer: object, purpose: str) -> str:
    """The name of the key that signs for a purpose now; a signer without versions has one, named like the purpose."""
    return signer.current(purpose) if isinstance(signer, RotatingSigner) else purpose


def signing_method(signer: object, did: str, purpose: str = "assertion") -> str:
    """The verification method to put into a signature that is made now, e.g. ``did:web:a.example#assertion-2``."""
    return f"{did}#{current_key(signer, purpose)}"


def is_key_of(method: str, did: str, purpose: str = "assertion") -> bool:
    """Whether a verification method is a key of a party for this purpose, of whatever version."""
    owner, _, name = method.partition("#")
    return owner == did and name.startswith(purpose) and (name == purpose or _is_number(name[len(purpose) :]))


def purpose_of(name: str) -> str:
    """The purpose of a key by its name: ``assertion-2`` is one for ``assertion``."""
    return _NUMBERED.sub("", name)


def is_numbered(name: str, purposes: Collection[str]) -> bool:
    """Whether this is the name of a later key for one of the purposes."""
    return name not in purposes and purpose_of(name) in purposes


def _is_number(rest: str) -> bool:
    return _NUMBERED.fullmatch(rest) is not None
