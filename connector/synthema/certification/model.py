"""The values of a certificate: what a site states, what a certificate says, what a figure rests on.

In JSON the names are in camelCase. The published form is
``legal/schemas/certificate.schema.json``, made from :class:`Certificate`.
Sources: VC Data Model 2.0, Bitstring Status List 1.0 (W3C 2025), ODRL 2.2,
EHDS Regulation (EU) 2025/327 Art. 61, 78 and 88.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from synthema.canonical import digest, digest_bytes
from synthema.certification.document import (
    CERTIFICATE_TYPE,
    EVIDENCE_TYPE,
    NAMESPACE,
    Assurance,
    Did,
    Digest,
    Document,
    FileName,
    FileRole,
    Iri,
    Proof,
    Regime,
    SchemaReference,
    StatusEntry,
    Text,
    read_document,
    require_kind,
)
from synthema.dpia.check import GateReport

NEEDED_ACTS: Final[Mapping[str, str]] = {
    NAMESPACE + "export": "letting the candidate leave the secure environment (EHDS Article 73(2))",
    NAMESPACE + "certify": "certifying the candidate",
}
"""What every site must have permitted before a candidate of its data is released with a certificate."""

CERTIFYING: Final = frozenset({NAMESPACE + "certify"})
"""What the coordinator's own policies must have permitted besides."""

CERTIFICATE_FILE: Final = "certificate.json"
"""The one file of a package whose digest the certificate cannot hold: itself."""

_NAMES: Final[dict[FileRole, str]] = {
    "dataset": r"dataset\.(?:csv|parquet)",
    "codebook": r"codebook\.json",
    "plan": r"workflow/study-plan\.json",
    "readme": r"README\.txt",
    "crate": r"(?:workflow/)?ro-crate-metadata\.json",
    "record": r"healthdcat-ap\.jsonld",
    "evidence": r"evidence/[0-9]{3}\.json",
    "proof": r"proofs/[a-z0-9-]+\.tlog-proof",
}
"""What a file of each role is called."""

GIVEN_ROLES: Final[tuple[FileRole, ...]] = ("dataset", "codebook", "plan")
"""The files a certificate is asked for; all others follow from them and from what it says."""


class PluginReference(Document):
    """Exactly which plugin: its name, version, and the digest of its files."""

    name: Text
    version: Text
    digest: Digest


class Measurement(Document):
    """One figure with its uncertainty, its control, and the log entry of the run that measured it.

    ``metric`` is a local name of the Synthema ontology; ``lower`` and ``upper``
    bound a 95 % interval; ``control`` is the same figure where there is
    nothing to find. ``log_position`` counts from 0; a figure without one can be
    held, but never signed.
    """

    metric: Text
    value: float
    n: Annotated[int, Field(ge=0)]
    lower: float | None = None
    upper: float | None = None
    control: float | None = None
    definition: str = ""
    evaluator: PluginReference
    run: Iri
    log_position: Annotated[int, Field(ge=0)] | None = None


class PrivacySpent(Document):
    """A differential privacy guarantee, or the plain statement that there is none (``epsilon`` is null).

    ``rho`` is zero-concentrated (Bun and Steinke 2016), ``sigma`` the standard
    deviation of the noise in the opened sums. ``assurance`` grades the claim.
    """

    epsilon: Annotated[float, Field(ge=0)] | None
    delta: Annotated[float, Field(ge=0, lt=1)]
    rho: Annotated[float, Field(ge=0)] | None = None
    sigma: Annotated[float, Field(ge=0)] | None = None
    unit: Text = "one patient"
    mechanism: Text
    accountant: Text
    assurance: Assurance
    assumptions: tuple[Text, ...] = ()


class GateOutcome(Document):
    """How one figure stood at one executable gate of a DPIA."""

    gate: Text
    metric: Text
    passed: bool
    sentence: Text
    threshold: float | None = None
    observed: float | None = None
    n: int | None = None
    source: str | None = None


class GateRecord(Document):
    """All gates of one phase, in the very form the DPIA room reports them, so that the digests are the same."""

    phase: Text
    at: Text
    dpia: Text
    dpia_digest: Digest
    conformant: bool
    results: Annotated[tuple[GateOutcome, ...], Field(min_length=1)]
    missing: tuple[Text, ...] = ()
    beside: tuple[Digest, ...] = Field(default=(), exclude_if=lambda value: not value)

    @classmethod
    def of(cls, report: GateReport) -> Self:
        """The record of a report."""
        return read_document(cls, report.as_dict())

    @property
    def failures(self) -> tuple[str, ...]:
        """What did not pass, in words; empty only when everything was measured and passed."""
        failed = tuple(result.sentence for result in self.results if not result.passed)
        unmeasured = tuple(f"{metric} was not measured" for metric in self.missing)
        if not failed and not unmeasured and not self.conformant:
            return ("the report says that it is not conformant",)
        return failed + unmeasured


class LogProof(Document):
    """One entry of a party's log with all that is needed to check it offline (the text of a C2SP ``tlog-proof``)."""

    party: Did
    position: Annotated[int, Field(ge=0)]
    bundle: Annotated[str, Field(max_length=1024 * 1024)]


class Decided(Document):
    """One decision a dataset rests on: which act was permitted, by which policies, on the strength of what.

    ``digest`` is that of the whole decision, ``policies`` of all policies that were read; ``basis`` names the
    agreement or the data permit (EHDS Art. 68). The entry at ``log_position`` of the party's log holds both digests.
    """

    id: Iri
    action: Text
    effect: Literal["permit", "deny"]
    digest: Digest
    policies: Annotated[tuple[Digest, ...], Field(min_length=1)]
    basis: Text | None = None
    log_position: Annotated[int, Field(ge=0)]


class ProvenDecision(Document):
    """A decision of the issuer itself, with the proof of its log entry."""

    decision: Decided
    proof: LogProof


class EvidenceStatement(Document):
    """What a site says of one candidate: it measured inside, on real rows, and only these figures leave.

    ``cohort`` is a band, never a count. ``dataset_digest`` names the site's
    rows without showing them. ``categories`` are those of EHDS Art. 51(1) and ``legal_basis`` the ground of the
    GDPR that the site's dataset is used on.
    """

    candidate: Digest
    site: Did
    dataset: Iri
    dataset_digest: Digest
    cohort: Text
    exclusion_list_version: Annotated[int, Field(ge=0)]
    categories: Annotated[tuple[Iri, ...], Field(min_length=1)]
    legal_basis: Iri
    decisions: Annotated[tuple[Decided, ...], Field(min_length=1)] = Field(
        description="of taking part, of measuring, and on the candidate: whether it may leave and be certified"
    )
    gates: GateRecord = Field(description="names the DPIA and its digest")
    measurements: Annotated[tuple[Measurement, ...], Field(min_length=1)]
    privacy: PrivacySpent
    grounds: tuple[Ground, ...] = ()

    @property
    def digest(self) -> str:
        """What the site's log names when it attests this statement."""
        return digest(self.as_json())


class Ground(Document):
    """What a site vouches for about its own data, as others must know it to decide: an operand and its values."""

    operand: Iri
    values: Annotated[tuple[Text, ...], Field(min_length=1)]


def undecided(decisions: Sequence[Decided], needed: Mapping[str, str]) -> tuple[str, ...]:
    """Which of the acts that are needed (IRI → words) nobody decided: what was not decided is not permitted."""
    decided = {each.action for each in decisions}
    return tuple(words for action, words in needed.items() if action not in decided)


def failures_of(
    statement: EvidenceStatement, needed: Mapping[str, str], refusals: Sequence[str] = ()
) -> tuple[str, ...]:
    """What stands against a release at one site: gates it did not pass, else acts that were denied or not decided.

    ``refusals`` are the site's own words on a denial, if it sent any; what counts is the signed decision.
    """
    if statement.gates.failures:
        return tuple(statement.gates.failures)
    denied = [f"its decision on '{each.action}' is to deny" for each in statement.decisions if each.effect != "permit"]
    told = (refusals or denied) if denied else ()
    return (*told, *(f"it did not decide on {act}" for act in undecided(statement.decisions, needed)))


class EvidenceSubject(Document):
    """What an evidence credential is about: the candidate, the site's statement, and the log behind it.

    ``attested`` proves the entry in which the site took responsibility for the
    statement's digest; ``runs`` prove the entries of the runs that measured, ``decisions`` those of the decisions.
    """

    id: Iri
    statement: EvidenceStatement
    attested: LogProof
    runs: Annotated[tuple[LogProof, ...], Field(min_length=1)]
    decisions: Annotated[tuple[LogProof, ...], Field(min_length=1)]


class EvidenceReference(Document):
    """A site's evidence inside a certificate: the whole credential, and its digest."""

    site: Did
    digest: Digest
    credential: dict[str, Any]


class DataFile(Document):
    """One file of the package, bound by digest; exactly one is the dataset itself."""

    name: FileName
    role: FileRole
    media_type: Text
    size: Annotated[int, Field(ge=1)]
    digest: Digest

    @model_validator(mode="after")
    def _is_called_by_its_role(self) -> Self:
        if re.fullmatch(_NAMES[self.role], self.name) is None:
            raise ValueError(f"a file of the role '{self.role}' is not called so")
        return self

    @classmethod
    def of(cls, name: str, role: FileRole, media_type: str, content: bytes) -> Self:
        """The entry of a file with this content."""
        return cls(name=name, role=role, media_type=media_type, size=len(content), digest=digest_bytes(content))


class Source(Document):
    """A dataset the synthetic one was learned from: named, never contained."""

    site: Did
    dataset: Iri
    dataset_digest: Digest
    cohort: Text
    exclusion_list_version: Annotated[int, Field(ge=0)]


class Figure(Document):
    """A measurement as the certificate shows it, with the site whose evidence holds it."""

    site: Did
    measurement: Measurement


class PrivacyBlock(Document):
    """What protects the patients: the guarantee, and the attacks that were tried."""

    guarantee: PrivacySpent
    attacks: tuple[Figure, ...]


class UtilityBlock(Document):
    """How close the synthetic rows are to real ones that the generator never saw."""

    held_out: Text
    figures: Annotated[tuple[Figure, ...], Field(min_length=1)]


class CertificateContent(Document):
    """All that a certificate says of one synthetic dataset (its ``credentialSubject``)."""

    id: Iri = Field(description="IRI of the synthetic dataset")
    title: Text
    files: Annotated[tuple[DataFile, ...], Field(min_length=3, max_length=4000)]
    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=1)]
    generator: PluginReference
    parameters: dict[str, Any]
    study: Iri
    study_plan: Digest = Field(description="digest of the agreed plan, which travels with the dataset")
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    evidence: Annotated[tuple[EvidenceReference, ...], Field(min_length=1)]
    privacy: PrivacyBlock
    utility: UtilityBlock
    gates: GateRecord | None = Field(default=None, description="gates of the coordinator's own DPIA, if it has one")
    decisions: tuple[ProvenDecision, ...] = Field(default=(), description="decisions of the issuer, such as to certify")
    coverage: Annotated[tuple[Text, ...], Field(min_length=1)]
    limits: Annotated[tuple[Text, ...], Field(min_length=1)]
    allowed_uses: dict[str, Any] = Field(description="ODRL policy in the Synthema profile")
    regime: Regime
    highly_sensitive: bool = Field(
        description="EHDS Art. 88: few, geographically scattered persons; transfer to third countries needs care"
    )
    release: LogProof = Field(description="the coordinator's log entry of the release of the candidate")

    @model_validator(mode="after")
    def _one_file_of_each_role(self) -> Self:
        for role in GIVEN_ROLES:
            if len(self.files_of(role)) != 1:
                raise ValueError(f"files must name one {role}")
        if len({file.name.casefold() for file in self.files}) != len(self.files):
            raise ValueError("two files share a name")
        if self.files_of("plan")[0].digest != self.study_plan:
            raise ValueError("studyPlan is not the digest of the plan among the files")
        return self

    def files_of(self, role: FileRole) -> tuple[DataFile, ...]:
        """The files of one role."""
        return tuple(file for file in self.files if file.role == role)

    @property
    def given(self) -> Self:
        """The same with only those files that no other follows from."""
        return self.model_copy(update={"files": tuple(file for file in self.files if file.role in GIVEN_ROLES)})

    @property
    def dataset_file(self) -> DataFile:
        """The file that holds the synthetic rows."""
        return self.files_of("dataset")[0]

    @property
    def candidate(self) -> str:
        """Digest of the synthetic rows: what every evidence must be about."""
        return self.dataset_file.digest

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, of privacy and of utility."""
        return self.privacy.attacks + self.utility.figures


class EvidenceCredential(Document):
    """A site's evidence as a verifiable credential."""

    context: list[Any] = Field(alias="@context")
    id: Iri
    type: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]
    issuer: Did
    valid_from: AwareDatetime
    credential_subject: EvidenceSubject
    proof: Proof

    @model_validator(mode="after")
    def _is_of_our_kind(self) -> Self:
        require_kind(self.context, self.type, EVIDENCE_TYPE)
        return self

    @property
    def statement(self) -> EvidenceStatement:
        """What the site says."""
        return self.credential_subject.statement


class Certificate(Document):
    """A whole certificate: a verifiable credential with one proof by the issuer and, if wanted, one by its DPO."""

    context: list[Any] = Field(alias="@context")
    id: Iri
    type: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]
    issuer: Did
    name: Text
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    credential_schema: SchemaReference
    credential_status: Annotated[tuple[StatusEntry, ...], Field(min_length=2, max_length=2)]
    credential_subject: CertificateContent
    proof: Proof | Annotated[tuple[Proof, ...], Field(min_length=2, max_length=2)]

    @model_validator(mode="after")
    def _is_of_our_kind(self) -> Self:
        require_kind(self.context, self.type, CERTIFICATE_TYPE)
        if sorted(entry.status_purpose for entry in self.credential_status) != ["revocation", "suspension"]:
            raise ValueError("credentialStatus must name one entry for revocation and one for suspension")
        content = self.credential_subject
        counts = {"readme": 1, "crate": 2, "record": 1, "evidence": len(content.evidence)}
        if any(len(content.files_of(role)) != count for role, count in counts.items()):  # type: ignore[arg-type]
            raise ValueError("files must name the readme, both descriptions, the record and every piece of evidence")
        return self

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """The proofs, one or two."""
        return self.proof if isinstance(self.proof, tuple) else (self.proof,)


class IntendedUse(Document):
    """What a registry means to do with a dataset, in the terms of our ODRL profile."""

    purpose: Text = Field(description="IRI or short name of the purpose")
    action: Text = Field(default="syn:ingest", description="IRI or short name of the action")
    recipient: Did = Field(description="who ingests")


_BANDS: Final = (10, 50, 100, 250, 500, 1000)


def cohort_band(patients: int) -> str:
    """The band a cohort size is told in: exact counts of rare-disease cohorts can single out."""
    lower = 0
    for upper in _BANDS:
        if patients < upper:
            return f"{lower}–{upper - 1}" if lower else f"fewer than {upper}"
        lower = upper
    return f"{lower} or more"
