"""What a holder takes in: the target asked the issuer for credentials, and the issuer delivers, refuses and offers."""

from __future__ import annotations

import json
from typing import Any

from synthema.clock import to_text
from synthema.identity import credentials
from tests.conformance.dcp.cases import Ask, Cases, accepted, add_token_cases, case, refused
from tests.conformance.dcp.parties import Party, message, now, post, without
from tests.conformance.dcp.target import Stage

CASES: Cases = {}
TYPE = "MembershipCredential"


def _asked(stage: Stage) -> str:
    """Let the target ask the issuer for a membership; returns the holderPid."""
    return stage.claims.holder.request(stage.issuer.did, [TYPE])


def _delivery(stage: Stage, pid: str, **changes: Any) -> dict[str, Any]:
    text = stage.issuer.signed(stage.issuer.credential(stage.did, **changes))
    container = {"credentialType": TYPE, "payload": text, "format": "vc20-bssl/jwt"}
    return message("CredentialMessage", issuerPid="theirs-1", holderPid=pid, status="ISSUED", credentials=[container])


def _deliver(stage: Stage, body: Any, by: Party | None = None) -> Any:
    party = by or stage.issuer
    return post(f"{stage.credential_service}/credentials", body, party.token(stage.did, access=None))


def _offer_body(stage: Stage, *credentials: dict[str, Any]) -> dict[str, Any]:
    given = {
        "id": "d5c77b0e", "type": "CredentialObject", "credentialType": TYPE, "offerReason": "reissue",
        "bindingMethods": ["did:web"], "profile": "vc20-bssl/jwt", "issuancePolicy": {},
    }  # fmt: skip
    return message("CredentialOfferMessage", issuer=stage.issuer.did, credentials=list(credentials or (given,)))


def _offer(stage: Stage, body: Any, by: Party | None = None) -> Any:
    party = by or stage.issuer
    return post(f"{stage.credential_service}/offers", body, party.token(stage.did, access=None))


def _delivering(stage: Stage) -> Ask:
    body = _delivery(stage, _asked(stage))
    return lambda token, prefix: post(f"{stage.credential_service}/credentials", body, token, prefix=prefix)


def _offering(stage: Stage) -> Ask:
    body = _offer_body(stage)
    return lambda token, prefix: post(f"{stage.credential_service}/offers", body, token, prefix=prefix)


add_token_cases(CASES, "6.5.1", "a delivery", lambda stage: stage.issuer, _delivering)
add_token_cases(CASES, "6.6.1", "an offer", lambda stage: stage.issuer, _offering)


@case(CASES, "6.5.1 a delivery that was asked for is verified and kept")
def delivered(stage: Stage) -> None:
    pid = _asked(stage)
    accepted(_deliver(stage, _delivery(stage, pid)))
    (held,) = stage.claims.wallet.all()
    assert (held.type, held.issuer, held.form) == (TYPE, stage.issuer.did, "jwt")
    (request,) = stage.claims.holder.requests()
    assert (request["holder_pid"], request["status"], request["issuer_pid"]) == (pid, "ISSUED", "theirs-1")


@case(CASES, "6.5.1 a delivery in JSON with a proof inside is verified and kept")
def delivered_json(stage: Stage) -> None:
    pid = _asked(stage)
    document = stage.issuer.credential(stage.did, credentialStatus=...)
    proven = credentials.issue(document, stage.issuer.signer, f"{stage.issuer.did}#assertion", now())
    container = {"credentialType": TYPE, "payload": json.dumps(proven, indent=1), "format": "json-ld"}
    body = {**_delivery(stage, pid), "credentials": [container]}
    accepted(_deliver(stage, body))
    accepted(_deliver(stage, body))
    assert [held.form for held in stage.claims.wallet.all()] == ["ldp"]


@case(CASES, "6.5.1 a refusal is noted with its reason")
def rejection(stage: Stage) -> None:
    pid = _asked(stage)
    body = message(
        "CredentialMessage", issuerPid="theirs-1", holderPid=pid, status="REJECTED", rejectionReason="no contract"
    )
    accepted(_deliver(stage, body))
    (request,) = stage.claims.holder.requests()
    assert (request["status"], request["reason"]) == ("REJECTED", "no contract")
    refused(_deliver(stage, _delivery(stage, pid)))


@case(CASES, "6.5.1 the same delivery again changes nothing")
def repeated(stage: Stage) -> None:
    body = _delivery(stage, _asked(stage))
    accepted(_deliver(stage, body))
    size = stage.log.size()
    accepted(_deliver(stage, body))
    assert stage.log.size() == size


@case(CASES, "6.5.1 a delivery is refused: its jti was used before")
def delivery_replayed(stage: Stage) -> None:
    body, token = _delivery(stage, _asked(stage)), stage.issuer.token(stage.did, access=None)
    accepted(post(f"{stage.credential_service}/credentials", body, token))
    refused(post(f"{stage.credential_service}/credentials", body, token))


@case(CASES, "6.5.1 a delivery is refused: nobody asked for it")
def unasked(stage: Stage) -> None:
    refused(_deliver(stage, _delivery(stage, "request-of-nobody")))
    assert stage.claims.wallet.all() == []


@case(CASES, "6.5.1 a delivery is refused: another issuer answers the request")
def another_issuer(stage: Stage) -> None:
    refused(_deliver(stage, _delivery(stage, _asked(stage)), by=stage.quack))
    assert stage.claims.wallet.all() == []


@case(CASES, "6.5.1 a delivery is refused: a member of the message is missing or wrong")
def invalid_delivery(stage: Stage) -> None:
    good = _delivery(stage, _asked(stage))
    wrong = [without(good, name) for name in ("holderPid", "issuerPid", "status", "type", "credentials", "@context")]
    changes = ({"status": "INVALID_STATUS"}, {"credentials": [{"payload": "x"}]}, {"holderPid": 5})
    wrong += [{**good, **change} for change in changes]
    for body in wrong:
        refused(_deliver(stage, body), 400)


@case(CASES, "6.5.1 a delivery is refused: a credential in it does not hold")
def broken_delivery(stage: Stage) -> None:
    pid = _asked(stage)
    changes: tuple[dict[str, Any], ...] = (
        {"validUntil": to_text(now())},
        {"credentialSubject": {"id": stage.third.did, "memberOf": "x"}},
        {"said": {"role": "hub"}},
        {"type_": "DataspaceRoleCredential", "said": {"role": "hub"}},
    )
    for change in changes:
        refused(_deliver(stage, _delivery(stage, pid, **change)))
    forged = _delivery(stage, pid)
    document = stage.issuer.credential(stage.did)
    forged["credentials"][0]["payload"] = stage.quack.signed(document, method=f"{stage.issuer.did}#assertion")
    refused(_deliver(stage, forged))
    unknown = _delivery(stage, pid)
    unknown["credentials"][0]["format"] = "paper"
    refused(_deliver(stage, unknown), 400)
    assert stage.claims.wallet.all() == []
    accepted(_deliver(stage, _delivery(stage, pid)))


@case(CASES, "6.5.1 one credential that does not hold keeps the whole delivery out")
def all_or_nothing(stage: Stage) -> None:
    body = _delivery(stage, _asked(stage))
    body["credentials"].append({"credentialType": TYPE, "payload": "e30.e30.AA", "format": "jwt"})
    refused(_deliver(stage, body))
    assert stage.claims.wallet.all() == []


@case(CASES, "6.5.1 a new credential of an issuer takes the place of its earlier one")
def renewed(stage: Stage) -> None:
    for _ in range(2):
        accepted(_deliver(stage, _delivery(stage, _asked(stage))))
    assert len(stage.claims.wallet.all()) == 1


@case(CASES, "6.6.1 an offer is noted")
def offered(stage: Stage) -> None:
    accepted(_offer(stage, _offer_body(stage)))
    (found,) = stage.claims.holder.offers()
    assert found["issuer"] == stage.issuer.did
    assert found["credentials"] == [{"id": "d5c77b0e", "type": TYPE, "reason": "reissue"}]


@case(CASES, "6.6.1 an offer by id alone is looked up in the issuer's metadata")
def sparse(stage: Stage) -> None:
    stage.issuer.supported.append({"id": "one", "type": "CredentialObject", "credentialType": TYPE})
    accepted(_offer(stage, _offer_body(stage, {"id": "one"})))
    assert stage.claims.holder.offers()[0]["credentials"][0]["type"] == TYPE


@case(CASES, "6.6.1 an offer by an id that the issuer's metadata does not have is refused")
def sparse_unknown(stage: Stage) -> None:
    refused(_offer(stage, _offer_body(stage, {"id": "two"})))
    assert stage.claims.holder.offers() == []


@case(CASES, "6.6.1 an offer in another issuer's name is refused")
def offered_for_another(stage: Stage) -> None:
    refused(_offer(stage, _offer_body(stage), by=stage.quack))


@case(CASES, "6.6.1 an offer is refused: its jti was used before")
def offer_replayed(stage: Stage) -> None:
    token = stage.issuer.token(stage.did, access=None)
    accepted(post(f"{stage.credential_service}/offers", _offer_body(stage), token))
    refused(post(f"{stage.credential_service}/offers", _offer_body(stage), token))


@case(CASES, "6.6.1 an offer is refused: a member of the message is missing or wrong")
def invalid_offer(stage: Stage) -> None:
    good = _offer_body(stage)
    wrong = [without(good, name) for name in ("issuer", "credentials", "type", "@context")]
    for body in (*wrong, {**good, "credentials": []}, {**good, "issuer": None}, {**good, "credentials": [{}]}):
        refused(_offer(stage, body), 400)
