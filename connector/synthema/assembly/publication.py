"""What a hub publishes: the certificate of a released candidate, its package, and the offer of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from synthema.assembly.shelf import Shelf
from synthema.assembly.trust import Trust
from synthema.canonical import canonical_json, digest_bytes
from synthema.certification import (
    Certificate,
    CertificateContent,
    CertificateRecord,
    DataFile,
    EvidenceStatement,
    Figure,
    LogProof,
    PluginReference,
    PrivacyBlock,
    PrivacySpent,
    UtilityBlock,
    allowed_uses,
    candidate_iri,
    payload_of,
    read_document,
    reference,
    write_package,
)
from synthema.certification.consistency import source_of
from synthema.certification.crate import host_of
from synthema.certification.document import FileRole
from synthema.certification.model import CERTIFICATE_FILE, ProvenDecision
from synthema.certification.package import MEDIA_TYPE
from synthema.federation import StudyPlan, StudyResult
from synthema.identity import DidResolver
from synthema.policy.templates import render
from synthema.runs import store as run_store
from synthema.runs.formats import JSON, PARQUET
from synthema.runs.governor import Governor
from synthema.runs.rooms import Rooms

ATTACKS = frozenset(
    {
        "membershipAUC",
        "membershipTPR",
        "membershipTPRStrict",
        "outlierMembershipAUC",
        "shadowMembershipAUC",
        "shadowMembershipTPR",
        "shadowMembershipTPRStrict",
        "canaryAUC",
        "linkabilityRisk",
        "inferenceRisk",
        "identityDisclosureRisk",
        "attributeInferenceAdvantage",
        "singlingOutRisk",
        "copiedRowShare",
        "nearestRecordRatio",
        "nearestRecordShare",
    }
)
LIMITS = (
    "Relations among three or more variables are kept only as far as pairs of variables carry them.",
    "Rare combinations are blurred by the noise; do not draw conclusions about single synthetic patients.",
    "The evaluation figures are aggregates of real data without noise, graded as tested, and not counted in ε.",
    "Fit for developing and testing methods; confirm clinical findings on real data.",
)
PROHIBITED = ("dpv:Marketing", "dpv:Advertising")


class Publication:
    """Issues and publishes for one hub."""

    def __init__(self, rooms: Rooms, governor: Governor, trust: Trust, shelf: Shelf) -> None:
        self._rooms = rooms
        self._governor = governor
        self._trust = trust
        self._shelf = shelf

    @property
    def resolver(self) -> DidResolver:
        return self._trust.resolver

    def publish(
        self,
        plan: StudyPlan,
        content: CertificateContent,
        rows: bytes,
        finish: Callable[[Connection, dict[str, Any]], None],
    ) -> None:
        """Certify, pack and offer released rows. The package can be fetched as soon as ``finish`` is kept with it.

        A certificate that was issued for these rows before the hub was killed is the one that counts.
        """
        files = {name: given for name, (_, _, given) in _files(plan, rows).items()}
        record = self._issued(content, rows) or self._trust.issuer.issue(content, files)
        package = self._trust.issuer.package(record.id, files)
        artefact = self._governor.keep_file(plan.id, "package.zip", MEDIA_TYPE, package)
        name = artefact.digest.removeprefix("sha256:")
        policy = self._offer(plan, name, record)

        def keep(connection: Connection) -> None:
            run_store.insert_artefacts(connection, plan.id, [artefact])
            run_store.settle_artefacts(connection, plan.id, "released")
            self._shelf.publish_synthetic(connection, name, plan.title, policy)
            finish(
                connection,
                {
                    "certificate": record.id,
                    "document": record.document,
                    "package": artefact.digest,
                    "bytes": artefact.bytes,
                },
            )

        self._rooms.database.write(keep)

    def _issued(self, content: CertificateContent, rows: bytes) -> CertificateRecord | None:
        """The certificate that this study's rows have already."""
        for record in self._trust.issuer.of_candidate(digest_bytes(rows)):
            subject = read_document(Certificate, record.document).credential_subject
            if subject.study == content.study and record.state == "valid":
                return record
        return None

    def publish_again(self, plan: StudyPlan, package: str, record: CertificateRecord) -> str:
        """Pack and offer a dataset anew, its certificate having got a second signature; returns the new digest.

        Every other file of the earlier ``package`` (a digest) stays as it is.
        """
        payload = payload_of(self._governor.released(package)[1])
        del payload[CERTIFICATE_FILE]
        content = write_package(record.document, payload)
        artefact = self._governor.keep_file(plan.id, "package.zip", MEDIA_TYPE, content)
        name = artefact.digest.removeprefix("sha256:")
        policy = self._offer(plan, name, record)

        def keep(connection: Connection) -> None:
            run_store.insert_artefacts(connection, plan.id, [artefact])
            run_store.settle_artefacts(connection, plan.id, "released")
            self._shelf.publish_synthetic(connection, name, plan.title, policy)

        self._rooms.database.write(keep)
        return artefact.digest

    def _offer(self, plan: StudyPlan, name: str, record: CertificateRecord) -> str:
        """The terms the package is offered under, as long as its certificate is valid."""
        return render(
            "synthetic-data-offer",
            {
                "dataset": self._rooms.log.iri("dataset", name),
                "title": plan.title,
                "provider": self._rooms.settings.did,
                "starts": str(record.document["validFrom"]),
                "ends": str(record.document["validUntil"]),
            },
        )


def certificate_content(
    rooms: Rooms,
    plan: StudyPlan,
    result: StudyResult,
    rows: bytes,
    statements: Mapping[str, EvidenceStatement],
    credentials: Mapping[str, dict[str, Any]],
    release: LogProof,
    decisions: tuple[ProvenDecision, ...],
) -> CertificateContent:
    """All that the certificate says, taken from the plan, the rounds and the sites' evidence, nothing typed in."""
    candidate = digest_bytes(rows)
    plugin = rooms.plugins.require(plan.algorithm.plugin)
    figures = [Figure(site=site, measurement=m) for site, s in statements.items() for m in s.measurements]
    return CertificateContent(
        id=candidate_iri(candidate),
        title=plan.title,
        files=tuple(DataFile.of(name, *given) for name, given in _files(plan, rows).items()),
        rows=plan.rows,
        columns=len(plan.codebook.variables),
        generator=PluginReference(name=plugin.name, version=plugin.manifest.version, digest=plugin.digest),
        parameters=plan.algorithm.parameters,
        study=rooms.log.iri("study", plan.id),
        study_plan=plan.digest,
        sources=tuple(source_of(statement) for statement in statements.values()),
        evidence=tuple(reference(credential) for credential in credentials.values()),
        privacy=PrivacyBlock(
            guarantee=_guarantee(result, statements),
            attacks=tuple(figure for figure in figures if figure.measurement.metric in ATTACKS),
        ),
        utility=UtilityBlock(
            held_out=f"{plan.holdout:.0%} of each site's patients, drawn by a secret of the site, never learned from",
            figures=tuple(figure for figure in figures if figure.measurement.metric not in ATTACKS),
        ),
        coverage=tuple(_coverage(plan, statements)),
        limits=LIMITS,
        allowed_uses=allowed_uses(
            candidate_iri(candidate), [plan.purpose], prohibited=PROHIBITED, forbidden_actions=["reidentify"]
        ),
        regime=rooms.settings.regime,
        highly_sensitive=True,  # rare diseases: few, geographically scattered persons (EHDS Art. 88)
        release=release,
        decisions=decisions,
    )


def _coverage(plan: StudyPlan, statements: Mapping[str, EvidenceStatement]) -> Iterator[str]:
    """Who and what the rows stand for, from the plan and from what the sites state."""
    for site, statement in sorted(statements.items()):
        yield (
            f"{statement.cohort} patients of {host_of(site)}, after leaving out those of exclusion list "
            f"{statement.exclusion_list_version} and those the anonymiser left out."
        )
    names = ", ".join(variable.label for variable in plan.codebook.variables)
    yield f"{len(plan.codebook.variables)} variables of '{plan.codebook.title}': {names}."
    yield "People these sites do not treat, and values outside the codebook's bounds, are not covered."


def _files(plan: StudyPlan, rows: bytes) -> dict[str, tuple[FileRole, str, bytes]]:
    """What a package is made of: role, media type and content by name."""
    return {
        "dataset.parquet": ("dataset", PARQUET, rows),
        "codebook.json": ("codebook", JSON, canonical_json(plan.codebook.model_dump(mode="json"))),
        "workflow/study-plan.json": ("plan", JSON, canonical_json(plan.model_dump(mode="json"))),
    }


def _guarantee(result: StudyResult, statements: Mapping[str, EvidenceStatement]) -> PrivacySpent:
    """A patient is at one site, so the loss of the whole is the largest loss of one site."""
    dearest = max((s.privacy for s in statements.values()), key=lambda spent: spent.epsilon or 0.0)
    return dearest.model_copy(update={"sigma": min(record.sigma for record in result.rounds)})
