"""The Decentralized Claims Protocol 1.0.1 as it is described: credential service and secure token service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from synthema.assembly.claims import CREDENTIAL_SERVICE
from synthema.identity.dcp import messages as m
from synthema.web.openapi.document import Answer, Described
from synthema.web.openapi.errors import plain

_REFUSED: Final = {
    400: "the message is wrong",
    401: "the token is missing or wrong, or does not allow it",
    408: "the body came too slowly",
    413: "the body is too large",
    503: "the connector cannot take this now",
}
_NOT_TAKEN: Final = _REFUSED | {
    403: "nobody here asked the sender for it",
    409: "it was answered already",
    422: "a credential does not hold",
    502: "a signature cannot be checked now",
}


def credential_service() -> Iterable[Described]:
    """What a holder's credential service takes."""
    yield Described(
        "POST",
        f"{CREDENTIAL_SERVICE}/presentations/query",
        "Show credentials to a verifier, as far as its access token allows",
        {200: Answer("presentations", m.PresentationResponse)}
        | plain(_REFUSED | {501: "presentation definitions are not supported; ask with scopes"}),
        body=m.PresentationQuery,
    )
    taken = {200: Answer("it was taken", media_type=None)} | plain(_NOT_TAKEN)
    yield Described(
        "POST", f"{CREDENTIAL_SERVICE}/credentials", "Deliver what was asked for", taken, body=m.CredentialMessage
    )
    yield Described("POST", f"{CREDENTIAL_SERVICE}/offers", "Offer credentials", taken, body=m.CredentialOffer)


def token_service() -> Iterable[Described]:
    """What the secure token service takes, inside the house."""
    text = {"type": "string"}
    fields = ("grant_type", "client_id", "client_secret", "audience", "bearer_access_scope", "token")
    form = {"type": "object", "required": list(fields[:4]), "properties": dict.fromkeys(fields, text)}
    made = {"type": "object", "required": ["access_token", "token_type", "expires_in"]}
    wrong = {"type": "object", "required": ["error", "error_description"]}
    yield Described(
        "POST",
        "/token",
        "A self-issued token for a program of the house (OAuth 2.0 client credentials)",
        {200: Answer("the token", made), 400: Answer("the request is wrong", wrong)}
        | {401: Answer("the client is not known", wrong)}
        | plain({408: _REFUSED[408], 413: _REFUSED[413]}),
        body=form,
        media_type="application/x-www-form-urlencoded",
        open=True,
    )
