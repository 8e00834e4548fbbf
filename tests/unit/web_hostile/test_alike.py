"""The unknown and the unauthorised learn nothing: neither from an answer's bytes nor from the way it was found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import event

from synthema.clock import SystemClock
from synthema.config import Role
from synthema.dataspace import messages as m
from synthema.dataspace import store
from synthema.identity import tokens
from synthema.identity.multibase import decode_base64url, encode_base64url
from synthema.web.openapi import PUBLIC
from tests.unit.dataspace.world import DATASET, HIDDEN, World, world
from tests.unit.web_hostile.live import Live
from tests.unit.web_hostile.mutations import opened, transferring

UNKNOWN = "did:web:unknown.example"
SECURED = [each for each in PUBLIC if not each.open]


def forged(live: Live) -> dict[str, str]:
    """Tokens that are not good, each for another reason."""
    stranger = Ed25519PrivateKey.generate()
    payload = _payload(live.token())
    kid = {"alg": "EdDSA", "kid": f"{live.partner.settings.did}#assertion"}
    public = encode_base64url(stranger.public_key().public_bytes_raw())
    return {
        "another audience": live.token(audience="did:web:other.example"),
        "somebody else's key": _signed(stranger, kid, payload),
        "its own key": _signed(
            stranger, kid | {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": public}}, payload
        ),
        "an address of a key": _signed(stranger, kid | {"jku": "http://127.0.0.1:1/keys"}, payload),
        "no algorithm": f"{_part({'alg': 'none'})}.{_part(payload)}.",
        "another algorithm": f"{_part(kid | {'alg': 'HS256'})}.{_part(payload)}.{encode_base64url(b'x' * 32)}",
        "expired": _signed_by_partner(live, payload | {"iat": 1, "nbf": 1, "exp": 300}),
        "not yet": _signed_by_partner(live, payload | {name: payload[name] + 10_000 for name in ("iat", "nbf", "exp")}),
        "for ever": _signed_by_partner(live, payload | {"exp": payload["exp"] + 10**6}),
        "two audiences": _signed_by_partner(live, payload | {"aud": [payload["aud"], "did:web:other.example"]}),
        "somebody's name": _signed_by_partner(live, payload | {"sub": "did:web:other.example"}),
        "unknown party": _signed(stranger, kid | {"kid": f"{UNKNOWN}#k"}, payload | {"iss": UNKNOWN, "sub": UNKNOWN}),
        "too long": "x" * 17_000,
        "not a token": "x",
        "three dots": "...",
    }  # fmt: skip


def _part(value: Any) -> str:
    return encode_base64url(json.dumps(value).encode())


def _payload(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(decode_base64url(token.split(".")[1]))
    return found


def _signed(key: Ed25519PrivateKey, header: dict[str, Any], payload: dict[str, Any]) -> str:
    signed = f"{_part(header)}.{_part(payload)}"
    return f"{signed}.{encode_base64url(key.sign(signed.encode()))}"


def _signed_by_partner(live: Live, payload: dict[str, Any]) -> str:
    head = json.loads(decode_base64url(live.token().split(".")[0]))
    signed = f"{_part(head)}.{_part(payload)}"
    return f"{signed}.{encode_base64url(live.partner.signer.sign('assertion', signed.encode()))}"


def at(path: str) -> str:
    return path.replace("{", "").replace("}", "")


@pytest.mark.parametrize("role", ["site", "hub"])
def test_without_a_good_token_every_address_answers_alike(space: dict[Role, Live], role: Role) -> None:
    live = space[role]
    served = [each for each in SECURED if not each.roles or role in each.roles]
    assert len(served) > 20
    spent = live.token()
    assert httpx.get(f"{live.public}/dsp/catalog/request", headers=_bearer(spent), trust_env=False).status_code == 200
    with httpx.Client(base_url=live.public, trust_env=False, timeout=10) as client:
        for operation in served:
            answers = {
                (answer.status_code, answer.content, answer.headers["content-type"])
                for token in (None, spent, live.token(audience="did:web:other.example"), "x")
                for body in ("{}", '{"a": NaN}')
                if (answer := client.request(
                    operation.method, at(operation.path), headers=_bearer(token), content=_body(operation.method, body)
                )) is not None
            }  # fmt: skip
            assert len(answers) == 1, operation.path
            ((status, _, media_type),) = answers
            assert status == (401 if operation.path.startswith("/dcp/") else 404)
            assert media_type == "application/json"


def _bearer(token: str | None) -> dict[str, str]:
    shown = {} if token is None else {"Authorization": f"Bearer {token}"}
    return shown | {"Content-Type": "application/json"}


def _body(method: str, text: str) -> str | None:
    return text if method == "POST" else None


def test_every_bad_token_is_refused_in_the_same_words(site: Live) -> None:
    asked = {
        reason: httpx.get(f"{site.public}/dsp/negotiations/n", headers=_bearer(token), trust_env=False)
        for reason, token in forged(site).items()
    }
    assert {reason: answer.status_code for reason, answer in asked.items()} == dict.fromkeys(asked, 404)
    assert len({answer.content for answer in asked.values()}) == 1
    assert site.works()


def test_a_token_works_once_even_when_it_is_used_at_the_same_moment(site: Live) -> None:
    token = site.token()
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: (
                    httpx.get(f"{site.public}/dsp/catalog/request", headers=_bearer(token), trust_env=False).status_code
                ),
                range(8),
            )
        )
    assert sorted(answers) == [200] + [404] * 7


# what exists for somebody else ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("two")) as connectors:
        connectors.hospital.dataspace.stop()
        connectors.hub.dataspace.stop()
        yield connectors


def ask(two: World, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
    token = tokens.mint(two.hub.signer, two.hub.did, two.hospital.did, SystemClock(), lifetime=timedelta(minutes=1))
    return httpx.request(
        "GET" if body is None else "POST", two.hospital.settings.public_url + path,
        headers={"Authorization": f"Bearer {token}"}, json=body, trust_env=False, timeout=10,
    )  # fmt: skip


@contextmanager
def statements(two: World) -> Iterator[list[str]]:
    """The statements the hospital's database is given meanwhile, without their values."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(two.hospital.database.engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(two.hospital.database.engine, "before_cursor_execute", note)


def somebody_elses(two: World, kind: str) -> str:
    """A process that exists, of the third partner."""
    process = opened(two) if kind == "negotiation" else transferring(two)
    third = next(peer.did for peer in two.hospital.settings.peers if peer.name == "third")
    two.hospital.database.write(lambda connection: store.save_process(connection, replace(process, peer=third)))
    return process.id


def pids(identifier: str) -> dict[str, Any]:
    return {"@context": [m.CONTEXT], "providerPid": identifier, "consumerPid": "c"}


ASKED = [
    ("negotiation", "", None),
    ("negotiation", "/termination", {"@type": "ContractNegotiationTerminationMessage"}),
    ("negotiation", "/events", {"@type": "ContractNegotiationEventMessage", "eventType": "ACCEPTED"}),
    ("negotiation", "/agreement/verification", {"@type": "ContractAgreementVerificationMessage"}),
    ("transfer", "", None),
    ("transfer", "/start", {"@type": "TransferStartMessage"}),
    ("transfer", "/completion", {"@type": "TransferCompletionMessage"}),
    ("transfer", "/termination", {"@type": "TransferTerminationMessage"}),
]


@pytest.mark.parametrize(("kind", "path", "message"), ASKED)
def test_what_is_somebody_elses_is_like_what_is_not(
    two: World, kind: str, path: str, message: dict[str, Any] | None
) -> None:
    theirs = somebody_elses(two, kind)
    nobodys = theirs[:-8] + "00000000"
    seen = []
    for identifier in (theirs, nobodys):
        body = None if message is None else message | pids(identifier)
        with statements(two) as given:
            answer = ask(two, f"/dsp/{kind}s/{identifier}{path}", body)
        seen.append((answer.status_code, answer.text.replace(identifier, "it"), tuple(given)))
    assert seen[0] == seen[1]
    assert seen[0][0] == 404


def test_a_dataset_that_is_not_for_the_caller_is_like_none(two: World) -> None:
    seen = []
    for dataset in (HIDDEN, HIDDEN[:-1] + "x"):
        with statements(two) as given:
            answer = ask(two, f"/dsp/catalog/datasets/{dataset}")
        seen.append((answer.status_code, answer.text.replace(dataset, "it"), tuple(given)))
    assert seen[0] == seen[1]
    listed = ask(two, "/dsp/catalog/request", {"@context": [m.CONTEXT], "@type": "CatalogRequestMessage"}).json()
    assert [entry["@id"] for entry in listed["dataset"]] == [DATASET]


@pytest.mark.parametrize("dressed", ["{}%E2%80%8B", "%EF%BB%BF{}", "{}%20", "{}/", "{}%2F", "{}.", "{};x", "{}%00"])
def test_identifiers_are_exact(two: World, dressed: str) -> None:
    """No trimming, folding or normalising: what looks like an identifier is none."""
    identifier = opened(two).id
    assert ask(two, f"/dsp/negotiations/{identifier}").status_code == 200
    for look_alike in (dressed.format(identifier), identifier.upper(), identifier.replace("-", "%EF%BC%8D")):
        assert ask(two, f"/dsp/negotiations/{look_alike}").status_code in (307, 404)
