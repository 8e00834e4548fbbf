"""A registry: it takes in what passes every check, records what does not, and stops serving what is withdrawn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from synthema.canonical import parse_json_strictly
from synthema.certification import record, store, users
from synthema.certification.checks import CHECKS, VerificationPolicy, shown_status
from synthema.certification.description import codebook_of
from synthema.certification.document import read_document
from synthema.certification.evidence import candidate_iri
from synthema.certification.model import Certificate, IntendedUse
from synthema.certification.package import Package
from synthema.certification.quarantine import PackageFiles
from synthema.certification.receipts import About, Event, ReceiptBook
from synthema.certification.store import Holding, HoldingState
from synthema.certification.table import read_released_table
from synthema.certification.targets import Rows
from synthema.certification.uses import use_sentences
from synthema.certification.verification import CheckResult, VerificationReport, verify_package
from synthema.clock import Clock, to_text
from synthema.errors import ConflictError, InputError, NotFoundError, SynthemaError
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


_EVENTS: Final[dict[str, Event]] = {"suspend": "suspended", "reinstate": "reinstated", "withdraw": "withdrawn"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a package. ``log_position`` is the entry of the registry's log that says so.

    ``quarantined`` says whether a refused package was kept, to be looked into or checked again.
    """

    id: str
    accepted: bool
    report: VerificationReport
    log_position: int
    quarantined: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The outcome as JSON."""
        return {
            "id": self.id,
            "accepted": self.accepted,
            "quarantined": self.quarantined,
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
    """The datasets one connector took in, under a policy that may be made anew for each check.

    ``folder`` keeps the packages by digest, ``receipts`` what issuers are told.
    """

    def __init__(
        self,
        database: Database,
        log: ProvenanceLog,
        folder: Path,
        did: str,
        policy: VerificationPolicy | Callable[[], VerificationPolicy],
        resolver: DidResolver,
        status: StatusLookup,
        clock: Clock,
        *,
        receipts: ReceiptBook | None = None,
    ) -> None:
        self._database = database
        self._log = log
        self._files = PackageFiles(folder)
        self._did = did
        self._policy = policy
        self._resolver = resolver
        self._status = status
        self._clock = clock
        self._receipts = receipts

    def check(
        self,
        source: bytes | Path,
        intended: IntendedUse,
        *,
        resolver: DidResolver | None = None,
        status: StatusLookup | None = None,
    ) -> VerificationReport:
        """All checks on a package, without taking it in or recording anything.

        ``resolver`` and ``status`` take the place of the network's, for who brings keys and status lists along.
        """
        keys, lists = resolver or self._resolver, status or self._status
        policy = self._policy() if callable(self._policy) else self._policy
        return verify_package(source, intended, policy, keys, self._clock.now(), lists)

    def ingest(self, data: bytes, intended: IntendedUse, *, person: str | None = None) -> Outcome:
        """Take a package in if every check holds; record the refusal if not. See :attr:`Outcome.accepted`.

        It lies in quarantine while it is checked. Taking in the same package twice changes nothing but the record
        of it. A dataset that was withdrawn here is not taken in again.
        """
        if intended.recipient != self._did:
            raise InputError("the intended use is another registry's", fix=f"give {self._did} as recipient")
        package, path = self._files.arrive(data, self._clock.now())
        return self._take(package, path, intended, person)

    def check_again(self, ingest: str, *, person: str | None = None) -> Outcome:
        """Check a refused package in quarantine once more, and take it in if every check holds now."""
        with self._database.read() as connection:
            row = store.ingest_row(connection, ingest)
        intended = read_document(IntendedUse, row["intended_use"])
        return self._take(row["package"], self._files.waiting(row["package"]), intended, person)

    def discard(self, ingest: str, reason: str, *, person: str | None = None) -> None:
        """Delete a refused package from quarantine."""
        if not reason.strip():
            raise InputError("no reason is given", fix="say why in one sentence; it stands in the log")
        with self._database.read() as connection:
            row = store.ingest_row(connection, ingest)
        self._files.waiting(row["package"])
        self._discard(row["package"], reason, person)

    def _take(self, package: str, path: Path, intended: IntendedUse, person: str | None) -> Outcome:
        report = self.check(path, intended)
        if report.ok:
            self._files.admit(package)
        identifier = new_id("ingest")
        outcome = self._database.write(lambda c: self._settle(c, identifier, report, intended, person))
        if outcome.accepted or 1 in report.failed:
            self._files.discard(package)
        return outcome

    def _settle(
        self,
        connection: Connection,
        identifier: str,
        report: VerificationReport,
        intended: IntendedUse,
        person: str | None,
    ) -> Outcome:
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
        if report.certificate and report.artefact and not set(report.failed) & {2, 4, 5}:
            # Only an issuer that is trusted here, and did sign this, is told.
            words = "; ".join(f"check {r.number}: {r.reason}" for r in report.results if not r.ok)[:4000]
            about = About(str(report.issuer), report.certificate, report.artefact, report.package)
            self._owe(connection, about, "accepted" if accepted else "refused", words, entry.sequence)
        quarantined = not accepted and 1 not in report.failed
        return Outcome(identifier, accepted, report, entry.sequence, quarantined)

    def _owe(self, connection: Connection, about: About, event: Event, reason: str, log_position: int) -> None:
        if self._receipts is not None:
            self._receipts.owe(connection, about, event, reason, log_position)

    # reading ---------------------------------------------------------------------------

    def holdings(self) -> list[Holding]:
        """Everything ever taken in, whatever became of it."""
        with self._database.read() as connection:
            return store.all_holdings(connection)

    def attempts(self, limit: int = 200) -> list[Mapping[str, Any]]:
        """The latest attempts to bring a package in, accepted and refused, newest first."""
        with self._database.read() as connection:
            return [dict(row) for row in store.ingest_rows(connection, limit)]

    def in_quarantine(self) -> list[Mapping[str, Any]]:
        """The refused packages that can still be looked into or checked again, each with its latest attempt."""
        found: dict[str, Mapping[str, Any]] = {}
        for row in self.attempts(1000):
            if row["outcome"] == "refused" and self._files.is_waiting(row["package"]):
                found.setdefault(row["package"], row)
        return list(found.values())

    def package(self, artefact: str) -> Package:
        """The package of a dataset in good standing, by the dataset's digest; raises :class:`NotFoundError`.

        Close it after use.
        """
        with self._database.read() as connection:
            holding = store.held_artefact(connection, artefact)
        return self._files.open(holding.package)

    def dataset(self, artefact: str) -> tuple[str, bytes]:
        """Media type and bytes of a dataset in good standing, by digest; raises :class:`NotFoundError`."""
        with self.package(artefact) as package:
            file = read_document(Certificate, package.certificate()).credential_subject.dataset_file
            return file.media_type, package.read(file.name, file.size)

    def rows(self, artefact: str) -> Rows:
        """The rows of a dataset in good standing, typed by its codebook; raises :class:`NotFoundError`."""
        with self.package(artefact) as package, tempfile.TemporaryDirectory() as folder:
            certificate = read_document(Certificate, package.certificate())
            content = certificate.credential_subject
            codebook = codebook_of({"codebook.json": package.read("codebook.json")})
            path = Path(folder) / content.dataset_file.name
            package.copy(content.dataset_file.name, path)
            return Rows(
                artefact=content.candidate,
                dataset=content.id,
                certificate=certificate.id,
                title=content.title,
                table=read_released_table(path, content.rows, content.columns, codebook),
                codebook=codebook,
                uses=use_sentences(content.allowed_uses),
                issued=certificate.valid_from,
                valid_until=certificate.valid_until,
                highly_sensitive=content.highly_sensitive,
            )

    def certificate(self, holding: Holding) -> Certificate:
        """The certificate of what was taken in, whatever its standing."""
        with self._files.open(holding.package) as package:
            return read_document(Certificate, package.certificate())

    def catalogue(self, title: str) -> dict[str, Any]:
        """The HealthDCAT-AP records of all datasets in good standing, as one catalogue."""
        records = []
        for holding in self.holdings():
            if holding.state == "held":
                with self._files.open(holding.package) as package:
                    records.append(parse_json_strictly(package.read(record.NAME)))
        return {
            "@context": {"dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/"},
            "@id": self._log.iri("catalogue", "synthetic-data"),
            "@type": "dcat:Catalog",
            "dct:title": {"@value": title, "@language": "en"},
            "dct:publisher": {"@id": self._did},
            "dcat:dataset": records,
        }

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
        for package in self._files.overdue(self._clock.now()):
            self._discard(package, "it was in quarantine for too long, or too many were", None)
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
        certificate = self.certificate(holding)
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
        issuer, title = self._told_about(certificate)

        def change(connection: Connection) -> None:
            holding = store.find_holding(connection, certificate)
            if holding is None:
                raise NotFoundError("there is no such dataset here", fix="list the holdings of this registry")
            state = TRANSITIONS.get((holding.state, event))
            if state is None:
                raise ConflictError(f"a dataset that is {holding.state} cannot {event}", fix="look at its state first")
            now = self._clock.now()
            store.set_holding_state(connection, certificate, state, reason, now, by_issuer=by_issuer)
            told = users.tell_users(connection, certificate, title, event, reason, now)
            activity = self._change_activity(holding, event, state, reason, person, now, told)
            entry = self._log.append(connection, activity)
            if issuer:
                about = About(issuer, certificate, holding.artefact, holding.package)
                self._owe(connection, about, _EVENTS[event], reason, entry.sequence)

        self._database.write(change)

    def _told_about(self, certificate: str) -> tuple[str, str]:
        """Issuer and title of a dataset, for those who are told; a package that is lost must not keep it from going."""
        with self._database.read() as connection:
            holding = store.find_holding(connection, certificate)
        with suppress(SynthemaError):
            if holding is not None:
                found = self.certificate(holding)
                return found.issuer, found.name
        return "", certificate

    def _discard(self, package: str, reason: str, person: str | None) -> None:
        now = self._clock.now()
        self._log.record(
            Activity(
                iri=self._log.iri("activity", new_id("activity")),
                type="QuarantineDisposal",
                label="a refused package was deleted from quarantine",
                started=now,
                ended=now,
                agents=self._agents(person),
                used=(_package_entity(package),),
                attributes={"reason": reason},
            )
        )
        self._files.discard(package)

    # activities ------------------------------------------------------------------------

    def _agents(self, person: str | None) -> tuple[Agent, ...]:
        people = () if person is None else (Agent(person, "Person", acts_for=self._did),)
        return (Agent(self._did, "Organization"), *people)

    def _ingest_activity(
        self, identifier: str, report: VerificationReport, intended: IntendedUse, person: str | None, at: datetime
    ) -> Activity:
        package = _package_entity(report.package)
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
                "claimedArtefact": report.artefact or "none",
                "checks": len(CHECKS),
            },
        )

    def _change_activity(
        self, holding: Holding, event: str, state: str, reason: str, person: str | None, at: datetime, told: int
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
            attributes={"reason": reason, "holdingState": state, "usersTold": told},
        )


def _package_entity(package: str) -> Entity:
    return Entity(f"urn:synthema:package:{package.removeprefix('sha256:')}", ("Package",), digest=package)


def _unless_withdrawn(report: VerificationReport, holding: Holding | None) -> VerificationReport:
    """A dataset withdrawn here fails the check of standing, whatever its issuer says."""
    if holding is None or holding.state != "withdrawn":
        return report
    results = tuple(
        CheckResult(result.number, result.title, ok=False, reason=f"it was withdrawn here: {holding.reason}",
                    fix="ask this registry's officer") if result.number == 6 and result.ok else result
        for result in report.results
    )  # fmt: skip
    return replace(report, results=results)
