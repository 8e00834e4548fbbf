"""A small data space of one hub, three sites and one registry, with real keys, logs and signatures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from synthema.canonical import canonical_json, digest, digest_bytes
from synthema.certification import (
    CertificateContent,
    CertificateIssuer,
    CertificateRecord,
    DataFile,
    EvidenceMaker,
    EvidenceStatement,
    Figure,
    GateOutcome,
    GateRecord,
    IntendedUse,
    Measurement,
    PluginReference,
    PrivacyBlock,
    PrivacySpent,
    ReceiptBook,
    Registry,
    SecondSignature,
    Source,
    StatusRegister,
    UtilityBlock,
    VerificationPolicy,
    VerificationReport,
    allowed_uses,
    bag,
    candidate_iri,
    reference,
    release_activity,
    verify_package,
)
from synthema.certification.container import write_container
from synthema.certification.document import NAMESPACE
from synthema.certification.model import Decided, ProvenDecision
from synthema.clock import FixedClock, from_text, to_text
from synthema.config import did_web
from synthema.datasets.codebook import dictionary
from synthema.errors import PeerError, SynthemaError
from synthema.identity import DidResolver, FileSigner, PersonKey, did_document
from synthema.ids import new_id
from synthema.provenance import Activity, Entity, ProvenanceLog
from synthema.storage import Database
from tests.databases import new_database

START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
ROWS = b"age,sex\n61,F\n70,M\n"
CODEBOOK = canonical_json(dictionary("mgus").keep(("age", "sex")).model_dump(mode="json"))
PLAN = canonical_json({"title": "Synthetic MGUS cohort", "rounds": 3})
FILES = {"dataset.csv": ROWS, "codebook.json": CODEBOOK, "workflow/study-plan.json": PLAN}
CANDIDATE = digest_bytes(ROWS)
SITE_ACTS = ("synthesise", "evaluateModel", "export", "certify")
DATASET = "http://127.0.0.1:8100/id/dataset/mgus-synthetic"
SYNTHEMA_DIGEST = "sha256:" + "ab" * 32
EVALUATOR = PluginReference(name="synthema_evaluation", version="0.1.0", digest=SYNTHEMA_DIGEST)
PASSPHRASE = b"a passphrase of a test"


@dataclass
class Party:
    """One connector."""

    url: str
    database: Database
    signer: FileSigner
    log: ProvenanceLog
    people: dict[str, bytes] = field(default_factory=dict)

    @property
    def did(self) -> str:
        return did_web(self.url)

    def document(self) -> dict[str, Any]:
        return did_document(self.did, self.signer, self.url, people=self.people)


class World:
    """The parties, a resolver that knows them all, and what they do on the way to a certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FixedClock(START)
        names = ("hub", "alpha", "beta", "gamma", "registry", "stranger")
        self.parties = {name: self._party(name, 8100 + number) for number, name in enumerate(names)}
        self.dpo = PersonKey.create(folder / "dpo.pem", PASSPHRASE)
        self.hub.people["dpo"] = self.dpo.public_key
        self.resolver = self.resolver_for(self.parties)
        self.status = self._status(self.hub)
        self.issuer = self._issuer(self.hub, self.status)
        self.policy = VerificationPolicy(
            issuers=frozenset({self.hub.did}),
            sites=frozenset(site.did for site in self.sites),
            epsilon_ceiling=6.0,
            delta_ceiling=1e-4,
            minimum_sites=3,
        )
        self.use = IntendedUse(purpose="health research", recipient=self.parties["registry"].did)

    def _party(self, name: str, port: int) -> Party:
        url = f"http://127.0.0.1:{port}"
        database = new_database(self.folder / f"{name}.sqlite")
        signer = FileSigner.create(self.folder / name, PASSPHRASE)
        return Party(url, database, signer, ProvenanceLog(database, signer, url, self.clock))

    @property
    def hub(self) -> Party:
        return self.parties["hub"]

    @property
    def sites(self) -> tuple[Party, ...]:
        return tuple(self.parties[name] for name in ("alpha", "beta", "gamma"))

    def close(self) -> None:
        for party in self.parties.values():
            party.database.close()

    def resolver_for(self, parties: Mapping[str, Party]) -> DidResolver:
        return DidResolver(nobody_answers, {}, self.clock, own={p.did: p.document() for p in parties.values()})

    def _status(self, party: Party) -> StatusRegister:
        return StatusRegister(party.database, party.log, party.signer, party.did, self.clock)

    def _issuer(self, party: Party, status: StatusRegister) -> CertificateIssuer:
        return CertificateIssuer(party.database, party.log, party.signer, party.did, self.resolver, status, self.clock)

    def issuer_of(self, name: str) -> CertificateIssuer:
        return self._issuer(self.parties[name], self._status(self.parties[name]))

    # what a site does -----------------------------------------------------------------

    def run_at(self, site: Party, name: str = "evaluation") -> tuple[str, int]:
        """A released evaluation run in a site's log: its IRI and log position."""
        run = site.log.iri("run", name)
        activity = Activity(
            f"{run}/released",
            "Release",
            "outputs released",
            START,
            START,
            used=(Entity(candidate_iri(CANDIDATE), digest=CANDIDATE),),
            attributes={"run": run},
        )
        return run, site.log.record(activity).sequence

    def decision_at(self, party: Party, action: str, effect: Any = "permit") -> Decided:
        """A decision in a party's log, and what evidence says of it."""
        identifier = party.log.iri("decision", new_id("decision"))
        decision = Decided(
            id=identifier,
            action=NAMESPACE + action,
            effect=effect,
            digest=digest([identifier, effect]),
            policies=(SYNTHEMA_DIGEST,),
            basis="agreement-1",
            log_position=0,
        )
        entity = Entity(
            identifier,
            ("Decision",),
            digest=decision.digest,
            attributes={"effect": effect, "policyDigest": SYNTHEMA_DIGEST},
        )
        entry = party.log.record(
            Activity(f"{identifier}/activity", "PolicyDecision", "decided", START, START, generated=(entity,))
        )
        return decision.model_copy(update={"log_position": entry.sequence})

    def certifying(self, effect: Any = "permit") -> tuple[ProvenDecision, ...]:
        """The hub's decisions to certify, one under the agreement with each site."""
        decisions = [self.decision_at(self.hub, "certify", effect) for _ in self.sites]
        maker = self.maker(self.hub)
        return tuple(ProvenDecision(decision=each, proof=maker.prove(each.log_position)) for each in decisions)

    def measurements(self, run: str, position: int | None) -> tuple[Measurement, ...]:
        auc = Measurement(
            metric="membershipAUC",
            value=0.51,
            n=277,
            lower=0.47,
            upper=0.55,
            control=0.5,
            definition="0.5 is chance",
            evaluator=EVALUATOR,
            run=run,
            log_position=position,
        )
        utility = Measurement(
            metric="utilityScore", value=0.91, n=277, evaluator=EVALUATOR, run=run, log_position=position
        )
        return auc, utility

    def statement(self, site: Party, **changes: Any) -> EvidenceStatement:
        run, position = changes.pop("measured", None) or self.run_at(site)
        values: dict[str, Any] = {
            "candidate": CANDIDATE,
            "site": site.did,
            "dataset": site.log.iri("dataset", "mgus-v3"),
            "dataset_digest": digest(site.did),
            "cohort": "100–249",
            "exclusion_list_version": 4,
            "categories": (NAMESPACE + "Art51-1-l",),
            "legal_basis": "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a",
            "decisions": tuple(self.decision_at(site, action) for action in SITE_ACTS),
            "gates": gates(),
            "measurements": self.measurements(run, position),
            "privacy": spent(),
        }
        return EvidenceStatement(**values | changes)

    def maker(self, site: Party) -> EvidenceMaker:
        return EvidenceMaker(site.log, site.signer, site.did, self.clock)

    def evidence(self, site: Party, **changes: Any) -> dict[str, Any]:
        return self.maker(site).make(self.statement(site, **changes))

    # what the hub does ----------------------------------------------------------------

    def content(self, evidence: list[dict[str, Any]] | None = None, **changes: Any) -> CertificateContent:
        given = [self.evidence(site) for site in self.sites] if evidence is None else evidence
        statements = [
            EvidenceStatement.model_validate_json(canonical_json(e["credentialSubject"]["statement"])) for e in given
        ]
        iri = self.hub.log.iri("release", "study-1")
        release = self.hub.log.record(release_activity(iri, CANDIDATE, self.hub.did, START))
        figures = [Figure(site=s.site, measurement=m) for s in statements for m in s.measurements]
        values: dict[str, Any] = {
            "id": DATASET,
            "title": "Synthetic MGUS cohort",
            "files": (
                DataFile.of("dataset.csv", "dataset", "text/csv", ROWS),
                DataFile.of("codebook.json", "codebook", "application/json", CODEBOOK),
                DataFile.of("workflow/study-plan.json", "plan", "application/json", PLAN),
            ),
            "rows": 2,
            "columns": 2,
            "generator": PluginReference(name="synthema_marginals", version="0.1.0", digest=SYNTHEMA_DIGEST),
            "parameters": {"degree": 2},
            "study": self.hub.log.iri("study", "study-1"),
            "study_plan": digest_bytes(PLAN),
            "sources": tuple(
                Source(
                    site=s.site,
                    dataset=s.dataset,
                    dataset_digest=s.dataset_digest,
                    cohort=s.cohort,
                    exclusion_list_version=s.exclusion_list_version,
                )
                for s in statements
            ),
            "evidence": tuple(reference(e) for e in given),
            "privacy": PrivacyBlock(
                guarantee=spent(), attacks=tuple(f for f in figures if f.measurement.metric == "membershipAUC")
            ),
            "utility": UtilityBlock(
                held_out="a fifth of the patients of each site, never seen by the generator",
                figures=tuple(f for f in figures if f.measurement.metric == "utilityScore"),
            ),
            "coverage": ("Adults with MGUS at three hospitals.",),
            "limits": ("Rare combinations of categories are smoothed away.",),
            "allowed_uses": allowed_uses(
                DATASET, ["health research"], prohibited=["Art54Use"], forbidden_actions=["reidentify"]
            ),
            "regime": "pre-EHDS",
            "highly_sensitive": True,
            "release": self.maker(self.hub).prove(release.sequence),
            "decisions": self.certifying(),
        }
        return CertificateContent(**values | changes)

    def issue(self, content: CertificateContent | None = None, **options: Any) -> CertificateRecord:
        return self.issuer.issue(content or self.content(), FILES, **options)

    def second(self) -> SecondSignature:
        return SecondSignature(self.hub.log.iri("person", "dpo"), "dpo", self.dpo.as_signer("dpo"))

    def package(self, record: CertificateRecord | None = None) -> bytes:
        found = record or self.issue()
        return self.issuer.package(found.id, FILES)

    # what a registry does -------------------------------------------------------------

    def look_up(self, url: str) -> dict[str, Any]:
        return self.status.credential(url.rpartition("/")[2])

    def verify(self, data: bytes, **changes: Any) -> VerificationReport:
        given: dict[str, Any] = {
            "intended": self.use,
            "policy": self.policy,
            "resolver": self.resolver,
            "at": self.clock.now(),
            "status": self.look_up,
        }
        return verify_package(data, **given | changes)

    def receipts(self, name: str) -> ReceiptBook:
        party = self.parties[name]
        return ReceiptBook(party.database, party.log, party.signer, party.did, self.resolver, self.clock)

    def registry(self, folder: Path, **changes: Any) -> Registry:
        party = self.parties["registry"]
        given: dict[str, Any] = {
            "policy": self.policy,
            "resolver": self.resolver,
            "status": self.look_up,
            "receipts": self.receipts("registry"),
        }
        return Registry(
            database=party.database, log=party.log, folder=folder, did=party.did, clock=self.clock, **given | changes
        )


def bagged(payload: Mapping[str, bytes]) -> bytes:
    """A well-formed package of any payload, as someone would make it who forges one."""
    sizes = {name: len(content) for name, content in payload.items()}
    try:
        certificate = json.loads(payload["certificate.json"])
        info = bag.bag_info(certificate["id"], certificate["issuer"], from_text(certificate["validFrom"]), sizes)
    except (ValueError, LookupError, SynthemaError):
        info = bag.bag_info("urn:unreadable", "nobody", START, sizes)
    return write_container(bag.bag_files(payload, info))


def spent(epsilon: float | None = 3.0, **changes: Any) -> PrivacySpent:
    values: dict[str, Any] = {
        "epsilon": epsilon,
        "delta": 1e-5,
        "rho": 0.14,
        "sigma": 12.5,
        "mechanism": "discrete Gaussian noise in secure sums",
        "accountant": "zCDP",
        "assurance": "proven",
        "assumptions": ("at most one site sides with the coordinator",),
    }
    return PrivacySpent(**values | changes)


def gates(*, passed: bool = True, missing: tuple[str, ...] = ()) -> GateRecord:
    outcome = GateOutcome(
        gate="membership",
        metric="membershipAUC",
        passed=passed,
        sentence="the upper end of membershipAUC must be ≤ 0.6",
        threshold=0.6,
        observed=0.55 if passed else 0.7,
        n=277,
    )
    return GateRecord(
        phase="pre-release",
        at=to_text(START),
        dpia="mgus-dpia",
        dpia_digest=SYNTHEMA_DIGEST,
        conformant=passed and not missing,
        results=(outcome,),
        missing=missing,
    )


def nobody_answers(url: str) -> NoReturn:
    raise PeerError(f"nobody answers at {url}", fix="try again later")
