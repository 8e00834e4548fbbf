"""Whom a connector deals with: the partners of its settings, and the members of the data space it has joined.

One book for the whole connector. It is read as a mapping from DID to partner
that is always up to date: a member that joins is known to every part at once,
and one that is suspended is unknown at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Generic, TypeVar

from synthema.config import Peer

V = TypeVar("V")


class Parties(Mapping[str, Peer]):
    """Partners by their DID. Reading takes no lock: the whole book is replaced, never changed.

    What two operators agreed by hand (the settings) goes before what a members'
    list says of the same party, unless the list bars it.
    """

    def __init__(self, configured: Iterable[Peer], origins: Mapping[str, str] | None = None) -> None:
        """``origins`` are addresses of parties whose signatures are read, and who are no partners (DID to address)."""
        self._configured = {peer.did: peer for peer in configured}
        self._others = dict(origins or {})
        self._joined: dict[str, str] = {}
        self._book = dict(self._configured)

    def follow(self, members: Iterable[Peer], barred: Collection[str], origins: Mapping[str, str]) -> None:
        """Deal with these members from now on and not with the barred; ``origins`` are those of their authorities."""
        book = {peer.did: peer for peer in members} | self._configured
        self._joined = dict(origins)
        self._book = {did: peer for did, peer in book.items() if did not in barred}

    def is_configured(self, did: str) -> bool:
        """Whether this partner stands in the settings."""
        return did in self._configured

    @property
    def origins(self) -> Mapping[str, str]:
        """Where the DID document of each party lies whose signatures are read: always up to date."""
        return Live(lambda: self._others | self._joined | {did: peer.url for did, peer in self._book.items()})

    def __getitem__(self, did: str) -> Peer:
        return self._book[did]

    def __iter__(self) -> Iterator[str]:
        return iter(self._book)

    def __len__(self) -> int:
        return len(self._book)

    # Of one book each: a partner that goes while others are looked at is no error.
    def keys(self) -> KeysView[str]:
        return self._book.keys()

    def values(self) -> ValuesView[Peer]:
        return self._book.values()

    def items(self) -> ItemsView[str, Peer]:
        return self._book.items()


class Live(Mapping[str, V], Generic[V]):
    """A mapping that is worked out anew each time it is read."""

    def __init__(self, make: Callable[[], Mapping[str, V]]) -> None:
        self._make = make

    def __getitem__(self, key: str) -> V:
        return self._make()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._make())

    def __len__(self) -> int:
        return len(self._make())
