"""Issuing and checking grants, and the one door to patient data.

The door has four locks, and each is tried on every opening: the signature
(nobody but this connector issued the grant), the time, the row in the database
(issued here, consumed by a run, never opened before), and the digest of the
dataset that is asked for.
"""

from __future__ import annotations

from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection

from synthema.clock import Clock
from synthema.errors import DeniedError
from synthema.identity import Signer
from synthema.runs import store
from synthema.runs.model import Grant

GRANT_KEY = "grant"


def sign_grant(grant: Grant, signer: Signer) -> Grant:
    """The grant with the connector's signature over everything it says."""
    signature = signer.sign(GRANT_KEY, grant.signed_bytes()).hex()
    return grant.model_copy(update={"signature": signature})


def check_grant(grant: Grant, signer: Signer, at: datetime) -> None:
    """Raise :class:`DeniedError` unless this connector signed the grant and its time is now."""
    key = Ed25519PublicKey.from_public_bytes(signer.public_key(GRANT_KEY))
    try:
        key.verify(bytes.fromhex(grant.signature), grant.signed_bytes())
    except (InvalidSignature, ValueError) as error:
        raise DeniedError("the grant is not as this connector signed it", fix="make a new request") from error
    if at < grant.not_before:
        raise DeniedError(
            "the grant is not valid yet", fix=f"start the run after {grant.not_before:%Y-%m-%d %H:%M} UTC"
        )
    if at >= grant.expires_at:
        raise DeniedError(f"the grant expired at {grant.expires_at:%Y-%m-%d %H:%M:%S} UTC", fix="make a new request")


class DataDoor:
    """Decides whether a grant may open a dataset; the datasets room asks it before every opening."""

    def __init__(self, signer: Signer, clock: Clock) -> None:
        self._signer = signer
        self._clock = clock

    def admit(self, connection: Connection, authorisation: object, dataset_digest: str) -> None:
        """Mark a consumed grant as opened; raise :class:`DeniedError` for anything else or another dataset."""
        if not isinstance(authorisation, Grant):
            raise DeniedError("data opens against a grant only", fix="start a run through the governor")
        now = self._clock.now()
        check_grant(authorisation, self._signer, now)
        if authorisation.dataset_digest != dataset_digest:
            raise DeniedError(
                "the grant is for another version of the dataset", fix="make a new request for the present version"
            )
        store.open_once(connection, authorisation, now)
