"""What a connector remembers of others: asked once, looked at again, forgotten when it does not hold any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from synthema.clock import FixedClock, to_text
from synthema.errors import DeniedError, PeerError
from synthema.identity import DidResolver, FileSigner, StatusList, status_entry, status_list_credential, tokens
from synthema.identity.dcp import (
    MEMBERSHIP,
    ROLE,
    Counterparties,
    SecureTokenService,
    VerificationError,
    Verifier,
    envelop,
    present,
)
from synthema.identity.dcp.counterparties import FACT_AGE, STATUS_AGE
from synthema.identity.dcp.messages import CONTEXT as DCP
from synthema.identity.dcp.store import ClaimStep
from synthema.identity.statuslist import CONTEXT
from synthema.storage import Database
from tests.unit.identity.conftest import HOSPITAL, REGISTRY

LIST = "https://registry.example/status/revocation"
DAY = timedelta(days=1)


@dataclass
class World:
    """A hospital that calls, a registry that issued its membership, and what passes between them."""

    holder: FileSigner
    issuer: FileSigner
    clock: FixedClock
    validity: timedelta = DAY
    asked: list[list[str]] = field(default_factory=list)
    steps: list[ClaimStep] = field(default_factory=list)
    revoked: set[int] = field(default_factory=set)
    answers: int = 200
    lists_answer: bool = True
    role: str | None = "hub"

    def post_service(
        self, did: str, service: str, path: str, json: Mapping[str, Any], *, token: str | None = None
    ) -> tuple[int, Mapping[str, str], Any]:
        assert (did, service, path) == (HOSPITAL, "CredentialService", "/presentations/query")
        self.asked.append(json["scope"])
        wanted = " ".join(json["scope"])
        given = [self.credential(MEMBERSHIP, {"memberOf": "space"})] if MEMBERSHIP in wanted else []
        if ROLE in wanted and self.role:
            given.append(self.credential(ROLE, {"role": self.role}))
        shown = present(given, HOSPITAL, REGISTRY, self.holder, self.clock.now(), key="assertion")
        answer = {"@context": [DCP], "type": "PresentationResponseMessage", "presentation": [shown]}
        return self.answers, {}, answer

    def get_service(self, did: str, service: str, path: str) -> Any:
        raise AssertionError("nothing is read")

    def credential(self, type_: str, said: dict[str, Any]) -> str:
        now = self.clock.now()
        document = {
            "@context": [CONTEXT],
            "id": f"https://registry.example/id/{type_}",
            "type": ["VerifiableCredential", type_],
            "issuer": REGISTRY,
            "validFrom": to_text(now),
            "validUntil": to_text(now + self.validity),
            "credentialSubject": {"id": HOSPITAL} | said,
            "credentialStatus": status_entry(LIST, 4, "revocation"),
        }
        return envelop(document, self.issuer, f"{REGISTRY}#assertion")

    def status(self, address: str) -> str:
        if not self.lists_answer:
            raise PeerError("the issuer does not answer", fix="ask later")
        bits, now = StatusList(), self.clock.now()
        for index in self.revoked:
            bits.set(index, True)
        listed = status_list_credential(LIST, REGISTRY, bits, "revocation", now, now + DAY)
        return envelop(listed, self.issuer, f"{REGISTRY}#assertion")

    def record_claim_step(self, connection: Any, step: ClaimStep) -> None:
        self.steps.append(step)


@pytest.fixture
def world(signer: FileSigner, other_signer: FileSigner, clock: FixedClock) -> World:
    return World(signer, other_signer, clock)


def book(
    world: World,
    database: Database,
    resolver: DidResolver,
    *,
    believed: tuple[str, ...] = (MEMBERSHIP, ROLE),
    **more: Any,
) -> Counterparties:
    """The memory of a connector (here the registry, which trusts itself as issuer)."""
    verifier = Verifier(REGISTRY, resolver, lambda did: believed if did == REGISTRY else (), world.status, world.clock)
    sts = SecureTokenService(REGISTRY, world.issuer, world.clock)
    return Counterparties(database, world, verifier, world, sts, world.clock, believed=lambda: believed, **more)


def caller(**values: Any) -> tokens.Claims:
    then = datetime(2026, 11, 21, tzinfo=UTC)
    given = {tokens.ACCESS: "access"} | values
    return tokens.Claims(HOSPITAL, HOSPITAL, REGISTRY, "1", then, then, given)


def test_a_party_is_asked_once_and_remembered(world: World, database: Database, resolver: DidResolver) -> None:
    others = book(world, database, resolver)
    (claim,) = others.admit(caller())
    assert claim.type == MEMBERSHIP
    others.admit(caller())
    assert [len(scopes) for scopes in world.asked] == [1, 1]  # memberships first, then what is welcome
    assert {step.credential for step in world.steps} == {
        "https://registry.example/id/MembershipCredential",
        "https://registry.example/id/DataspaceRoleCredential",
    }
    assert {step.step for step in world.steps} == {"ClaimVerified"}


def test_what_is_remembered_survives_a_restart(world: World, database: Database, resolver: DidResolver) -> None:
    book(world, database, resolver).admit(caller())
    world.asked.clear()
    again = book(world, database, resolver)
    assert again.admit(caller())[0].type == MEMBERSHIP
    assert world.asked == []
    assert {claim.type for claim in again.claims_of(HOSPITAL, world.clock.now())} == {MEMBERSHIP, ROLE}


def test_after_its_end_a_membership_is_asked_for_again(
    world: World, database: Database, resolver: DidResolver, clock: FixedClock
) -> None:
    world.validity = timedelta(minutes=2)
    others = book(world, database, resolver)
    others.admit(caller())
    clock.advance(timedelta(minutes=2))
    others.admit(caller())
    assert len(world.asked) == 4


def test_a_revocation_is_seen_within_minutes_and_forgets_the_party(
    world: World, database: Database, resolver: DidResolver, clock: FixedClock
) -> None:
    others = book(world, database, resolver)
    others.admit(caller())
    world.revoked.add(4)
    clock.advance(STATUS_AGE - timedelta(seconds=1))
    others.admit(caller())
    clock.advance(timedelta(seconds=1))
    with pytest.raises(VerificationError, match="check 9 of 12"):
        others.admit(caller())
    assert MEMBERSHIP not in {claim.type for claim in others.claims_of(HOSPITAL, clock.now())}
    with pytest.raises(VerificationError, match="revoked"):
        others.admit(caller())


def test_a_list_that_cannot_be_read_keeps_the_party_out_until_it_can(
    world: World, database: Database, resolver: DidResolver, clock: FixedClock
) -> None:
    others = book(world, database, resolver)
    others.admit(caller())
    clock.advance(STATUS_AGE)
    world.lists_answer = False
    with pytest.raises(PeerError):
        others.admit(caller())
    world.lists_answer = True
    assert others.admit(caller())
    assert len(world.asked) == 2


@pytest.mark.parametrize(("status", "error"), [(401, DeniedError), (404, DeniedError), (503, PeerError)])
def test_a_party_that_shows_nothing_stays_outside(
    world: World, database: Database, resolver: DidResolver, status: int, error: type[Exception]
) -> None:
    world.answers = status
    with pytest.raises(error, match=str(status)):
        book(world, database, resolver).admit(caller())


@pytest.mark.parametrize("access", [None, 5, {"a": 1}])
def test_a_token_without_access_keeps_the_party_outside_even_when_it_is_known(
    world: World, database: Database, resolver: DidResolver, access: Any
) -> None:
    others = book(world, database, resolver)
    others.admit(caller())
    with pytest.raises(DeniedError, match="does not let this connector ask"):
        others.admit(caller(**{tokens.ACCESS: access}))


def test_where_nobody_is_believed_for_memberships_nothing_is_asked(
    world: World, database: Database, resolver: DidResolver
) -> None:
    assert book(world, database, resolver, believed=(ROLE,)).admit(caller(token=None)) == ()
    assert book(world, database, resolver, exempt=[HOSPITAL]).admit(caller(token=None)) == ()
    assert world.asked == []


def test_a_role_that_is_not_shown_is_no_hindrance(world: World, database: Database, resolver: DidResolver) -> None:
    world.role = None
    others = book(world, database, resolver)
    others.admit(caller())
    assert [claim.type for claim in others.claims_of(HOSPITAL, world.clock.now())] == [MEMBERSHIP]


def test_claims_count_as_facts_as_long_as_they_were_looked_at_lately(
    world: World, database: Database, resolver: DidResolver, clock: FixedClock
) -> None:
    others = book(world, database, resolver)
    others.admit(caller())
    clock.advance(FACT_AGE)
    assert others.claims_of(HOSPITAL, clock.now())
    clock.advance(timedelta(seconds=1))
    assert others.claims_of(HOSPITAL, clock.now()) == ()
    others.refresh()
    assert others.claims_of(HOSPITAL, clock.now())
    world.revoked.add(4)
    clock.advance(STATUS_AGE)
    others.refresh()
    assert others.claims_of(HOSPITAL, clock.now()) == ()
    assert others.all() == {}


def test_a_stranger_has_no_claims(world: World, database: Database, resolver: DidResolver) -> None:
    assert book(world, database, resolver).claims_of("did:web:stranger.example", world.clock.now()) == ()
