"""A whole round of the secure sum in one process, for tests to stop, drop and bend at each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthema_secure_sum import Member, open_sum

Vectors = dict[str, NDArray[np.int64]]


class Round:
    """All members in one process, each step on demand."""

    def __init__(
        self,
        vectors: Mapping[str, NDArray[np.int64]],
        threshold: int,
        round_id: str = "round-1",
        *,
        members: Mapping[str, Member] | None = None,
        bound: int | None = None,
        colluders: int | None = None,
    ) -> None:
        self.vectors = dict(vectors)
        self.threshold = threshold
        self.id = round_id
        self.agreed = {"bound": bound, "colluders": colluders}
        self.members = dict(members or {name: Member() for name in vectors})
        self.keys = {name: member.advertise(round_id, name) for name, member in self.members.items()}
        self.sealed: dict[str, dict[str, str]] = {}
        self.masked: dict[str, NDArray[Any]] = {}

    def share(self, *absent: str) -> None:
        for name, member in self.members.items():
            if name not in absent:
                self.sealed[name] = member.share(self.id, self.keys, self.threshold, **self.agreed)

    def inbox(self, name: str) -> dict[str, str]:
        return {writer: sealed[name] for writer, sealed in self.sealed.items() if writer != name}

    def mask(self, *absent: str) -> None:
        for name in self.sealed:
            if name not in absent:
                self.masked[name] = self.members[name].mask(self.id, self.vectors[name], self.inbox(name))

    def unmask(self, *silent: str) -> dict[str, Any]:
        dropped = sorted(set(self.sealed) - set(self.masked))
        return {
            name: self.members[name].unmask(self.id, sorted(self.masked), dropped)
            for name in self.masked
            if name not in silent
        }

    def open(self, answers: Mapping[str, Any]) -> NDArray[np.int64]:
        return open_sum(self.id, self.keys, self.masked, answers, self.threshold, **self.agreed)

    def total(self) -> NDArray[np.int64]:
        total: NDArray[np.int64] = np.sum([self.vectors[name] for name in self.masked], axis=0)
        return total


def vectors(count: int, length: int = 50, seed: int = 0) -> Vectors:
    generator = np.random.default_rng(seed)
    return {f"did:web:site{i}.example": generator.integers(-(2**40), 2**40, length) for i in range(count)}


def through_masking(count: int = 5, threshold: int = 3) -> Round:
    run = Round(vectors(count), threshold)
    run.share()
    run.mask()
    return run
