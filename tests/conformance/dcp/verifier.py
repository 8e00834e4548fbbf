"""What a verifier must turn away, and what it must let in: the target is called by a member and looks who it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from synthema.clock import to_text
from synthema.identity import credentials
from synthema.identity.jose import read_compact
from synthema.identity.multibase import encode_base64url
from tests.conformance.dcp.cases import Ask, Cases, accepted, add_token_cases, case, refused
from tests.conformance.dcp.parties import SPACE, Party, message, now
from tests.conformance.dcp.target import Stage

CASES: Cases = {}
SCOPE = "org.eclipse.dspace.dcp.vc.type:MembershipCredential:read"


def _call(stage: Stage) -> Any:
    return stage.trigger(stage.holder.token(stage.did))


def _told(answer: Any, check: int) -> None:
    """The refusal names the numbered check, and says what to do."""
    refused(answer)
    body = answer.json()
    assert f"check {check} of 12" in body["message"], body
    assert body["fix"]


def _ready(stage: Stage) -> Ask:
    stage.member()
    return lambda token, prefix: stage.trigger(token, prefix=prefix)


add_token_cases(CASES, "4.3.3", "a call", lambda stage: stage.holder, _ready)


@case(CASES, "4.3.3 a call is refused: the party lists no key under capabilityInvocation")
def mute(stage: Stage) -> None:
    stage.member()
    refused(stage.trigger(stage.mute.token(stage.did)))


@case(CASES, "4.3.3 a call is refused: no kid, and the DID document has several keys")
def no_kid(stage: Stage) -> None:
    stage.member()
    refused(stage.trigger(_without_kid(stage.holder, stage)))


@case(CASES, "4.3.3 a call without kid is accepted where the DID document has one key")
def one_key(stage: Stage) -> None:
    party = stage.plain
    party.shows(party.presented([stage.issuer.signed(stage.issuer.credential(party.did))], stage.did))
    accepted(stage.trigger(_without_kid(party, stage)))


@case(CASES, "4.3.3 a call is refused: the DID document found for sub has another id")
def another_document(stage: Stage) -> None:
    stage.member()
    refused(stage.trigger(stage.double.token(stage.did)))


@case(CASES, "4.3.3 a call is refused: its jti was used before")
def replayed(stage: Stage) -> None:
    stage.member()
    token = stage.holder.token(stage.did)
    accepted(stage.trigger(token))
    refused(stage.trigger(token))
    refused(stage.trigger(stage.holder.token(stage.did, jti=_jti(token))))


@case(CASES, "4.3.1 a call is refused: its token has no access token")
def no_access_token(stage: Stage) -> None:
    stage.member()
    refused(stage.trigger(stage.holder.token(stage.did, access=None)))


@case(CASES, "4.3.3 a call is refused: the access token is bound to another party")
def borrowed_access_token(stage: Stage) -> None:
    stage.member()  # the third party's own credential service does not know the access token
    refused(stage.trigger(stage.third.token(stage.did)))


@case(CASES, "5.1 a member is let in")
def let_in(stage: Stage) -> None:
    stage.member()
    answer = _call(stage)
    accepted(answer)
    assert answer.json() == {"caller": stage.holder.did}


@case(CASES, "5.3.1 the credential service is asked with a token for its holder that returns the access token")
def asks_with_its_own_token(stage: Stage) -> None:
    stage.member()
    accepted(stage.trigger(stage.holder.token(stage.did, access="opaque")))
    said = _payload(stage.holder.asked[0][0])
    assert (said["iss"], said["sub"], said["aud"], said["token"]) == (stage.did, stage.did, stage.holder.did, "opaque")


@case(CASES, "5.4.1 the credential service is asked for exactly the scope of memberships")
def asks_for_memberships(stage: Stage) -> None:
    stage.member()
    accepted(_call(stage))
    query = stage.holder.asked[0][1]
    assert query == message("PresentationQueryMessage", scope=[SCOPE])


@case(CASES, "5.2 a party whose DID document names no credential service is refused")
def no_service(stage: Stage) -> None:
    services = stage.third.document["service"]
    stage.third.document["service"] = []
    stage.claims.resolver._kept.clear()
    try:
        answer = stage.trigger(stage.third.token(stage.did))
        assert answer.status_code >= 400, answer.text
    finally:
        stage.third.document["service"] = services
        stage.claims.resolver._kept.clear()


@case(CASES, "5.4.2.1 another credential than the one that is asked for is refused")
def another_type(stage: Stage) -> None:
    stage.member(type_="DataspaceRoleCredential", said={"role": "hub"})
    _told(_call(stage), 12)


@case(CASES, "5.4.2.2 more credentials than were asked for are accepted")
def more_than_asked(stage: Stage) -> None:
    holder, issuer = stage.holder, stage.issuer
    given = [
        issuer.credential(holder.did),
        issuer.credential(holder.did, type_="DataspaceRoleCredential", said={"role": "hub"}),
        issuer.credential(holder.did, type_="SensitiveDataCredential", said={"anything": 1}),
    ]
    holder.shows(holder.presented([issuer.signed(each) for each in given], stage.did))
    accepted(_call(stage))


@case(CASES, "5.4.2.3 an empty list of presentations is refused")
def nothing_presented(stage: Stage) -> None:
    stage.holder.shows()
    _told(_call(stage), 12)


@case(CASES, "5.4.2.4 a presentation without credentials is refused")
def empty_presentation(stage: Stage) -> None:
    stage.holder.shows(stage.holder.presented([], stage.did))
    _told(_call(stage), 12)


@case(CASES, "5.4.2 an answer that is no PresentationResponseMessage is refused")
def no_response(stage: Stage) -> None:
    stage.holder.answer = lambda _query: {"presentation": "membership"}
    refused(_call(stage))


@case(CASES, "5.4.3 a presentation that is no signed text of its kind is refused")
def unreadable(stage: Stage) -> None:
    for value in ("e30.e30.AA", {"type": ["VerifiablePresentation"]}, stage.holder.token(stage.did)):
        stage.holder.shows(value)
        _told(_call(stage), 1)


@case(CASES, "5.4.3 the presentation's signature must fit")
def forged_presentation(stage: Stage) -> None:
    good = stage.holder.presented([stage.issuer.signed(stage.issuer.credential(stage.holder.did))], stage.did)
    stage.holder.shows(good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"))
    refused(_call(stage))


@case(CASES, "5.4.3 the presentation's key must stand under authentication")
def not_authenticating(stage: Stage) -> None:
    text = stage.issuer.signed(stage.issuer.credential(stage.holder.did))
    stage.holder.shows(stage.holder.presented([text], stage.did, key="log"))
    _told(_call(stage), 2)


@case(CASES, "5.4.3 a presentation of another holder is refused")
def anothers_presentation(stage: Stage) -> None:
    text = stage.issuer.signed(stage.issuer.credential(stage.third.did))
    stage.holder.shows(stage.third.presented([text], stage.did))
    _told(_call(stage), 3)


@case(CASES, "5.4.3 a presentation made for another verifier is refused")
def for_another_verifier(stage: Stage) -> None:
    text = stage.issuer.signed(stage.issuer.credential(stage.holder.did))
    stage.holder.shows(stage.holder.presented([text], stage.third.did))
    _told(_call(stage), 3)


@case(CASES, "5.4.3 a presentation that has expired is refused")
def old_presentation(stage: Stage) -> None:
    text = stage.issuer.signed(stage.issuer.credential(stage.holder.did))
    past = int((now() - timedelta(minutes=10)).timestamp())
    stage.holder.shows(stage.holder.presented([text], stage.did, exp=past, iat=past - 60))
    _told(_call(stage), 3)


@case(CASES, "5.4.3.3 a credential that names another issuer than the party that signed it is refused")
def another_issuer(stage: Stage) -> None:
    document = stage.issuer.credential(stage.holder.did)
    forged = stage.quack.signed(document, method=f"{stage.quack.did}#assertion")
    stage.holder.shows(stage.holder.presented([forged], stage.did))
    _told(_call(stage), 5)


@case(CASES, "5.4.3.4 a credential whose signature does not fit is refused")
def forged_credential(stage: Stage) -> None:
    document = stage.issuer.credential(stage.holder.did)
    forged = stage.quack.signed(document, method=f"{stage.issuer.did}#assertion")
    stage.holder.shows(stage.holder.presented([forged], stage.did))
    _told(_call(stage), 6)


@case(CASES, "5.4.3 a credential of an issuer that is not trusted for its kind is refused")
def untrusted_issuer(stage: Stage) -> None:
    text = stage.quack.signed(stage.quack.credential(stage.holder.did))
    stage.holder.shows(stage.holder.presented([text], stage.did))
    _told(_call(stage), 7)


@case(CASES, "5.4.3 a membership that its holder issued itself is refused")
def self_issued(stage: Stage) -> None:
    text = stage.holder.signed(stage.holder.credential(stage.holder.did))
    stage.holder.shows(stage.holder.presented([text], stage.did))
    _told(_call(stage), 7)


@case(CASES, "5.4.3.6 a revoked credential is refused")
def revoked(stage: Stage) -> None:
    stage.issuer.revoked.add(11)
    stage.member(index=11)
    _told(_call(stage), 9)


@case(CASES, "5.4.3.6 a suspended credential is refused")
def suspended(stage: Stage) -> None:
    stage.issuer.suspended.add(12)
    stage.member(index=12)
    _told(_call(stage), 9)


@case(CASES, "5.4.3.6 a credential whose status cannot be found out is refused")
def status_unknown(stage: Stage) -> None:
    entry = {
        "type": "BitstringStatusListEntry", "statusPurpose": "revocation", "statusListIndex": "3",
        "statusListCredential": "https://elsewhere.example/status/1",
    }  # fmt: skip
    stage.member(credentialStatus=entry)
    _told(_call(stage), 9)


@case(CASES, "5.4.3.7 an expired credential is refused")
def expired(stage: Stage) -> None:
    stage.member(validUntil=to_text(now() - timedelta(hours=1)))
    _told(_call(stage), 8)


@case(CASES, "5.4.3.7 a credential that is not valid yet is refused")
def not_yet_valid(stage: Stage) -> None:
    stage.member(validFrom=to_text(now() + timedelta(hours=1)))
    _told(_call(stage), 8)


@case(CASES, "5.4.3 a credential about another party than its holder is refused")
def about_another(stage: Stage) -> None:
    stage.member(stage.issuer.credential(stage.third.did))
    _told(_call(stage), 10)


@case(CASES, "5.4.3 a credential that breaks its schema is refused")
def schema_broken(stage: Stage) -> None:
    stage.member(said={"foo": "bar"})
    _told(_call(stage), 11)


@case(CASES, "5.4.3 a credential with a schema that nobody here knows is refused")
def schema_unknown(stage: Stage) -> None:
    stage.member(credentialSchema={"id": "https://elsewhere.example/other.json", "type": "JsonSchema"})
    _told(_call(stage), 11)


@case(CASES, "profiles: a credential with its proof inside is accepted in a presentation of its own")
def proof_inside(stage: Stage) -> None:
    document = stage.issuer.credential(stage.holder.did, credentialStatus=...)
    proven = credentials.issue(document, stage.issuer.signer, f"{stage.issuer.did}#assertion", now())
    stage.holder.shows(stage.holder.presented([proven], stage.did))
    accepted(_call(stage))
    assert stage.claims.counterparties.claims_of(stage.holder.did, now())[0].subject.member_of == SPACE  # type: ignore[attr-defined]


@case(CASES, "profiles: a presentation that mixes both forms is refused")
def mixed_forms(stage: Stage) -> None:
    document = stage.issuer.credential(stage.holder.did, credentialStatus=...)
    proven = credentials.issue(document, stage.issuer.signer, f"{stage.issuer.did}#assertion", now())
    stage.holder.shows(stage.holder.presented([proven, stage.issuer.signed(document)], stage.did))
    _told(_call(stage), 1)


def _without_kid(party: Party, stage: Stage) -> str:
    payload = party.token(stage.did).split(".")[1]
    header = encode_base64url(b'{"alg":"EdDSA","typ":"JWT"}')
    signature = party.signer.sign("assertion", f"{header}.{payload}".encode())
    return f"{header}.{payload}.{encode_base64url(signature)}"


def _payload(token: str) -> dict[str, Any]:
    return dict(read_compact(token).payload)


def _jti(token: str) -> str:
    return str(_payload(token)["jti"])
