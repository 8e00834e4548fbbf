"""A registry: it takes in what passes every check, records what does not, and stops serving what is withdrawn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from synthema.canonical import digest_bytes
from synthema.certification import store
from synthema.certification.checks import CHECKS, VerificationPolicy, shown_status
from synthema.certification.evidence import candidate_iri
from synthema.certification.model import Certificate, IntendedUse, read_document
from synthema.certification.package import Package, read_package
from synthema.certification.store import Holding, HoldingState
from synthema.certification.verification import CheckResult, VerificationReport, verify_package
from synthema.clock import Clock, to_text
from synthema.errors import ConflictError, InputError, IntegrityError, NotFoundError, StorageError, SynthemaError
from synthema.identity import DidResolver
from synthema.identity.credentials import StatusLookup
from synthema.ids import new_id
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import Activity, Agent, Entity
from synthema.storage import Database

TRANSITIONS: Final[dict[tuple[HoldingState, str], HoldingState]] = {
    ("held", "suspend"): "suspended",
    ("held", "withdraw"): "withdrawn",
    ("suspended", "reinstate"): "held",
    ("suspended", "withdraw"): "withdrawn",
}
"""The whole life of a holding; withdrawal is final."""

_STANDING: Final = {
    (False, False): ("reinstate", "the issuer's status list shows the certificate as valid"),
    (True, False): ("suspend", "the issuer suspended the certificate"),
    (True, True): ("withdraw", "the issuer revoked the certificate"),
}
"""(any bit set, revocation set) → what is due."""

_LABELS: Final = {
    "suspend": ("HoldingSuspension", "a dataset is no longer served for now"),
    "reinstate": ("HoldingReinstatement", "a dataset is served again"),
    "withdraw": ("HoldingWithdrawal", "a dataset was withdrawn from this registry"),
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a package. ``log_position`` is the entry of the registry's log that says so."""

    id: str
    accepted: bool
    report: VerificationReport
    log_position: int

    def as_dict(self) -> dict[str, Any]:
        """The receipt as JSON, for a file."""
        return {
            "id": self.id,
            "accepted": self.accepted,
            "logPosition": self.log_position,
            "report": self.report.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What a look at the issuers' status lists brought about for one holding."""

    certificate: str
    event: str
    reason: str


class Registry:
    """The datasets one connector took in. ``folder`` keeps the packages by digest."""

    def __init__(
        self,
        database: Database,
        log: ProvenanceLog,
        folder: Path,
        did: str,
        policy: VerificationPolicy,
        resolver: DidResolver,
        status: StatusLookup,
        clock: Clock,
    ) -> None:
        self._database = database
        self._log = log
        self._folder = folder
        self._did = did
        self._policy = policy
        self._resolver = resolver
        self._status = status
        self._clock = clock

    def check(self, data: bytes, intended: IntendedUse) -> VerificationReport:
        """All checks on a package, without taking it in or recording anything."""
        return verify_package(data, intended, self._policy, self._resolver, self._clock.now(), self._status)

    def ingest(self, data: bytes, intended: IntendedUse, *, person: str | None = None) -> Receipt:
        """Take a package in if every check holds; record the refusal if not. See :attr:`Receipt.accepted`.

        Taking in the same package twice changes nothing but the record of it. A dataset
        that was withdrawn here is not taken in again.
        """
        if intended.recipient != self._did:
            raise InputError("the intended use is another registry's", fix=f"give {self._did} as recipient")
        report = self.check(data, intended)
        if report.ok:
            self._keep_file(report.package, data)
        identifier = new_id("ingest")
        return self._database.write(lambda c: self._settle(c, identifier, report, intended, person))

    def _settle(
        self,
        connection: Connection,
        identifier: str,
        report: VerificationReport,
        intended: IntendedUse,
        person: str | None,
    ) -> Receipt:
        now = self._clock.now()
        if report.certificate is not None:
            report = _unless_withdrawn(report, store.find_holding(connection, report.certificate))
        accepted = report.ok
        entry = self._log.append(connection, self._ingest_activity(identifier, report, intended, person, now))
        store.insert_ingest(
            connection,
            id=identifier,
            outcome="accepted" if accepted else "refused",
            package=report.package,
            certificate=report.certificate,
            artefact=report.artefact,
            intended_use=intended.as_json(),
            report=report.as_dict(),
            log_position=entry.sequence,
            at=now,
        )
        if accepted and report.certificate and report.artefact:
            store.keep_holding(connection, report.certificate, report.artefact, report.package, now)
        return Receipt(identifier, accepted, report, entry.sequence)

    # reading ---------------------------------------------------------------------------

    def holdings(self) -> list[Holding]:
        """Everything ever taken in, whatever became of it."""
        with self._database.read() as connection:
            return store.all_holdings(connection)

    def attempts(self, limit: int = 200) -> list[Mapping[str, Any]]:
        """The latest attempts to bring a package in, accepted and refused, newest first."""
        with self._database.read() as connection:
            return [dict(row) for row in store.ingest_rows(connection, limit)]

    def package(self, artefact: str) -> Package:
        """The package of a dataset in good standing, by the dataset's digest; raises :class:`NotFoundError`."""
        with self._database.read() as connection:
            holding = store.held_artefact(connection, artefact)
        return self._read(holding)

    def dataset(self, artefact: str) -> tuple[str, bytes]:
        """Media type and bytes of a dataset in good standing, by digest; raises :class:`NotFoundError`."""
        package = self.package(artefact)
        file = read_document(Certificate, package.certificate()).credential_subject.dataset_file
        return file.media_type, package.entries[file.name]

    # standing --------------------------------------------------------------------------

    def suspend(self, certificate: str, reason: str, *, person: str | None = None) -> None:
        """Stop serving a dataset for now."""
        self._change(certificate, "suspend", reason, person, by_issuer=False)

    def reinstate(self, certificate: str, reason: str, *, person: str | None = None) -> None:
        """Serve a suspended dataset again."""
        self._change(certificate, "reinstate", reason, person, by_issuer=False)

    def withdraw(self, certificate: str, reason: str, *, person: str | None = None) -> None:
        """Stop serving a dataset for good."""
        self._change(certificate, "withdraw", reason, person, by_issuer=False)

    def refresh(self) -> tuple[Change, ...]:
        """Look at the issuers' status lists, and withdraw, suspend or reinstate accordingly.

        A dataset whose status cannot be learned is suspended: not knowing is no
        reason to serve. A suspension this registry made itself is left alone.
        """
        changes = []
        for holding in self.holdings():
            event, reason = self._due(holding)
            if event:
                self._change(holding.certificate, event, reason, None, by_issuer=True)
                changes.append(Change(holding.certificate, event, reason))
        return tuple(changes)

    def _due(self, holding: Holding) -> tuple[str, str]:
        """What the issuer's word of now asks for: an event and its reason, or two empty texts."""
        if holding.state == "withdrawn":
            return "", ""
        certificate = read_document(Certificate, self._read(holding).certificate())
        now = self._clock.now()
        if now >= certificate.valid_until:
            return "withdraw", f"the certificate ended on {certificate.valid_until:%Y-%m-%d}"
        try:
            shown = shown_status(certificate, self._resolver, now, self._status)
        except SynthemaError as error:
            event, reason = "suspend", f"its status cannot be learned: {error.message}"
        else:
            event, reason = _STANDING[bool(shown), "revocation" in shown]
        if event == "reinstate" and not holding.by_issuer:
            return "", ""
        return (event, reason) if (holding.state, event) in TRANSITIONS else ("", "")

    def _change(self, certificate: str, event: str, reason: str, person: str | None, *, by_issuer: bool) -> None:
        if not reason.strip():
            raise InputError("no reason is given", fix="say why in one sentence; it stands in the log")

        def change(connection: Connection) -> None:
            holding = store.find_holding(connection, certificate)
            if holding is None:
                raise NotFoundError("there is no such dataset here", fix="list the holdings of this registry")
            state = TRANSITIONS.get((holding.state, event))
            if state is None:
                raise ConflictError(f"a dataset that is {holding.state} cannot {event}", fix="look at its state first")
            now = self._clock.now()
            store.set_holding_state(connection, certificate, state, reason, now, by_issuer=by_issuer)
            self._log.append(connection, self._change_activity(holding, event, state, reason, person, now))

        self._database.write(change)

    # activities ------------------------------------------------------------------------

    def _agents(self, person: str | None) -> tuple[Agent, ...]:
        people = () if person is None else (Agent(person, "Person", acts_for=self._did),)
        return (Agent(self._did, "Organization"), *people)

    def _ingest_activity(
        self, identifier: str, report: VerificationReport, intended: IntendedUse, person: str | None, at: datetime
    ) -> Activity:
        package = Entity(
            f"urn:synthema:package:{report.package.removeprefix('sha256:')}", ("Package",), digest=report.package
        )
        # What a refused package says of itself is noted as text: it must not become a statement about things of ours.
        taken: tuple[Entity, ...] = ()
        if report.ok and report.certificate and report.artefact:
            taken = (
                Entity(report.certificate, ("Certificate",)),
                Entity(candidate_iri(report.artefact), ("SyntheticDataset",), digest=report.artefact),
            )
        failed = ", ".join(str(number) for number in report.failed)
        return Activity(
            iri=self._log.iri("ingest", identifier),
            type="Ingest" if report.ok else "IngestRefusal",
            label="a certified dataset was taken in" if report.ok else "a package was refused",
            started=at,
            ended=at,
            agents=self._agents(person),
            used=(package, *taken),
            attributes={
                "purpose": intended.purpose,
                "checkedAt": to_text(report.at),
                "failedChecks": failed or "none",
                "claimedCertificate": report.certificate or "none",
                "checks": len(CHECKS),
            },
        )

    def _change_activity(
        self, holding: Holding, event: str, state: str, reason: str, person: str | None, at: datetime
    ) -> Activity:
        type_, label = _LABELS[event]
        return Activity(
            iri=self._log.iri("holdingchange", new_id("holdingchange")),
            type=type_,
            label=label,
            started=at,
            ended=at,
            agents=self._agents(person),
            used=(
                Entity(holding.certificate, ("Certificate",)),
                Entity(candidate_iri(holding.artefact), ("SyntheticDataset",), digest=holding.artefact),
            ),
            attributes={"reason": reason, "holdingState": state},
        )

    # files -----------------------------------------------------------------------------

    def _path(self, package: str) -> Path:
        return self._folder / package.removeprefix("sha256:")

    def _keep_file(self, package: str, data: bytes) -> None:
        """Durable before the transaction: a file without a row is harmless, a row without a file is not."""
        partial = self._folder / f"{new_id('partial')}.partial"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(self._path(package))
        except OSError as error:
            raise StorageError(f"the package could not be kept: {error}", fix="check disk space and rights") from error

    def _read(self, holding: Holding) -> Package:
        try:
            data = self._path(holding.package).read_bytes()
        except OSError as error:
            raise StorageError(f"a stored package is not readable: {error}", fix="restore it from a backup") from error
        if digest_bytes(data) != holding.package:
            raise IntegrityError("a stored package was changed on disk", fix="restore it from a backup")
        return read_package(data)


def _unless_withdrawn(report: VerificationReport, holding: Holding | None) -> VerificationReport:
    """A dataset withdrawn here fails the check of standing, whatever its issuer says."""
    if holding is None or holding.state != "withdrawn":
        return report
    results = tuple(
        CheckResult(result.number, result.title, ok=False, reason=f"it was withdrawn here: {holding.reason}",
                    fix="ask this registry's officer") if result.number == 7 and result.ok else result
        for result in report.results
    )  # fmt: skip
    return VerificationReport(report.package, report.at, results, report.certificate, report.artefact)
