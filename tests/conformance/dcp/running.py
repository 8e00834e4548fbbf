"""Plays the cases of the claims protocol against the target, for the command that counts them."""

from __future__ import annotations

from collections.abc import Iterator

from synthema.identity.dcp import messages as m
from tests.conformance.dcp import SUITES, schemas
from tests.conformance.dcp.target import stage
from tests.conformance.suite import Case


def verifier_cases() -> Iterator[Case]:
    """What a verifier must turn away, and what it must let in."""
    return _played("verifier")


def credential_service_cases() -> Iterator[Case]:
    """What a credential service shows, and to whom."""
    return _played("credential service")


def storage_cases() -> Iterator[Case]:
    """What a holder takes in."""
    return _played("storage")


def issuer_cases() -> Iterator[Case]:
    """What an issuer service does."""
    return _played("issuer")


def what_we_say() -> Iterator[Case]:
    """One message of each type as we write it, against the official schema of its type."""
    reference, container = m.CredentialReference(id="1"), {"credentialType": "A", "payload": "e30", "format": m.PROFILE}
    supported = m.supported([("1", "MembershipCredential")], "https://issuer.example/schemas")
    said: dict[str, m.Message] = {
        "presentation-query-message": m.PresentationQuery(scope=["org.eclipse.dspace.dcp.vc.type:A:read"]),
        "presentation-response-message": m.PresentationResponse(presentation=["e30.e30.AA"]),
        "credential-request-message": m.CredentialRequest(holder_pid="request-1", credentials=[reference]),
        "credential-message": m.CredentialMessage(
            issuer_pid="issuance-1",
            holder_pid="request-1",
            status="ISSUED",
            credentials=[m.CredentialContainer.model_validate(container)],
        ),
        "credential-offer-message": m.CredentialOffer(issuer="did:web:issuer.example", credentials=supported),
        "credential-status": m.CredentialStatus(issuer_pid="issuance-1", holder_pid="request-1", status="RECEIVED"),
        "issuer-metadata": m.IssuerMetadata(issuer="did:web:issuer.example", credentials_supported=supported),
    }
    for kind, message in said.items():
        yield Case(kind, "; ".join(schemas.errors(kind, message.wire())))


def _played(suite: str) -> Iterator[Case]:
    with stage() as ready:
        for name, play in SUITES[suite].items():
            ready.reset()
            try:
                play(ready)
            except Exception as problem:  # noqa: BLE001 - whatever goes wrong, the case has not passed
                yield Case(name, f"{type(problem).__name__}: {problem}"[:500])
            else:
                yield Case(name)
