"""The credentials this connector holds about itself, and the presentations it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from synthema.canonical import canonical_json, digest_bytes, parse_json_strictly
from synthema.clock import Clock
from synthema.identity.dcp.envelope import Enclosed, Form, present, read_container
from synthema.identity.dcp.scopes import Scope
from synthema.identity.dcp.store import ClaimsLog, ClaimStep, held_credentials
from synthema.identity.dcp.verification import Claim, Verifier
from synthema.identity.keys import Signer
from synthema.identity.versions import current_key
from synthema.storage import Database


@dataclass(frozen=True, slots=True)
class Held:
    """A credential we hold."""

    id: str
    type: str
    issuer: str
    form: Form
    payload: str
    valid_until: datetime | None
    received_at: datetime

    def matches(self, scope: Scope) -> bool:
        """Whether a scope means it."""
        return scope.value == (self.type if scope.by == "type" else self.id)


@dataclass(frozen=True, slots=True)
class Checked:
    """A credential that passed verification and may be kept."""

    enclosed: Enclosed
    claim: Claim


class Wallet:
    """Keeps credentials that were verified first, and presents those that are valid."""

    def __init__(
        self, database: Database, log: ClaimsLog, signer: Signer, did: str, verifier: Verifier, clock: Clock
    ) -> None:
        self._database = database
        self._log = log
        self._signer = signer
        self._did = did
        self._verifier = verifier
        self._clock = clock

    def check(self, payload: str, format_: str) -> Checked:
        """Verify a credential about us before it is kept; may ask the network, changes nothing."""
        enclosed = read_container(payload, format_)
        return Checked(enclosed, self._verifier.credential(enclosed, self._did))

    def keep(self, payload: str, format_: str) -> Held:
        """Verify and keep a credential; an earlier one of the same kind and issuer is replaced."""
        checked = self.check(payload, format_)
        return self._database.write(lambda connection: self.keep_within(connection, checked))

    def keep_within(self, connection: Connection, checked: Checked) -> Held:
        """Keep a checked credential within the caller's transaction; one that is held already stays as it is."""
        claim, form = checked.claim, checked.enclosed.form
        text = payload_text(checked.enclosed)
        digest, now = digest_bytes(text.encode()), self._clock.now()
        known = connection.execute(select(held_credentials).where(held_credentials.c.digest == digest)).mappings()
        row: Any = known.one_or_none()
        if row is None:
            same = (held_credentials.c.type == claim.type) & (held_credentials.c.issuer == claim.issuer)
            connection.execute(update(held_credentials).where(same).values(replaced=True))
            row = {
                "digest": digest,
                "credential_id": claim.id,
                "type": claim.type,
                "issuer": claim.issuer,
                "form": form,
                "payload": text,
                "valid_until": claim.valid_until,
                "received_at": now,
                "replaced": False,
            }
            connection.execute(insert(held_credentials).values(**row))
            said = {"credentialType": claim.type}
            step = ClaimStep("CredentialReceived", claim.issuer, now, claim.id, digest, said)
            self._log.record_claim_step(connection, step)
        return _held(row)

    def holds(self, payload: str) -> bool:
        """Whether this very payload was kept."""
        wanted = held_credentials.c.digest == digest_bytes(payload.encode())
        with self._database.read() as connection:
            return connection.execute(select(held_credentials.c.digest).where(wanted)).first() is not None

    def all(self) -> list[Held]:
        """The credentials in use, by type; expired ones too."""
        query = select(held_credentials).where(~held_credentials.c.replaced).order_by(held_credentials.c.type)
        with self._database.read() as connection:
            return [_held(row) for row in connection.execute(query).mappings()]

    def present(self, asked: Sequence[Scope], allowed: Sequence[Scope], audience: str) -> list[str]:
        """Presentations of what was asked for and is allowed: one for each form of credential, none for nothing."""
        now = self._clock.now()
        chosen = [
            held
            for held in self.all()
            if (held.valid_until is None or now < held.valid_until)
            and any(map(held.matches, asked))
            and any(map(held.matches, allowed))
        ]
        key = current_key(self._signer, "assertion")
        presentations = []
        for form in ("jwt", "ldp"):
            payloads = [_payload(held) for held in chosen if held.form == form]
            if payloads:
                presentations.append(present(payloads, self._did, audience, self._signer, now, key=key))
        return presentations


def payload_text(enclosed: Enclosed) -> str:
    """A credential as the text that is kept and delivered."""
    payload = enclosed.payload
    return payload if isinstance(payload, str) else canonical_json(dict(payload)).decode()


def _payload(held: Held) -> Any:
    return held.payload if held.form == "jwt" else parse_json_strictly(held.payload.encode())


def _held(row: Any) -> Held:
    return Held(
        row["credential_id"],
        row["type"],
        row["issuer"],
        row["form"],
        row["payload"],
        row["valid_until"],
        row["received_at"],
    )
