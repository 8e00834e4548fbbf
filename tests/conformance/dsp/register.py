"""Where cases register themselves under the kit's ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tests.conformance.dsp.kit import Kit
from tests.conformance.dsp.talks import (
    ConsumerNegotiation,
    ConsumerTransfer,
    ProviderNegotiation,
    ProviderTransfer,
    Talk,
)

T = TypeVar("T", bound=Talk)
Play = Callable[[Kit], None]
Conversation = Callable[[T], None]

CASES: dict[str, Play] = {}


def plain(case: str) -> Callable[[Play], Play]:
    """A case that is no conversation."""

    def register(play: Play) -> Play:
        CASES[case] = play
        return play

    return register


def cn(number: str) -> Callable[[Conversation[ConsumerNegotiation]], Conversation[ConsumerNegotiation]]:
    """A negotiation in which the target provides."""
    return _talk(f"CN:{number}", ConsumerNegotiation, "ACN")


def cn_c(number: str) -> Callable[[Conversation[ProviderNegotiation]], Conversation[ProviderNegotiation]]:
    """A negotiation in which the target consumes."""
    return _talk(f"CN_C:{number}", ProviderNegotiation, "ACNC")


def tp(number: str) -> Callable[[Conversation[ConsumerTransfer]], Conversation[ConsumerTransfer]]:
    """A transfer in which the target provides."""
    return _talk(f"TP:{number}", ConsumerTransfer, "ATP")


def tp_c(number: str) -> Callable[[Conversation[ProviderTransfer]], Conversation[ProviderTransfer]]:
    """A transfer in which the target consumes."""
    return _talk(f"TP_C:{number}", ProviderTransfer, "ATPC")


def _talk(case: str, make: type[T], prefix: str) -> Callable[[Conversation[T]], Conversation[T]]:
    name = prefix + case.partition(":")[2].replace("-", "")

    def register(converse: Conversation[T]) -> Conversation[T]:
        CASES[case] = lambda kit: converse(make(kit, name))
        return converse

    return register
