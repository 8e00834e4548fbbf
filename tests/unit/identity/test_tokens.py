from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import DeniedError, InputError, PeerError
from synthema.identity import DidResolver, FileSigner, ReplayStore, tokens
from synthema.identity.multibase import encode_base64url
from synthema.storage import Database
from tests.unit.identity.conftest import HOSPITAL, REGISTRY, Web

MINUTE = timedelta(minutes=1)


@pytest.fixture
def replay(database: Database) -> ReplayStore:
    return ReplayStore(database)


@pytest.fixture
def check(resolver: DidResolver, clock: FixedClock, replay: ReplayStore) -> Callable[[str], tokens.Claims]:
    return lambda token: tokens.verify(token, REGISTRY, resolver, clock, replay)


@pytest.fixture
def token(signer: FileSigner, clock: FixedClock) -> str:
    return tokens.mint(signer, HOSPITAL, REGISTRY, clock, 5 * MINUTE, {"scope": "catalogue"})


def forge(signer: FileSigner, clock: FixedClock, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token signed with the real key, with members changed; a value of ``...`` removes one."""
    now = int(clock.now().timestamp())
    head: dict[str, Any] = {"alg": "EdDSA", "typ": "JWT", "kid": f"{HOSPITAL}#assertion"} | (header or {})
    body: dict[str, Any] = {"iss": HOSPITAL, "sub": HOSPITAL, "aud": REGISTRY, "jti": "one", "iat": now, "nbf": now}
    body |= {"exp": now + 300} | claims
    parts = [{k: v for k, v in part.items() if v is not ...} for part in (head, body)]
    signed = ".".join(encode_base64url(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encode_base64url(signer.sign('assertion', signed.encode()))}"


def test_a_good_token_is_understood_once(check: Callable[[str], tokens.Claims], token: str) -> None:
    claims = check(token)
    assert (claims.issuer, claims.subject, claims.audience) == (HOSPITAL, HOSPITAL, REGISTRY)
    assert claims.values == {"scope": "catalogue"}
    with pytest.raises(DeniedError, match="used before"):
        check(token)


def test_the_forge_of_these_tests_makes_good_tokens(
    check: Callable[[str], tokens.Claims], signer: FileSigner, clock: FixedClock
) -> None:
    assert check(forge(signer, clock)).token_id == "one"


NOW = 1795255200  # the fixture's clock: 2026-11-21T10:00:00Z


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ...},
        {"aud": HOSPITAL},
        {"aud": [REGISTRY, HOSPITAL]},
        {"aud": []},
        {"aud": REGISTRY + "/"},
        {"iss": ...},
        {"iss": REGISTRY},
        {"iss": ["did:web:hospital.example"]},
        {"sub": ...},
        {"sub": 1},
        {"jti": ...},
        {"jti": ""},
        {"jti": 5},
        {"jti": "x" * 513},
        {"exp": ...},
        {"exp": str(NOW + 60)},
        {"exp": NOW + 60.5},
        {"exp": True},
        {"exp": NOW - 60, "iat": NOW - 120, "nbf": NOW - 120},
        {"exp": NOW + 601},
        {"exp": NOW - 10, "iat": NOW - 5},
        {"exp": 10**30},
        {"nbf": "now"},
        {"nbf": NOW + 61},
        {"iat": ...},
        {"iat": NOW + 61},
        {"iat": NOW - 601},
        {"iat": -1},
    ],
)
def test_each_wrong_claim_is_refused(
    check: Callable[[str], tokens.Claims], signer: FileSigner, clock: FixedClock, claims: dict[str, Any]
) -> None:
    assert int(clock.now().timestamp()) == NOW
    with pytest.raises(DeniedError):
        check(forge(signer, clock, **claims))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "eddsa"},
        {"alg": ...},
        {"kid": ...},
        {"kid": 3},
        {"kid": HOSPITAL},
        {"kid": f"{HOSPITAL}#"},
        {"kid": f"{REGISTRY}#assertion"},
        {"kid": f"{HOSPITAL}#log"},
        {"kid": f"{HOSPITAL}#grant"},
        {"typ": "at+jwt"},
        {"crit": ["exp"]},
        {"jwk": {"kty": "OKP"}},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
    ],
)
def test_each_wrong_header_is_refused(
    check: Callable[[str], tokens.Claims], signer: FileSigner, clock: FixedClock, header: dict[str, Any]
) -> None:
    with pytest.raises(DeniedError):
        check(forge(signer, clock, header=header))


def test_a_refusal_names_its_step(check: Callable[[str], tokens.Claims], signer: FileSigner, clock: FixedClock) -> None:
    wrong: dict[int, dict[str, Any]] = {
        1: {"sub": REGISTRY}, 2: {"aud": HOSPITAL}, 5: {"nbf": NOW + 61}, 6: {"exp": NOW - 60, "iat": NOW - 90}
    }  # fmt: skip
    for step, claims in wrong.items():
        with pytest.raises(DeniedError, match=f"step {step} of 7"):
            check(forge(signer, clock, **claims))
    with pytest.raises(DeniedError, match="step 3 of 7"):
        check(forge(signer, clock, header={"kid": f"{HOSPITAL}#log"}))
    check(forge(signer, clock))
    with pytest.raises(DeniedError, match="step 7 of 7"):
        check(forge(signer, clock))


def test_what_others_may_leave_out_or_write_otherwise(
    check: Callable[[str], tokens.Claims], signer: FileSigner, clock: FixedClock
) -> None:
    assert check(forge(signer, clock, jti="no nbf", nbf=...)).token_id == "no nbf"
    assert check(forge(signer, clock, jti="list", aud=[REGISTRY])).audience == REGISTRY
    assert check(forge(signer, clock, header={"kid": "#assertion"}, jti="relative")).issuer == HOSPITAL


def test_the_leeway_is_one_minute_either_way(
    check: Callable[[str], tokens.Claims], signer: FileSigner, clock: FixedClock
) -> None:
    check(forge(signer, clock, jti="slow", iat=NOW + 60, nbf=NOW + 60, exp=NOW + 120))
    check(forge(signer, clock, jti="late", iat=NOW - 300, nbf=NOW - 300, exp=NOW - 59))


def test_another_partys_key_is_refused(
    check: Callable[[str], tokens.Claims], other_signer: FileSigner, clock: FixedClock
) -> None:
    with pytest.raises(DeniedError, match="signature"):
        check(forge(other_signer, clock))


def test_a_stranger_is_refused(check: Callable[[str], tokens.Claims], signer: FileSigner, clock: FixedClock) -> None:
    stranger = "did:web:stranger.example"
    with pytest.raises(DeniedError, match="registered"):
        check(forge(signer, clock, header={"kid": f"{stranger}#assertion"}, iss=stranger, sub=stranger))


def test_every_changed_character_is_refused(check: Callable[[str], tokens.Claims], token: str) -> None:
    for place in range(0, len(token), 7):
        changed = "A" if token[place] != "A" else "B"
        with pytest.raises((DeniedError, InputError)):
            check(token[:place] + changed + token[place + 1 :])
    check(token)


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "....", "a" * 20_000, "e30.e30.", "W10.W10.AA", "é.é.é"])
def test_what_is_no_token_is_refused(check: Callable[[str], tokens.Claims], text: str) -> None:
    with pytest.raises(DeniedError):
        check(text)


def test_a_forged_token_does_not_use_up_the_real_one(check: Callable[[str], tokens.Claims], token: str) -> None:
    with pytest.raises(DeniedError):
        check(token[:-4] + "AAAA")
    check(token)


def test_a_token_stays_used_until_it_has_expired(database: Database, replay: ReplayStore, clock: FixedClock) -> None:
    end = clock.now() + 10 * MINUTE
    replay.spend(HOSPITAL, "one", end, clock.now())
    replay.spend(REGISTRY, "one", end, clock.now())
    clock.advance(11 * MINUTE)
    with pytest.raises(DeniedError):
        ReplayStore(database).spend(HOSPITAL, "one", end, clock.now())
    clock.advance(timedelta(seconds=1))
    replay.spend(REGISTRY, "two", end, clock.now())
    with database.read() as connection:
        assert {row.token_id for row in connection.execute(tokens.used_tokens.select())} == {"two"}


def test_a_peer_that_does_not_answer_is_told_apart(
    web: Web, resolver: DidResolver, clock: FixedClock, replay: ReplayStore, token: str
) -> None:
    web.pages.clear()
    with pytest.raises(PeerError):
        tokens.verify(token, REGISTRY, resolver, clock, replay)


def test_minting_refuses_what_verification_would(signer: FileSigner, clock: FixedClock) -> None:
    with pytest.raises(InputError, match="lives"):
        tokens.mint(signer, HOSPITAL, REGISTRY, clock, 11 * MINUTE)
    with pytest.raises(InputError, match="lives"):
        tokens.mint(signer, HOSPITAL, REGISTRY, clock, timedelta(0))
    with pytest.raises(InputError, match="'exp'"):
        tokens.mint(signer, HOSPITAL, REGISTRY, clock, MINUTE, {"exp": 9})


def test_an_outside_reader_understands_the_token(signer: FileSigner, token: str) -> None:
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(signer.public_key("assertion"))
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    assert jwt.decode(token, key, algorithms=["EdDSA"], audience=REGISTRY, options=options)["iss"] == HOSPITAL
