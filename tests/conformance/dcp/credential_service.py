"""What a credential service shows, and to whom: the target holds credentials, and the third party asks for them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import httpx

from synthema.identity.dcp import read_presentation, read_scope
from synthema.identity.dcp.scopes import BY_ID, BY_TYPE
from synthema.identity.jose import read_compact
from synthema.identity.methods import find_method
from synthema.identity.tokens import ACCESS
from tests.conformance.dcp import schemas
from tests.conformance.dcp.cases import Ask, Cases, accepted, add_token_cases, case, refused
from tests.conformance.dcp.parties import Party, message, now, post
from tests.conformance.dcp.target import Stage

CASES: Cases = {}
MEMBERSHIP = f"{BY_TYPE}:MembershipCredential:read"
ROLE = f"{BY_TYPE}:DataspaceRoleCredential:read"


def _held(stage: Stage) -> dict[str, str]:
    """Let the target hold a membership and a role; returns their texts by type."""
    texts = {}
    for type_, said in (("MembershipCredential", None), ("DataspaceRoleCredential", {"role": "site"})):
        texts[type_] = stage.issuer.signed(stage.issuer.credential(stage.did, type_=type_, said=said))
        stage.claims.wallet.keep(texts[type_], "vc20-bssl/jwt")
    return texts


def _access(stage: Stage, party: Party, *scopes: str) -> str:
    return stage.claims.sts.access_token(party.did, [read_scope(scope) for scope in scopes])


def _query(stage: Stage, *scopes: str, allowed: tuple[str, ...] = (MEMBERSHIP, ROLE), body: Any = None) -> Any:
    """Ask as the third party, with an access token for the scopes that are allowed."""
    token = stage.third.token(stage.did, access=_access(stage, stage.third, *allowed))
    given = message("PresentationQueryMessage", scope=list(scopes)) if body is None else body
    return post(f"{stage.credential_service}/presentations/query", given, token)


def _types(answer: Any) -> list[str]:
    """The types of the credentials in an answer, which keeps to the schema of answers."""
    accepted(answer)
    schemas.check("presentation-response-message", answer.json())
    presentations = [read_presentation(text) for text in answer.json()["presentation"]]
    return sorted(type_ for each in presentations for enclosed in each.enclosed for type_ in enclosed.types)


def _ready(stage: Stage) -> Ask:
    _held(stage)
    body = message("PresentationQueryMessage", scope=[MEMBERSHIP])
    return lambda token, prefix: post(f"{stage.credential_service}/presentations/query", body, token, prefix=prefix)


add_token_cases(
    CASES, "4.3.3", "a query", lambda stage: stage.third, _ready, lambda stage: _access(stage, stage.third, MEMBERSHIP)
)


@case(CASES, "4.3.3 a query is refused: its jti was used before")
def replayed(stage: Stage) -> None:
    _held(stage)
    token = stage.third.token(stage.did, access=_access(stage, stage.third, MEMBERSHIP))
    body, url = message("PresentationQueryMessage", scope=[MEMBERSHIP]), stage.credential_service
    accepted(post(f"{url}/presentations/query", body, token))
    refused(post(f"{url}/presentations/query", body, token))


@case(CASES, "4.3.3 a query is refused: its access token was given to another party")
def borrowed(stage: Stage) -> None:
    _held(stage)
    token = stage.holder.token(stage.did, access=_access(stage, stage.third, MEMBERSHIP))
    body = message("PresentationQueryMessage", scope=[MEMBERSHIP])
    refused(post(f"{stage.credential_service}/presentations/query", body, token))


@case(CASES, "4.3.1 a query is refused: it brings no access token")
def no_access(stage: Stage) -> None:
    _held(stage)
    body = message("PresentationQueryMessage", scope=[MEMBERSHIP])
    refused(post(f"{stage.credential_service}/presentations/query", body, stage.third.token(stage.did, access=None)))


@case(CASES, "5.4 a query is refused: its access token was not made here")
def made_up(stage: Stage) -> None:
    _held(stage)
    body = message("PresentationQueryMessage", scope=[MEMBERSHIP])
    good = _access(stage, stage.third, MEMBERSHIP)
    for access in ("faketoken", "a.b", "", good[:-3] + "AAA", good.partition(".")[0]):
        token = stage.third.token(stage.did, access=access)
        refused(post(f"{stage.credential_service}/presentations/query", body, token))


@case(CASES, "5.2 the DID document names the credential service")
def discovery(stage: Stage) -> None:
    services = httpx.get(f"{stage.url}/.well-known/did.json").json()["service"]
    (found,) = [each["serviceEndpoint"] for each in services if each["type"] == "CredentialService"]
    assert found == stage.credential_service


@case(CASES, "5.4.1 a query with scope and presentationDefinition is a 400")
def both(stage: Stage) -> None:
    body = message("PresentationQueryMessage", scope=[MEMBERSHIP], presentationDefinition={"id": "1"})
    refused(_query(stage, body=body), 400)


@case(CASES, "5.4.1.1 a presentationDefinition is a 501")
def definition(stage: Stage) -> None:
    body = message("PresentationQueryMessage", presentationDefinition={"id": "1", "input_descriptors": []})
    assert _query(stage, body=body).status_code == 501


@case(CASES, "5.4.1.1 an empty presentationDefinition is refused")
def empty_definition(stage: Stage) -> None:
    empty: tuple[Any, ...] = ({}, None)
    for value in empty:
        refused(_query(stage, body=message("PresentationQueryMessage", presentationDefinition=value)))


@case(CASES, "5.4.1.2 an empty scope, or none, is a 400")
def empty_scope(stage: Stage) -> None:
    refused(_query(stage, body=message("PresentationQueryMessage", scope=[])), 400)
    refused(_query(stage, body=message("PresentationQueryMessage")), 400)


@case(CASES, "5.4.1 a query of another type, or without the context, is a 400")
def wrong_message(stage: Stage) -> None:
    good = message("PresentationQueryMessage", scope=[MEMBERSHIP])
    wrong = ({**good, "type": "Query"}, {**good, "@context": []}, {**good, "scope": MEMBERSHIP}, [good], "x", None)
    for body in wrong:
        refused(_query(stage, body=[body] if body is None else body), 400)


@case(CASES, "5.4.1.2 a membership is presented by type")
def by_type(stage: Stage) -> None:
    _held(stage)
    assert _types(_query(stage, MEMBERSHIP)) == ["MembershipCredential"]


@case(CASES, "5.4.1.2 a scope of two parts means the same")
def two_parts(stage: Stage) -> None:
    _held(stage)
    assert _types(_query(stage, f"{BY_TYPE}:MembershipCredential")) == ["MembershipCredential"]


@case(CASES, "5.4.1.2 a credential is presented by id")
def by_id(stage: Stage) -> None:
    texts = _held(stage)
    identifier = read_compact(texts["DataspaceRoleCredential"], max_bytes=10**5).payload["id"]
    for scope in (f"{BY_ID}:{identifier}", f"{BY_ID}:{identifier}:read"):
        assert _types(_query(stage, scope)) == ["DataspaceRoleCredential"]


@case(CASES, "5.4.1.2 several scopes are answered in one form of presentation")
def several(stage: Stage) -> None:
    _held(stage)
    answer = _query(stage, MEMBERSHIP, ROLE)
    assert _types(answer) == ["DataspaceRoleCredential", "MembershipCredential"]
    assert len(answer.json()["presentation"]) == 1


@case(CASES, "5.4.1.2 fewer scopes than the access token allows give what was asked for")
def fewer_asked(stage: Stage) -> None:
    _held(stage)
    assert _types(_query(stage, ROLE)) == ["DataspaceRoleCredential"]


@case(CASES, "5.4.1.2 more scopes than the access token allows give what is allowed")
def escalation(stage: Stage) -> None:
    _held(stage)
    assert _types(_query(stage, MEMBERSHIP, ROLE, allowed=(MEMBERSHIP,))) == ["MembershipCredential"]
    assert _types(_query(stage, ROLE, allowed=(MEMBERSHIP,))) == []


@case(CASES, "5.4.1.2 a type that is not held gives no presentation")
def not_held(stage: Stage) -> None:
    scope = f"{BY_TYPE}:MembershipCredential:read"
    assert _types(_query(stage, scope)) == []


@case(CASES, "5.4.1.2 a scope with an alias that nobody defined is a 400")
def unknown_alias(stage: Stage) -> None:
    refused(_query(stage, "org.example.vc:MembershipCredential"), 400)


@case(CASES, "5.4.2 a presentation is for the verifier alone, and signed by its holder under authentication")
def good_presentation(stage: Stage) -> None:
    _held(stage)
    answer = _query(stage, MEMBERSHIP)
    accepted(answer)
    (text,) = answer.json()["presentation"]
    presentation = read_presentation(text)
    assert presentation.holder == stage.did
    assert presentation.jws.payload["aud"] == stage.third.did
    document = httpx.get(f"{stage.url}/.well-known/did.json").json()
    key = find_method(document, stage.did, presentation.jws.kid, "authentication", now())
    presentation.jws.verify(key)


@case(CASES, "4.3.2 the secure token service gives a client a token that a verifier accepts")
def secure_token_service(stage: Stage) -> None:
    _held(stage)
    client, secret = stage.claims.clients.make()
    answer = _ask_token(stage, client, secret, bearer_access_scope=f"{MEMBERSHIP} {ROLE}")
    accepted(answer, 200)
    said = read_compact(answer.json()["access_token"]).payload
    assert (said["iss"], said["sub"], said["aud"]) == (stage.did, stage.did, stage.third.did)
    body = message("PresentationQueryMessage", scope=[MEMBERSHIP])
    token = stage.third.token(stage.did, access=said[ACCESS])
    assert _types(post(f"{stage.credential_service}/presentations/query", body, token)) == ["MembershipCredential"]


@case(CASES, "4.3.2 without bearer_access_scope the token has no access token")
def token_without_scope(stage: Stage) -> None:
    client, secret = stage.claims.clients.make()
    said = read_compact(_ask_token(stage, client, secret).json()["access_token"]).payload
    assert ACCESS not in said


@case(CASES, "4.3.2 the secure token service refuses strangers, ended clients and other grants")
def token_refusals(stage: Stage) -> None:
    client, secret = stage.claims.clients.make()
    for given in ((client, "wrong"), ("nobody", secret), ("", "")):
        answer = _ask_token(stage, *given)
        refused(answer, 401)
        assert answer.json()["error"] == "invalid_client"
    refused(_ask_token(stage, client, secret, grant_type="password"), 400)
    refused(_ask_token(stage, client, secret, audience="somebody"), 400)
    stage.claims.clients.end(client)
    refused(_ask_token(stage, client, secret), 401)


def _ask_token(stage: Stage, client: str, secret: str, **fields: str) -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    form |= {"audience": stage.third.did} | fields
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return httpx.post(f"{stage.url}/token", content=urlencode(form), headers=headers, timeout=10)
