"""Replaces a key of a connector or an authority, and says what happens when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import Connection

from synthema.assembly.setup import PASSPHRASE
from synthema.clock import Clock, to_text
from synthema.config import Settings
from synthema.identity import FileSigner, read_passphrase_file
from synthema.identity.multibase import encode_ed25519_key
from synthema.identity.rotation import NOTICE, ROTATED, KeyBook
from synthema.identity.versions import OVERLAP, KeyVersion
from synthema.ids import new_id
from synthema.provenance import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity
from synthema.values import Closed


class RotateKey(Closed):
    """Which key to replace, why, and how long the new one is published before it signs."""

    purpose: str = "assertion"
    reason: str = Field(min_length=3, max_length=500)
    notice_seconds: float = Field(default=NOTICE.total_seconds(), ge=0, le=timedelta(days=366).total_seconds())
    compromised: bool = False


def rotate_key(book: KeyBook, settings: Settings, log: ProvenanceLog, clock: Clock, given: RotateKey) -> dict[str, Any]:
    """Replace a key: logged, published at once, used after the notice. Returns what happens when, as JSON."""

    def told(connection: Connection, replaced: KeyVersion, new: KeyVersion) -> None:
        now = clock.now()
        log.append(
            connection,
            Activity(
                iri=log.iri("keyrotation", new_id("keyrotation")),
                type="KeyRotation",
                label=f"The key {replaced.name} is replaced by {new.name}",
                started=now,
                ended=now,
                agents=(Agent(settings.did, "Organization", settings.name),),
                used=(_entity(settings.did, replaced),),
                generated=(_entity(settings.did, new),),
                attributes={"reason": given.reason, "compromised": given.compromised},
            ),
        )

    passphrase = read_passphrase_file(settings.home / PASSPHRASE)
    notice = timedelta(seconds=given.notice_seconds)
    replaced, new = book.rotate(given.purpose, passphrase, told, notice=notice, compromised=given.compromised)
    return {
        "replaced": f"{settings.did}#{replaced.name}",
        "new": f"{settings.did}#{new.name}",
        "signsFrom": to_text(new.begins or clock.now()),
        "oldBelievedUntil": to_text(replaced.expires or clock.now()),
        "overlapMinutes": int(OVERLAP.total_seconds() // 60),
        "compromised": given.compromised,
    }


def key_versions(signer: FileSigner) -> list[dict[str, Any]]:
    """The versions of the keys that are replaced here, the oldest first."""
    return [
        {
            "key": version.name,
            "begins": None if version.begins is None else to_text(version.begins),
            "ends": None if version.ends is None else to_text(version.ends),
            "revoked": version.revoked,
            "signs": signer.current(purpose) == version.name,
            "publicKey": encode_ed25519_key(version.public_key),
        }
        for purpose in ROTATED
        for version in signer.versions(purpose)
    ]


def _entity(did: str, version: KeyVersion) -> Entity:
    return Entity(
        f"{did}#{version.name}", ("PublicKey",), attributes={"publicKey": encode_ed25519_key(version.public_key)}
    )
