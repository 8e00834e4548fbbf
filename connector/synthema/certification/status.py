"""The issuer's status lists: a certificate can be suspended, reinstated, and revoked for good.

Published as two signed credentials (Bitstring Status List 1.0): one for
revocation, one for suspension. Whoever holds a certificate can look.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from synthema.certification import store
from synthema.certification.document import StatusEntry, read_document
from synthema.certification.store import CertificateState
from synthema.clock import Clock
from synthema.errors import ConflictError, InputError, NotFoundError
from synthema.identity import Signer, StatusList, status_entry, status_list_credential
from synthema.identity.credentials import issue
from synthema.identity.statuslist import PURPOSES, Purpose
from synthema.identity.versions import signing_method
from synthema.ids import new_id
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity
from synthema.storage import Database

LIST_LIFETIME: Final = timedelta(hours=12)
"""How long a fetched list may be believed: the longest time until a revocation is seen everywhere."""

TRANSITIONS: Final[dict[tuple[CertificateState, str], CertificateState]] = {
    ("valid", "suspend"): "suspended",
    ("valid", "revoke"): "revoked",
    ("suspended", "reinstate"): "valid",
    ("suspended", "revoke"): "revoked",
}
"""The whole life of a certificate; revocation is final."""

_LABELS: Final = {
    "suspend": ("Suspension", "a certificate was suspended"),
    "reinstate": ("Reinstatement", "a suspended certificate is valid again"),
    "revoke": ("Revocation", "a certificate was revoked"),
}
_BITS: Final[dict[Purpose, CertificateState]] = {"revocation": "revoked", "suspension": "suspended"}


class StatusRegister:
    """The status of all certificates one connector issued."""

    def __init__(self, database: Database, log: ProvenanceLog, signer: Signer, did: str, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._signer = signer
        self._did = did
        self._clock = clock

    def list_url(self, purpose: Purpose) -> str:
        """Where the list of this purpose is published."""
        return f"{self._log.origin}/status/{purpose}"

    def entries(self, index: int) -> tuple[StatusEntry, ...]:
        """The ``credentialStatus`` of the certificate that has these bits."""
        return tuple(
            read_document(StatusEntry, status_entry(self.list_url(purpose), index, purpose)) for purpose in PURPOSES
        )

    def suspend(self, certificate: str, reason: str, *, person: str | None = None) -> None:
        """Stop a certificate until it is reinstated or revoked, e.g. while a withdrawal of consent is assessed."""
        self._change(certificate, "suspend", reason, person)

    def suspend_within(self, connection: Connection, certificate: str, reason: str) -> None:
        """:meth:`suspend` as part of a larger transaction; raises :class:`ConflictError` where it is suspended."""
        self._change_within(connection, certificate, "suspend", reason, None)

    def reinstate(self, certificate: str, reason: str, *, person: str | None = None) -> None:
        """End a suspension."""
        self._change(certificate, "reinstate", reason, person)

    def revoke(self, certificate: str, reason: str, *, person: str | None = None) -> None:
        """End a certificate for good."""
        self._change(certificate, "revoke", reason, person)

    def credential(self, purpose: str) -> dict[str, Any]:
        """The signed list as it is now; raises :class:`NotFoundError` for a purpose there is no list for."""
        if purpose not in _BITS:
            raise NotFoundError("there is no such status list", fix=f"ask for one of: {', '.join(PURPOSES)}")
        known: Purpose = "revocation" if purpose == "revocation" else "suspension"
        bits = StatusList()
        with self._database.read() as connection:
            for index in store.set_bits(connection, _BITS[known]):
                bits.set(index, value=True)
        now = self._clock.now()
        unsigned = status_list_credential(self.list_url(known), self._did, bits, known, now, now + LIST_LIFETIME)
        return issue(unsigned, self._signer, signing_method(self._signer, self._did), now)

    def _change(self, certificate: str, event: str, reason: str, person: str | None) -> None:
        if not reason.strip():
            raise InputError("no reason is given", fix="say why in one sentence; it stands in the log")
        self._database.write(lambda connection: self._change_within(connection, certificate, event, reason, person))

    def _change_within(
        self, connection: Connection, certificate: str, event: str, reason: str, person: str | None
    ) -> None:
        record = store.certificate_of(connection, certificate)
        state = TRANSITIONS.get((record.state, event))
        if state is None:
            raise ConflictError(f"a certificate that is {record.state} cannot {event}", fix="look at its status first")
        now = self._clock.now()
        store.set_certificate_state(connection, certificate, state, reason, now)
        type_, label = _LABELS[event]
        people = () if person is None else (Agent(person, "Person", acts_for=self._did),)
        self._log.append(
            connection,
            Activity(
                iri=self._log.iri("statuschange", new_id("statuschange")),
                type=type_,
                label=label,
                started=now,
                ended=now,
                agents=(Agent(self._did, "Organization"), *people),
                used=(Entity(certificate, ("Certificate",), attributes={"certificateState": state}),),
                attributes={"reason": reason},
            ),
        )
