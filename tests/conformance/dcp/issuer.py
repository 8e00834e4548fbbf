"""What an issuer service does: the holder asks the target for credentials, people decide, the target delivers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from synthema.errors import InputError
from synthema.identity.dcp import read_credential
from tests.conformance.dcp import schemas
from tests.conformance.dcp.cases import Ask, Cases, accepted, add_token_cases, case, refused
from tests.conformance.dcp.parties import SPACE, Party, message, post, without
from tests.conformance.dcp.target import Stage

CASES: Cases = {}
TYPE = "MembershipCredential"
SAID = {TYPE: {"memberOf": SPACE}}
YEAR = timedelta(days=365)


def _body(pid: str = "ours-1", *types: str) -> dict[str, Any]:
    wanted = [{"id": type_} for type_ in types or (TYPE,)]
    return message("CredentialRequestMessage", holderPid=pid, credentials=wanted)


def _ask(stage: Stage, body: Any, by: Party | None = None) -> httpx.Response:
    party = by or stage.holder
    return post(f"{stage.issuer_service}/credentials", body, party.token(stage.did))


def _asked(stage: Stage) -> str:
    """A request of the holder; returns the issuerPid."""
    answer = _ask(stage, _body())
    accepted(answer, 201)
    return answer.headers["location"].rpartition("/")[2]


def _status(stage: Stage, pid: str, by: Party | None = None) -> httpx.Response:
    token = (by or stage.holder).token(stage.did)
    return httpx.get(f"{stage.issuer_service}/requests/{pid}", headers={"Authorization": f"Bearer {token}"}, timeout=10)


def _requesting(stage: Stage) -> Ask:
    body = _body()
    return lambda token, prefix: post(f"{stage.issuer_service}/credentials", body, token, prefix=prefix)


def _looking(stage: Stage) -> Ask:
    pid = _asked(stage)

    def look(token: str | None, prefix: str) -> httpx.Response:
        headers = {} if token is None else {"Authorization": prefix + token}
        return httpx.get(f"{stage.issuer_service}/requests/{pid}", headers=headers, timeout=10)

    return look


add_token_cases(CASES, "6.4", "a request", lambda stage: stage.holder, _requesting)
add_token_cases(CASES, "6.8", "a question for the status", lambda stage: stage.holder, _looking)


@case(CASES, "6.4.1 a request is taken: 201, and where its status is")
def taken(stage: Stage) -> None:
    answer = _ask(stage, _body())
    accepted(answer, 201)
    location = answer.headers["location"]
    assert location.startswith("/issuer/requests/")
    (row,) = stage.issuing.all()
    assert (row["holder"], row["holder_pid"], row["types"]) == (stage.holder.did, "ours-1", [TYPE])


@case(CASES, "6.4.1 the same request again is the same request, another one under its pid a 409")
def repeated(stage: Stage) -> None:
    first, second = _ask(stage, _body()), _ask(stage, _body())
    assert first.headers["location"] == second.headers["location"]
    refused(_ask(stage, _body("ours-1", "DataspaceRoleCredential")), 409)
    accepted(_ask(stage, _body(), by=stage.third), 201)


@case(CASES, "6.4 a request is refused: its jti was used before")
def replayed(stage: Stage) -> None:
    token = stage.holder.token(stage.did)
    accepted(post(f"{stage.issuer_service}/credentials", _body(), token), 201)
    refused(post(f"{stage.issuer_service}/credentials", _body(), token))


@case(CASES, "6.4 a request is refused: a member of the message is missing or wrong")
def invalid(stage: Stage) -> None:
    good = _body()
    wrong = [without(good, name) for name in ("holderPid", "credentials", "type", "@context")]
    for body in (*wrong, {**good, "credentials": []}, {**good, "credentials": [{}]}, {**good, "holderPid": ""}):
        refused(_ask(stage, body), 400)


@case(CASES, "6.4 a request is refused: it asks for what is not in the metadata")
def unknown_credential(stage: Stage) -> None:
    refused(_ask(stage, _body("ours-1", "DrivingLicence")), 400)
    assert stage.issuing.all() == []


@case(CASES, "6.5 an approved request is delivered to the credential service of the holder's DID document")
def delivered(stage: Stage) -> None:
    pid = _asked(stage)
    stage.issuing.approve(pid, SAID, YEAR)
    assert stage.issuing.deliver() == ()
    (body,) = stage.holder.delivered
    assert (body["issuerPid"], body["holderPid"], body["status"]) == (pid, "ours-1", "ISSUED")
    (container,) = body["credentials"]
    credential = read_credential(container["payload"]).credential
    assert credential["credentialSubject"] == {"id": stage.holder.did, "memberOf": SPACE}
    assert (container["credentialType"], container["format"]) == (TYPE, "vc20-bssl/jwt")


@case(CASES, "6.5 what is delivered keeps to the schema")
def delivered_schema(stage: Stage) -> None:
    stage.issuing.approve(_asked(stage), SAID, YEAR)
    stage.issuing.deliver()
    schemas.check("credential-message", stage.holder.delivered[0])


@case(CASES, "6.5 a delivery that the holder could not take is tried again, and made once")
def tried_again(stage: Stage) -> None:
    stage.issuing.approve(_asked(stage), SAID, YEAR)
    stage.holder.refuses = 1
    assert len(stage.issuing.deliver()) == 1
    assert stage.issuing.deliver() == ()
    assert stage.issuing.deliver() == ()
    assert len(stage.holder.delivered) == 1


@case(CASES, "6.5 a refused request is answered with the reason")
def rejected(stage: Stage) -> None:
    pid = _asked(stage)
    stage.issuing.refuse(pid, "there is no contract")
    stage.issuing.deliver()
    (body,) = stage.holder.delivered
    assert (body["status"], body["rejectionReason"]) == ("REJECTED", "there is no contract")
    schemas.check("credential-message", body)
    assert _status(stage, pid).json()["status"] == "REJECTED"


@case(CASES, "6.6 an offer goes to the credential service of the holder's DID document")
def offers(stage: Stage) -> None:
    stage.issuing.offer(stage.holder.did, [TYPE], "reissue")
    (body,) = stage.holder.offered
    schemas.check("credential-offer-message", body)
    assert body["issuer"] == stage.did
    assert [each["credentialType"] for each in body["credentials"]] == [TYPE]


@case(CASES, "6.7 the metadata names the issuer and what it issues, as the schema says")
def metadata(stage: Stage) -> None:
    found = httpx.get(f"{stage.issuer_service}/metadata").json()
    schemas.check("issuer-metadata", found)
    assert found["issuer"] == stage.did
    assert TYPE in [each["credentialType"] for each in found["credentialsSupported"]]


@case(CASES, "6.7 the schemas that the metadata names are there")
def published_schemas(stage: Stage) -> None:
    for each in httpx.get(f"{stage.issuer_service}/metadata").json()["credentialsSupported"]:
        found = httpx.get(each["credentialSchema"])
        assert found.status_code == 200
        assert "id" in found.json()["required"]
    refused(httpx.get(f"{stage.issuer_service}/schemas/Other.json"), 404)


@case(CASES, "6.8 the status goes from RECEIVED to ISSUED, as the schema says")
def status(stage: Stage) -> None:
    pid = _asked(stage)
    before = _status(stage, pid).json()
    stage.issuing.approve(pid, SAID, YEAR)
    after = _status(stage, pid).json()
    for found, word in ((before, "RECEIVED"), (after, "ISSUED")):
        schemas.check("credential-status", found)
        assert (found["status"], found["issuerPid"], found["holderPid"]) == (word, pid, "ours-1")


@case(CASES, "6.8 nobody but the holder learns the status of its request")
def status_of_another(stage: Stage) -> None:
    refused(_status(stage, _asked(stage), by=stage.third), 404)
    refused(_status(stage, "issuance-unknown"), 404)


@case(CASES, "6.9 the DID document names the issuer service")
def discovery(stage: Stage) -> None:
    services = httpx.get(f"{stage.url}/.well-known/did.json").json()["service"]
    assert [each["serviceEndpoint"] for each in services if each["type"] == "IssuerService"] == [stage.issuer_service]


@case(CASES, "6.4 a request for what must say more is not approved without it")
def nothing_said(stage: Stage) -> None:

    pid, problem = _asked(stage), ""
    try:
        stage.issuing.approve(pid, {}, YEAR)
    except InputError as error:
        problem = error.message
    assert "memberOf" in problem
    assert _status(stage, pid).json()["status"] == "RECEIVED"
