"""Access tokens and scopes: what a verifier may read of us."""

from __future__ import annotations

from datetime import timedelta

import pytest

from synthema.clock import FixedClock
from synthema.errors import DeniedError, InputError
from synthema.identity import DidResolver, FileSigner, tokens
from synthema.identity.dcp import EVERYTHING, SecureTokenService, read_scope
from synthema.identity.dcp.scopes import BY_ID, BY_TYPE, Scope
from synthema.identity.tokens import ReplayStore
from synthema.storage import Database
from tests.unit.identity.conftest import HOSPITAL, REGISTRY

MEMBER = Scope("type", "MembershipCredential")


@pytest.fixture
def sts(signer: FileSigner, clock: FixedClock) -> SecureTokenService:
    return SecureTokenService(HOSPITAL, signer, clock)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        (f"{BY_TYPE}:MembershipCredential", MEMBER),
        (f"{BY_TYPE}:MembershipCredential:read", MEMBER),
        (f"{BY_TYPE}:MembershipCredential:*", MEMBER),
        (f"{BY_ID}:8247b87d", Scope("id", "8247b87d")),
        (f"{BY_ID}:urn:uuid:8247b87d", Scope("id", "urn:uuid:8247b87d")),
        (f"{BY_ID}:https://a.example/1:read", Scope("id", "https://a.example/1")),
    ],
)
def test_scopes_of_two_and_three_parts(text: str, scope: Scope) -> None:
    assert read_scope(text) == scope
    assert read_scope(str(scope)) == scope


@pytest.mark.parametrize(
    "text", ["", "MembershipCredential", f"{BY_TYPE}:", f"{BY_TYPE}:A:write", "org.other:A", f"{BY_TYPE}:{'x' * 2000}"]
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a scope"):
        read_scope(text)


def test_an_access_token_is_good_for_its_bearer_and_its_time(sts: SecureTokenService, clock: FixedClock) -> None:
    token = sts.access_token(REGISTRY, [MEMBER])
    assert sts.read_access(token, REGISTRY).scopes == (MEMBER,)
    with pytest.raises(DeniedError, match="another party"):
        sts.read_access(token, "did:web:stranger.example")
    clock.advance(timedelta(minutes=3))
    with pytest.raises(DeniedError, match="expired"):
        sts.read_access(token, REGISTRY)


def test_every_changed_character_of_an_access_token_is_noticed(sts: SecureTokenService) -> None:
    token = sts.access_token(REGISTRY, EVERYTHING)
    for place in range(0, len(token), 5):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(DeniedError):
            sts.read_access(changed, REGISTRY)


@pytest.mark.parametrize("value", [None, 5, "", ".", "a.b", "x" * 5000, {"a": 1}])
def test_what_is_no_access_token_is_refused(sts: SecureTokenService, value: object) -> None:
    with pytest.raises(DeniedError):
        sts.read_access(value, REGISTRY)


def test_a_restarted_connector_knows_its_access_tokens_and_no_other_does(
    sts: SecureTokenService, signer: FileSigner, other_signer: FileSigner, clock: FixedClock
) -> None:
    token = sts.access_token(REGISTRY, [MEMBER])
    assert SecureTokenService(HOSPITAL, signer, clock).read_access(token, REGISTRY).bearer == REGISTRY
    with pytest.raises(DeniedError, match="not made here"):
        SecureTokenService(HOSPITAL, other_signer, clock).read_access(token, REGISTRY)


def test_a_self_issued_token_carries_access_only_where_scopes_are_given(
    sts: SecureTokenService, resolver: DidResolver, clock: FixedClock, database: Database
) -> None:
    def said(token: str) -> tokens.Claims:
        return tokens.verify(token, REGISTRY, resolver, clock, ReplayStore(database))

    assert said(sts.token(REGISTRY, None)).values == {}
    access = said(sts.token(REGISTRY)).values[tokens.ACCESS]
    assert sts.read_access(access, REGISTRY).scopes == tuple(sorted(EVERYTHING, key=str))
    assert said(sts.answer(REGISTRY, "theirs")).values == {tokens.ACCESS: "theirs"}
