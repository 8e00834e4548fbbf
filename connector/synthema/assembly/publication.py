"""What a hub publishes: the certificate of a released candidate, its package, and the offer of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from synthema.assembly.shelf import Shelf
from synthema.assembly.trust import Trust
from synthema.canonical import canonical_json, digest_bytes
from synthema.certification import (
    CertificateContent,
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
    reference,
)
from synthema.certification.consistency import source_of
from synthema.certification.package import MEDIA_TYPE
from synthema.federation import StudyPlan, StudyResult
from synthema.identity import DidResolver
from synthema.policy.templates import render
from synthema.runs import store as run_store
from synthema.runs.execute import JSON, PARQUET
from synthema.runs.governor import Governor, Rooms

ATTACKS = frozenset(
    {
        "membershipAUC",
        "membershipTPR",
        "attributeInferenceAdvantage",
        "singlingOutRisk",
        "copiedRowShare",
        "nearestRecordRatio",
    }
)
COVERAGE = (
    "Patients of the named sites who are covered by consent or another legal ground, after exclusions.",
    "The variables of the codebook, after the agreed minimisation and recoding.",
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
        """Certify, pack and offer released rows. The package can be fetched as soon as ``finish`` is kept with it."""
        record = self._trust.issuer.issue(content)
        codebook = canonical_json(plan.codebook.model_dump(mode="json"))
        package = self._trust.issuer.package(record.id, {"dataset.parquet": rows, "codebook.json": codebook})
        artefact = self._governor.keep_file(plan.id, "package.zip", MEDIA_TYPE, package)
        name = artefact.digest.removeprefix("sha256:")
        policy = render("synthetic-data-offer", {"dataset": self._rooms.log.iri("dataset", name), "title": plan.title})

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


def certificate_content(
    rooms: Rooms,
    plan: StudyPlan,
    result: StudyResult,
    rows: bytes,
    statements: Mapping[str, EvidenceStatement],
    credentials: Mapping[str, dict[str, Any]],
    release: LogProof,
) -> CertificateContent:
    """All that the certificate says, taken from the plan, the rounds and the sites' evidence, nothing typed in."""
    candidate = digest_bytes(rows)
    codebook = canonical_json(plan.codebook.model_dump(mode="json"))
    plugin = rooms.plugins.require(plan.algorithm.plugin)
    figures = [Figure(site=site, measurement=m) for site, s in statements.items() for m in s.measurements]
    return CertificateContent(
        id=candidate_iri(candidate),
        title=plan.title,
        files=(
            _file("dataset.parquet", "dataset", PARQUET, rows),
            _file("codebook.json", "codebook", JSON, codebook),
        ),
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
        coverage=COVERAGE,
        limits=LIMITS,
        allowed_uses=allowed_uses(
            candidate_iri(candidate), [plan.purpose], prohibited=PROHIBITED, forbidden_actions=["reidentify"]
        ),
        regime=rooms.settings.regime,
        highly_sensitive=True,  # rare diseases: few, geographically scattered persons (EHDS Art. 88)
        release=release,
    )


def _file(name: str, role: Any, media_type: str, content: bytes) -> DataFile:
    return DataFile(name=name, role=role, media_type=media_type, size=len(content), digest=digest_bytes(content))


def _guarantee(result: StudyResult, statements: Mapping[str, EvidenceStatement]) -> PrivacySpent:
    """A patient is at one site, so the loss of the whole is the largest loss of one site."""
    dearest = max((s.privacy for s in statements.values()), key=lambda spent: spent.epsilon or 0.0)
    return dearest.model_copy(update={"sigma": min(record.sigma for record in result.rounds)})
