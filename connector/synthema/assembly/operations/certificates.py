"""Operations on certificates and registries: verify, collect, take in, load, tell users, suspend, revoke."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, Nothing, hexadecimal, operation
from synthema.certification import IntendedUse, Outcome, VerificationReport
from synthema.certification.targets import Kind
from synthema.clock import from_text, to_text
from synthema.errors import InputError, NotFoundError, PeerError
from synthema.identity import DidResolver

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

COLLECT_SECONDS = 60.0


class PackageFile(Input):
    """A certified package, base64, and what it is meant for."""

    package: str
    purpose: str


class OfflinePackage(PackageFile):
    """A certified package with the keys and status lists to check it by, for a machine that reaches nobody."""

    did_documents: list[dict[str, Any]] = Field(
        default_factory=list, description="documents of issuer and sites, from a source you trust"
    )
    status_lists: list[dict[str, Any]] = Field(default_factory=list, description="the issuer's signed status lists")


@operation("certificate/verify")
def verify_certificate(connector: Connector, given: OfflinePackage) -> dict[str, Any]:
    """Make every check a registry makes, without taking anything in."""
    resolver, status = None, None
    if given.did_documents:
        own = {str(document.get("id")): document for document in given.did_documents}
        resolver = DidResolver(_nobody, {}, connector.clock, own=own)
    if given.status_lists:
        lists = {str(listed.get("id")): listed for listed in given.status_lists}
        status = partial(_given_list, lists)
    registry = connector.trust.registry
    report = registry.check(_bytes(given.package), _use(connector, given.purpose), resolver=resolver, status=status)
    return report_json(report)


def _nobody(url: str) -> bytes:
    raise PeerError(f"no document for {url} was given", fix="give the DID document of this party too")


def _given_list(lists: Mapping[str, dict[str, Any]], address: str) -> dict[str, Any]:
    if address not in lists:
        raise PeerError(f"the status list {address} was not given", fix="give both status lists of the issuer")
    return lists[address]


@operation("registry/ingest")
def ingest_package(connector: Connector, given: PackageFile) -> dict[str, Any]:
    """Check a package and take it in only if every check holds."""
    outcome = connector.trust.registry.ingest(_bytes(given.package), _use(connector, given.purpose))
    return _outcome(connector, outcome)


class OneAttempt(Input):
    """An attempt to bring a package in, by its receipt."""

    receipt: str


@operation("registry/recheck")
def check_again(connector: Connector, given: OneAttempt) -> dict[str, Any]:
    """Check a refused package in quarantine once more, and take it in if every check holds now."""
    return _outcome(connector, connector.trust.registry.check_again(given.receipt))


class Discard(OneAttempt):
    """A refused package, and why it goes."""

    reason: str = Field(min_length=3)


@operation("registry/discard")
def discard_package(connector: Connector, given: Discard) -> dict[str, Any]:
    """Delete a refused package from quarantine."""
    connector.trust.registry.discard(given.receipt, given.reason)
    return {"receipt": given.receipt, "discarded": True}


@operation("registry/quarantine")
def list_quarantine(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The refused packages that can still be looked into: what each failed, and since when."""
    return [
        {
            "receipt": row["id"],
            "package": row["package"],
            "certificate": row["certificate"],
            "at": to_text(row["at"]),
            "failed": [check for check in row["report"]["checks"] if not check["ok"]],
        }
        for row in connector.trust.registry.in_quarantine()
    ]


class Collect(Input):
    """A synthetic dataset in a hub's catalogue."""

    hub: str = Field(description="did of the hub")
    package: str = Field(description="digest of the package")


@operation("registry/collect")
def collect_package(connector: Connector, given: Collect) -> dict[str, Any]:
    """Negotiate for a released dataset in a hub's catalogue and transfer its package; returns it base64."""
    name = given.package.removeprefix("sha256:")
    iri = f"{connector.peers.peer(given.hub).url}/id/dataset/{name}"
    if iri not in {dataset["@id"] for dataset in connector.dataspace.catalogue_of(given.hub)}:
        raise NotFoundError("the hub's catalogue shows no such dataset", fix="take one from the hub's catalogue")
    agreement = connector.dataspace.negotiate(given.hub, iri, COLLECT_SECONDS)
    content = connector.dataspace.pull(given.hub, agreement, name, expected_digest=given.package)
    return {"agreement": agreement.id, "package": base64.b64encode(content).decode()}


@operation("registry/list")
def list_holdings(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """What this registry holds, in which standing, where its rows lie, and who uses them."""
    loading = connector.trust.loading
    return [
        {
            "certificate": h.certificate,
            "artefact": h.artefact,
            "state": str(h.state),
            "reason": h.reason,
            "since": to_text(h.changed_at),
            "loads": [{"target": load.kind, "place": load.place, "state": load.state, "problem": load.problem}
                      for load in loading.loads(h.certificate)],
            "users": loading.users(h.certificate),
        }
        for h in connector.trust.registry.holdings()
    ]  # fmt: skip


@operation("registry/catalogue")
def show_catalogue(connector: Connector, given: Nothing) -> dict[str, Any]:
    """The HealthDCAT-AP records of all datasets in good standing, as JSON-LD."""
    return connector.trust.registry.catalogue(f"Synthetic datasets of {connector.settings.name}")


class LoadRows(Input):
    """Which dataset, where to, and for whom."""

    artefact: str = Field(description="digest of the dataset, sha256:…")
    target: Kind
    user: str | None = Field(default=None, description="role account, office or did that is told when the rows go")


@operation("registry/load")
def load_rows(connector: Connector, given: LoadRows) -> dict[str, Any]:
    """Put the rows of a dataset in good standing into Parquet, PostgreSQL or a FHIR bundle."""
    load = connector.trust.loading.load(given.artefact, given.target, user=given.user)
    return {"certificate": load.certificate, "target": load.kind, "place": load.place}


class OneUser(Input):
    """Someone who uses a dataset."""

    artefact: str
    user: str = Field(description="role account, office or did")


@operation("registry/user")
def note_user(connector: Connector, given: OneUser) -> dict[str, Any]:
    """Remember that someone uses a dataset: they are told when it is taken out."""
    connector.trust.loading.note_user(given.artefact, given.user)
    return {"artefact": given.artefact, "user": given.user}


class Notices(Input):
    """Whose notices; none named means all."""

    user: str | None = None
    unseen: bool = True


@operation("registry/notices")
def list_notices(connector: Connector, given: Notices) -> list[dict[str, Any]]:
    """What users were told when a dataset was taken out or came back."""
    return [
        {**row, "at": to_text(row["at"]), "seen_at": None if row["seen_at"] is None else to_text(row["seen_at"])}
        for row in connector.trust.loading.notices(given.user, unseen=given.unseen)
    ]


class OneNotice(Input):
    """A notice that was seen."""

    notice: str


@operation("registry/seen")
def mark_seen(connector: Connector, given: OneNotice) -> dict[str, Any]:
    """Note that a user has seen a notice."""
    connector.trust.loading.seen(given.notice)
    return {"notice": given.notice, "seen": True}


@operation("registry/refresh")
def refresh_registry(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """Look at the issuers' status lists now, take out what lost its standing, and tell users and issuers."""
    changes = connector.trust.registry.refresh()
    problems = (*connector.trust.loading.settle(), *connector.trust.deliver_receipts())
    done = [{"certificate": c.certificate, "event": c.event, "reason": c.reason} for c in changes]
    return done + [{"certificate": "", "event": "problem", "reason": problem} for problem in problems]


class Receipts(Input):
    """Of which certificate; none named means all."""

    certificate: str | None = None


@operation("certificate/receipts")
def list_receipts(connector: Connector, given: Receipts) -> list[dict[str, Any]]:
    """What registries told us of our certificates, and what we told issuers of theirs."""
    return [
        {
            "id": row["id"],
            "direction": row["direction"],
            "peer": row["peer"],
            "certificate": row["certificate"],
            "event": row["event"],
            "reason": row["reason"],
            "at": to_text(row["at"]),
            "delivered": None if row["delivered_at"] is None else to_text(row["delivered_at"]),
            "document": row["document"],
        }
        for row in connector.trust.receipts.all(given.certificate)
    ]


@operation("certificate/doubts")
def list_doubts(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """What sites told us of gates that no longer hold for what we certified, and what we told our issuers."""
    return [
        {
            "id": row["id"],
            "direction": row["direction"],
            "peer": row["peer"],
            "candidate": row["candidate"],
            "gate": row["gate"],
            "sentence": row["sentence"],
            "since": to_text(row["since"]),
            "at": to_text(row["at"]),
            "delivered": None if row["delivered_at"] is None else to_text(row["delivered_at"]),
            "document": row["document"],
        }
        for row in connector.trust.doubts.all()
    ]


@operation("certificate/list")
def list_certificates(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The certificates this connector issued: state, validity, and who signed."""
    return [
        {
            "certificate": record.id,
            "title": record.document["name"],
            "state": record.state,
            "until": record.document["validUntil"],
            "signers": [proof["verificationMethod"] for proof in _proofs(record.document)],
            "candidate": record.candidate,
        }
        for record in connector.trust.issuer.recent()
    ]


def _proofs(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = document["proof"]
    return list(found) if isinstance(found, list) else [found]


class OneCertificate(Input):
    """A certificate this connector issued."""

    certificate: str


@operation("certificate/show")
def show_certificate(connector: Connector, given: OneCertificate) -> dict[str, Any]:
    """A certificate with its text in plain words, for whoever is to sign it."""
    record = connector.trust.issuer.find(given.certificate)
    return {
        "certificate": record.id,
        "state": record.state,
        "did": connector.settings.did,
        "now": to_text(connector.clock.now().replace(microsecond=0)),
        "readme": record.readme,
        "document": record.document,
    }


class Countersign(OneCertificate):
    """The signature of a data protection officer, hexadecimal, and when it was made."""

    person: str
    created: str
    signature: str


@operation("certificate/sign")
def countersign(connector: Connector, given: Countersign) -> dict[str, Any]:
    """Add the data protection officer's signature to a certificate and offer the dataset with it."""
    signature = hexadecimal(given.signature, "signature")
    adding = connector.trust.countersigning
    record = adding.add(given.certificate, given.person, from_text(given.created), signature)
    signers = [proof["verificationMethod"] for proof in _proofs(record.document)]
    return {"certificate": record.id, "signers": signers, "package": connector.conductor.publish_again(record)}


class ChangeStatus(Input):
    """A change of an issued certificate, with its reason."""

    certificate: str
    change: Literal["suspend", "reinstate", "revoke"]
    reason: str = Field(min_length=3)


@operation("certificate/status")
def change_status(connector: Connector, given: ChangeStatus) -> dict[str, Any]:
    """Suspend, reinstate or revoke a certificate this connector issued."""
    getattr(connector.trust.status, given.change)(given.certificate, given.reason)
    return {"certificate": given.certificate, "change": given.change}


def _outcome(connector: Connector, outcome: Outcome) -> dict[str, Any]:
    """What became of a package; the issuer is told at once, or later by housekeeping when it does not answer."""
    owed = connector.trust.deliver_receipts()
    return {
        "accepted": outcome.accepted,
        "quarantined": outcome.quarantined,
        "receipt": outcome.id,
        "owed": list(owed),
        **report_json(outcome.report),
    }


def report_json(report: VerificationReport) -> dict[str, Any]:
    """A verification report as JSON, with its lines for people."""
    return {"ok": report.ok, "lines": list(report.lines()), "report": report.as_dict()}


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("the package is not base64", fix="send the file's bytes in base64") from error


def _use(connector: Connector, purpose: str) -> IntendedUse:
    return IntendedUse(purpose=purpose, recipient=connector.settings.did)
