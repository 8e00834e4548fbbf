"""How cases are written down, and the faults of tokens that every service must notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from tests.conformance.dcp.parties import Json, Party, now
from tests.conformance.dcp.target import Stage

Play = Callable[[Stage], None]
Cases = dict[str, Play]
Ask = Callable[[str | None, str], Any]
"""Calls a service with a token and what stands before it; returns the answer."""

TARGET = "the target"


def case(cases: Cases, name: str) -> Callable[[Play], Play]:
    """Write a case down under its section and what it asks for."""

    def register(play: Play) -> Play:
        assert name not in cases, name
        cases[name] = play
        return play

    return register


def refused(answer: Any, status: int | None = None) -> None:
    """The answer is a refusal: 4xx, or exactly the status that is given."""
    assert 400 <= answer.status_code < 500 if status is None else answer.status_code == status, answer.text


def accepted(answer: Any, status: int | None = None) -> None:
    """The answer is a success."""
    assert 200 <= answer.status_code < 300 if status is None else answer.status_code == status, answer.text


FAULTS: Mapping[str, Callable[[Party, Party], Json]] = {
    "iss and sub differ": lambda by, other: {"sub": other.did},
    "aud is another party": lambda by, other: {"aud": other.did},
    "aud names several parties": lambda by, other: {"aud": [TARGET, other.did]},
    "signed with another party's key": lambda by, other: {"signer": other.signer},
    "kid names a key that the DID document does not have": lambda by, other: {"kid": f"{by.did}#unknown"},
    "kid names a key that is not listed under capabilityInvocation": lambda by, other: {
        "kid": f"{by.did}#log", "key": "log"
    },
    "nbf lies in the future": lambda by, other: {"nbf": _in(minutes=60)},
    "iat lies in the future": lambda by, other: {"iat": _in(minutes=60)},
    "exp lies in the past": lambda by, other: {
        "exp": _in(minutes=-60), "iat": _in(minutes=-61), "nbf": _in(minutes=-61)
    },
    "exp is missing": lambda by, other: {"exp": ...},
    "jti is missing": lambda by, other: {"jti": ...},
}  # fmt: skip
"""What is wrong with a token of a party, and how it gets so ("Validating Self-Issued ID Tokens", steps 1 to 6)."""


def faulty(name: str, by: Party, stage: Stage, access: str) -> str:
    """A token of a party for the target in which one thing is wrong."""
    changes = FAULTS[name](by, stage.third if by is not stage.third else stage.holder)
    if isinstance(changes.get("aud"), list):
        changes["aud"] = [stage.did if each is TARGET else each for each in changes["aud"]]
    return by.token(stage.did, access=access, **changes)


def _in(*, minutes: int) -> int:
    return int((now() + timedelta(minutes=minutes)).timestamp())


def add_token_cases(
    cases: Cases,
    section: str,
    what: str,
    by: Callable[[Stage], Party],
    prepare: Callable[[Stage], Ask],
    access: Callable[[Stage], str] = lambda _stage: "access",
) -> None:
    """One case for each fault of a token, at one address; ``prepare`` makes it ready and says how it is called.

    ``access`` is the access token that each of them brings, so that nothing else is wrong with them.
    """

    def fault_case(name: str) -> None:
        @case(cases, f"{section} {what} is refused: {name}")
        def play(stage: Stage) -> None:
            ask = prepare(stage)
            refused(ask(faulty(name, by(stage), stage, access(stage)), "Bearer "))

    for name in FAULTS:
        fault_case(name)

    @case(cases, f"{section} {what} is refused: no authorization header")
    def bare(stage: Stage) -> None:
        refused(prepare(stage)(None, ""))

    @case(cases, f"{section} {what} is refused: the header lacks 'Bearer'")
    def no_prefix(stage: Stage) -> None:
        ask = prepare(stage)
        refused(ask(by(stage).token(stage.did, access=access(stage)), ""))

    @case(cases, f"{section} {what} is not refused where nothing is wrong with its token")
    def good(stage: Stage) -> None:
        ask = prepare(stage)
        accepted(ask(by(stage).token(stage.did, access=access(stage)), "Bearer "))
