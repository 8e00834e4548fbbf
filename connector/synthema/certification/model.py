"""The values of a certificate: what a site states, what a certificate says, what a figure rests on.

In JSON the names are in camelCase. The published form is
``legal/schemas/certificate.schema.json``, made from :class:`Certificate`.
Sources: VC Data Model 2.0, Bitstring Status List 1.0 (W3C 2025), ODRL 2.2,
EHDS Regulation (EU) 2025/327 Art. 61, 78 and 88.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from synthema.canonical import canonical_json, digest
from synthema.dpia.check import GateReport
from synthema.errors import InputError

NAMESPACE: Final = "https://w3id.org/synthema/ns#"
CONTEXTS: Final = ("https://www.w3.org/ns/credentials/v2", {"@vocab": NAMESPACE})
"""VC 2.0, then our terms inline: nobody has to fetch a context of ours."""

CERTIFICATE_TYPE: Final = "SyntheticDataCertificate"
EVIDENCE_TYPE: Final = "SyntheticDataEvidence"
SCHEMA_ID: Final = "https://w3id.org/synthema/schemas/certificate/1"
MAX_VALIDITY_MONTHS: Final = 24

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Iri = Annotated[str, Field(min_length=3, max_length=2000, pattern=r"^[a-z][a-z0-9+.-]*:[^\s<>\"{}|^`\\]+$")]
Did = Annotated[str, Field(max_length=500, pattern=r"^did:[a-z0-9]+:[^\s#]+$")]
FileName = Annotated[str, Field(pattern=r"^(dataset\.(csv|parquet)|codebook\.json)$")]
Text = Annotated[str, Field(min_length=1, max_length=4000)]
Regime = Literal["pre-EHDS", "EHDS"]
Assurance = Literal["proven", "tested", "declared"]


DocumentType = TypeVar("DocumentType", bound="Document")


def read_document(kind: type[DocumentType], value: Any) -> DocumentType:
    """Read a JSON value strictly; raises :class:`InputError` naming the field."""
    try:
        return kind.model_validate_json(canonical_json(value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or kind.__name__
        raise InputError(
            f"{place}: {first['msg']}", where=kind.__name__, fix=f"correct '{place}', or ask for the document again"
        ) from error


class Document(BaseModel):
    """Base of values that travel: never changed, no unknown fields, no coercion, finite numbers."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    def as_json(self) -> dict[str, Any]:
        """The JSON value, with camelCase names; times in ISO 8601, UTC."""
        return self.model_dump(mode="json", by_alias=True)


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
    """One entry of a party's log with all that is needed to check it offline (C2SP checkpoint, RFC 9162 proof)."""

    party: Did
    position: Annotated[int, Field(ge=0)]
    bundle: dict[str, Any]


class EvidenceStatement(Document):
    """What a site says of one candidate: it measured inside, on real rows, and only these figures leave.

    ``cohort`` is a band, never a count. ``dataset_digest`` names the site's
    rows without showing them.
    """

    candidate: Digest
    site: Did
    dataset: Iri
    dataset_digest: Digest
    cohort: Text
    exclusion_list_version: Annotated[int, Field(ge=0)]
    policies: Annotated[tuple[Digest, ...], Field(min_length=1)]
    decision: Digest
    gates: GateRecord = Field(description="names the DPIA and its digest")
    measurements: Annotated[tuple[Measurement, ...], Field(min_length=1)]
    privacy: PrivacySpent

    @property
    def digest(self) -> str:
        """What the site's log names when it attests this statement."""
        return digest(self.as_json())


class EvidenceSubject(Document):
    """What an evidence credential is about: the candidate, the site's statement, and the log behind it.

    ``attested`` proves the entry in which the site took responsibility for the
    statement's digest; ``runs`` prove the entries of the runs that measured.
    """

    id: Iri
    statement: EvidenceStatement
    attested: LogProof
    runs: Annotated[tuple[LogProof, ...], Field(min_length=1)]


class EvidenceReference(Document):
    """A site's evidence inside a certificate: the whole credential, and its digest."""

    site: Did
    digest: Digest
    credential: dict[str, Any]


class DataFile(Document):
    """One file of the package, bound by digest; exactly one is the dataset itself."""

    name: FileName
    role: Literal["dataset", "codebook"]
    media_type: Text
    size: Annotated[int, Field(ge=1)]
    digest: Digest


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
    files: Annotated[tuple[DataFile, ...], Field(min_length=2, max_length=2)]
    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=1)]
    generator: PluginReference
    parameters: dict[str, Any]
    study: Iri
    study_plan: Digest
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    evidence: Annotated[tuple[EvidenceReference, ...], Field(min_length=1)]
    privacy: PrivacyBlock
    utility: UtilityBlock
    gates: GateRecord | None = Field(default=None, description="gates of the coordinator's own DPIA, if it has one")
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
        if sorted(file.role for file in self.files) != ["codebook", "dataset"]:
            raise ValueError("files must name one dataset and one codebook")
        if len({file.name for file in self.files}) != len(self.files):
            raise ValueError("two files share a name")
        return self

    @property
    def dataset_file(self) -> DataFile:
        """The file that holds the synthetic rows."""
        return next(file for file in self.files if file.role == "dataset")

    @property
    def candidate(self) -> str:
        """Digest of the synthetic rows: what every evidence must be about."""
        return self.dataset_file.digest

    @property
    def figures(self) -> tuple[Figure, ...]:
        """All figures, of privacy and of utility."""
        return self.privacy.attacks + self.utility.figures


class SchemaReference(Document):
    """The JSON Schema a certificate follows."""

    id: Literal["https://w3id.org/synthema/schemas/certificate/1"] = SCHEMA_ID
    type: Literal["JsonSchema"] = "JsonSchema"


class StatusEntry(Document):
    """Where the bit of revocation or suspension lies (Bitstring Status List 1.0 §2.1)."""

    id: Iri
    type: Literal["BitstringStatusListEntry"] = "BitstringStatusListEntry"
    status_purpose: Literal["revocation", "suspension"]
    status_list_index: Annotated[str, Field(pattern=r"^[0-9]{1,9}$")]
    status_list_credential: Iri


class Proof(Document):
    """A Data Integrity proof ``eddsa-jcs-2022``."""

    context: list[Any] = Field(alias="@context")
    type: Literal["DataIntegrityProof"]
    cryptosuite: Literal["eddsa-jcs-2022"]
    created: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    verification_method: Annotated[str, Field(max_length=600, pattern=r"^did:[^\s#]+#[^\s#]+$")]
    proof_purpose: Literal["assertionMethod"]
    proof_value: Annotated[str, Field(max_length=128, pattern=r"^z[1-9A-HJ-NP-Za-km-z]+$")]


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
        _require_kind(self.context, self.type, EVIDENCE_TYPE)
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
    readme: Digest = Field(description="digest of the text in plain words that travels with the certificate")
    credential_schema: SchemaReference
    credential_status: Annotated[tuple[StatusEntry, ...], Field(min_length=2, max_length=2)]
    credential_subject: CertificateContent
    proof: Proof | Annotated[tuple[Proof, ...], Field(min_length=2, max_length=2)]

    @model_validator(mode="after")
    def _is_of_our_kind(self) -> Self:
        _require_kind(self.context, self.type, CERTIFICATE_TYPE)
        if sorted(entry.status_purpose for entry in self.credential_status) != ["revocation", "suspension"]:
            raise ValueError("credentialStatus must name one entry for revocation and one for suspension")
        return self

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """The proofs, one or two."""
        return self.proof if isinstance(self.proof, tuple) else (self.proof,)


def _require_kind(context: list[Any], types: tuple[str, ...], expected: str) -> None:
    if context != list(CONTEXTS):
        raise ValueError("@context must be VC 2.0 and the Synthema terms")
    if types != ("VerifiableCredential", expected):
        raise ValueError(f"type must be VerifiableCredential and {expected}")


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
