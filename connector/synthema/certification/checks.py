"""The checks a registry makes before it takes a dataset in. Each raises with a reason and what to do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import polars as pl

from synthema.canonical import canonical_json, digest, digest_bytes
from synthema.certification import bag
from synthema.certification.certificate import RESERVED_KEYS, add_months, check_decisions, check_release
from synthema.certification.consistency import (
    decision_failures,
    evidence_contradictions,
    gate_failures,
    privacy_contradictions,
)
from synthema.certification.container import TOP, Sums
from synthema.certification.crate import host_of
from synthema.certification.description import codebook_of, proofs
from synthema.certification.document import MAX_VALIDITY_MONTHS, Assurance, Proof, read_document
from synthema.certification.evidence import check_log, check_statement, read_evidence
from synthema.certification.model import (
    CERTIFICATE_FILE,
    Certificate,
    CertificateContent,
    EvidenceCredential,
    EvidenceStatement,
    IntendedUse,
)
from synthema.certification.package import Package, expected_info
from synthema.certification.table import read_released_table
from synthema.certification.uses import require_allowed
from synthema.clock import from_text
from synthema.datasets.codebook import Codebook
from synthema.errors import DeniedError, InputError, IntegrityError, SynthemaError
from synthema.identity import DidResolver, verify_signature
from synthema.identity.credentials import LEEWAY, StatusLookup, prepare_proof, verify
from synthema.identity.multibase import decode_base58btc
from synthema.identity.statuslist import is_set
from synthema.identity.versions import is_key_of, purpose_of
from synthema.provenance.checkpoint import VerifierKey
from synthema.provenance.succession import log_keys

_ASK: Final = "ask the issuer for the package again; if it stays so, do not use it"


@dataclass(frozen=True)
class VerificationPolicy:
    """Whom and what a registry accepts. Nothing has a default that trusts anybody.

    ``issuers`` and ``sites`` are the anchors of trust, as DIDs. ``epsilon_ceiling`` and
    ``delta_ceiling`` bound the guarantee; ``assurances`` are the grades of the claim
    that are believed. ``witnesses`` and ``quorum`` say who must have seen the logs.
    """

    issuers: frozenset[str]
    sites: frozenset[str]
    epsilon_ceiling: float
    delta_ceiling: float
    minimum_sites: int = 1
    assurances: frozenset[Assurance] = frozenset({"proven", "tested"})
    require_second_signature: bool = False
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0

    def __post_init__(self) -> None:
        if not self.issuers or not self.sites or not self.assurances:
            raise InputError("this verification policy trusts nobody", fix="name the issuers and sites you trust")
        if not 0 < self.epsilon_ceiling < float("inf") or not 0 <= self.delta_ceiling < 1 or self.minimum_sites < 1:
            raise InputError("this verification policy has no ceiling", fix="give a ceiling for epsilon and for delta")
        if not 0 <= self.quorum <= len(self.witnesses):
            raise InputError("this verification policy asks for more witnesses than it knows", fix="name the witnesses")


@dataclass(frozen=True)
class Case:
    """One package in front of one registry, with all that the checks may look at."""

    package: Package
    policy: VerificationPolicy
    intended: IntendedUse
    resolver: DidResolver
    at: datetime
    status: StatusLookup | None

    @cached_property
    def raw(self) -> Mapping[str, Any]:
        """The certificate as it was sent."""
        value = self.package.certificate()
        if not isinstance(value, dict):
            raise InputError("the certificate is not a JSON object", fix=_ASK)
        return value

    @cached_property
    def certificate(self) -> Certificate:
        """The certificate, read strictly; raises :class:`InputError`."""
        return read_document(Certificate, self.raw)

    @property
    def content(self) -> CertificateContent:
        """What the certificate says of its dataset."""
        return self.certificate.credential_subject

    @cached_property
    def evidence(self) -> dict[str, EvidenceCredential]:
        """Each site's evidence, read strictly, by the site that the certificate says it is of."""
        found: dict[str, EvidenceCredential] = {}
        for reference in self.content.evidence:
            if reference.site in found:
                raise InputError(f"there are two pieces of evidence of {reference.site}", fix=_ASK)
            found[reference.site] = read_evidence(reference.credential)
        return found

    @property
    def statements(self) -> dict[str, EvidenceStatement]:
        """What each site states."""
        return {site: found.statement for site, found in self.evidence.items()}

    @cached_property
    def sums(self) -> dict[str, Sums]:
        """The digests of all payload files; each is read once."""
        return {name: self.package.sums(name) for name in self.package.names}

    @cached_property
    def codebook(self) -> Codebook:
        """The codebook in the package; raises :class:`InputError`."""
        return codebook_of({"codebook.json": self.package.read("codebook.json")})

    @cached_property
    def table(self) -> pl.DataFrame:
        """The synthetic rows; raises :class:`InputError`. Only to be opened when files, signatures and issuer hold."""
        name = self.content.dataset_file.name
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            self.package.copy(name, path)
            return read_released_table(path, self.content.rows, self.content.columns, self.codebook)


def check_container(case: Case) -> str:
    """1: one plain zip file with one complete bag, and no name or file that could do harm (checked on opening)."""
    return f"{len(case.package.names)} files"


def check_schema(case: Case) -> str:
    """2: the certificate has the published form."""
    return f"certificate {case.certificate.id}"


def check_files(case: Case) -> str:
    """3: the package holds exactly the certified files, each with its digest in certificate and manifest."""
    expected = {file.name: file for file in case.content.files}
    names = case.package.names
    problems = [f"{name} is missing" for name in expected if name not in names]
    problems += [f"{name} does not belong here" for name in names if name not in expected and name != CERTIFICATE_FILE]
    for name, found in case.sums.items():
        certified = expected.get(name)
        if case.package.expected[name] != found.sha512 or (certified is not None and certified.digest != found.sha256):
            problems.append(f"{name} was changed: its digest is another")
        elif certified is not None and certified.size != found.size:
            problems.append(f"{name} has another size")
    if case.package.read(CERTIFICATE_FILE) != canonical_json(case.raw):
        problems.append(f"{CERTIFICATE_FILE} is not written in canonical form")
    problems += _copies(case)
    if not problems and not case.package.is_whole():
        problems.append("a checksum of the zip file is wrong")
    sizes = {name: found.size for name, found in case.sums.items()}
    if not problems and case.package.tag(bag.INFO) != expected_info(case.certificate, sizes):
        problems.append(f"{TOP}{bag.INFO} is not the one of this certificate")
    _require_none(problems, fix=_ASK)
    return f"{len(names)} files"


def _copies(case: Case) -> Iterator[str]:
    """Files that repeat a part of the certificate, and do not."""
    parts = {
        f"evidence/{number:03d}.json": canonical_json(reference.credential)
        for number, reference in enumerate(case.content.evidence, start=1)
    }
    try:
        parts |= {name: proof.bundle.encode() for name, proof in proofs(case.content, list(case.evidence.values()))}
    except SynthemaError:
        return  # evidence that cannot be read is what check 10 is about
    digests = {file.name: file.digest for file in case.content.files if file.role in ("evidence", "proof")}
    for name in sorted(parts.keys() | digests.keys()):
        if name not in parts or digests.get(name) != digest_bytes(parts[name]):
            yield f"{name} is not what the certificate holds"


def check_signatures(case: Case) -> str:
    """4: each proof on the certificate is by a key its issuer publishes, and fits every byte of it."""
    certificate = case.certificate
    signatures = certificate.proofs
    methods = [proof.verification_method for proof in signatures]
    if not is_key_of(methods[0], certificate.issuer) or len(set(methods)) != len(methods):
        raise IntegrityError("the first signature is not by the issuer", fix=_ASK)
    for method in methods[1:]:
        did, _, fragment = method.partition("#")
        if did != certificate.issuer or purpose_of(fragment) in RESERVED_KEYS:
            raise IntegrityError("the second signature is not by a person of the issuer", fix=_ASK)
    if case.policy.require_second_signature and len(signatures) < 2:
        raise DeniedError(
            "the issuer's data protection officer did not sign",
            fix="ask the issuer for a certificate with two signatures",
        )
    for proof in signatures:
        _check_proof(case, proof)
    return " and ".join(methods)


def _check_proof(case: Case, proof: Proof) -> None:
    created = from_text(proof.created)
    key = case.resolver.verification_key(proof.verification_method, made_at=created)
    # The signed options are rebuilt from what was read, so that nothing unread can have been signed with them.
    options, data = prepare_proof(case.raw, proof.verification_method, created)
    if options | {"proofValue": proof.proof_value} != proof.as_json():
        raise IntegrityError("a signature was made with unknown options", fix=_ASK)
    verify_signature(key, data, decode_base58btc(proof.proof_value), what="the certificate")
    if created > case.at + LEEWAY:
        raise IntegrityError("a signature claims to be made in the future", fix="check the clock of this computer")


def check_issuer(case: Case) -> str:
    """5: the issuer is an anchor of trust here, and speaks only of certificates and status lists of its own."""
    certificate = case.certificate
    if certificate.issuer not in case.policy.issuers:
        raise DeniedError(
            f"{certificate.issuer} is not among the issuers this registry trusts",
            fix="have the registry's officer add the issuer, or use another certificate",
        )
    own = host_of(certificate.issuer)
    named = [certificate.id, *(entry.status_list_credential for entry in certificate.credential_status)]
    if any(urlsplit(iri).netloc != own for iri in named):
        raise IntegrityError("it names a certificate or a status list of another party as its own", fix=_ASK)
    return certificate.issuer


def check_validity(case: Case) -> str:
    """6: within its validity of at most 24 months, and neither revoked nor suspended by its issuer."""
    certificate = case.certificate
    if certificate.valid_until > add_months(certificate.valid_from, MAX_VALIDITY_MONTHS):
        raise InputError(f"it is valid for longer than {MAX_VALIDITY_MONTHS} months", fix="ask for a new certificate")
    if case.at + LEEWAY < certificate.valid_from:
        raise DeniedError(f"it is valid only from {certificate.valid_from:%Y-%m-%d} on", fix="wait, or check the clock")
    if case.at >= certificate.valid_until:
        raise DeniedError(f"it ended on {certificate.valid_until:%Y-%m-%d}", fix="ask the issuer for a new certificate")
    # An address in a certificate of a stranger is not one we would fetch from.
    if certificate.issuer not in case.policy.issuers:
        raise DeniedError("its status was not looked up, because its issuer is not trusted", fix="see check 5")
    if case.status is None:
        raise DeniedError("its status cannot be looked up", fix="verify where the issuer's status list can be reached")
    shown = shown_status(certificate, case.resolver, case.at, case.status)
    if shown:
        word = "revoked" if "revocation" in shown else "suspended"
        raise DeniedError(f"its issuer has {word} it", fix="do not use the dataset; ask the issuer for the reason")
    return f"until {certificate.valid_until:%Y-%m-%d}"


def shown_status(certificate: Certificate, resolver: DidResolver, at: datetime, status: StatusLookup) -> frozenset[str]:
    """Which of "revocation" and "suspension" the issuer's signed lists show for a certificate.

    Raises :class:`PeerError` when a list cannot be had, :class:`IntegrityError` or
    :class:`InputError` when it does not hold.
    """
    shown: set[str] = set()
    for entry in certificate.credential_status:
        listed = verify(status(entry.status_list_credential), resolver, at)
        if listed.issuer != certificate.issuer:
            raise IntegrityError("its status list is by another issuer", fix=_ASK)
        if is_set(entry.as_json(), listed.credential):
            shown.add(entry.status_purpose)
    return frozenset(shown)


def check_uses(case: Case) -> str:
    """7: every decision permitted, a permission covers what this registry intends, and no prohibition does."""
    _require_none(
        list(decision_failures(case.content, case.statements)),
        fix="do not use the dataset; ask the issuer for the reason",
    )
    require_allowed(case.content.allowed_uses, case.content.id, case.intended)
    decisions = sum(len(statement.decisions) for statement in case.statements.values()) + len(case.content.decisions)
    return f"{case.intended.purpose}, {decisions} decisions"


def check_privacy(case: Case) -> str:
    """8: a guarantee exists, is believed, is within the ceiling, and no site spent more than it says."""
    guarantee, policy = case.content.privacy.guarantee, case.policy
    problems = list(privacy_contradictions(guarantee, case.statements))
    if guarantee.epsilon is None:
        problems.append("there is no differential privacy guarantee")
    elif guarantee.epsilon > policy.epsilon_ceiling:
        problems.append(f"epsilon {guarantee.epsilon:g} is above this registry's ceiling of {policy.epsilon_ceiling:g}")
    if guarantee.delta > policy.delta_ceiling:
        problems.append(f"delta {guarantee.delta:g} is above this registry's ceiling of {policy.delta_ceiling:g}")
    claims = {"the certificate": guarantee} | {who: statement.privacy for who, statement in case.statements.items()}
    problems += [
        f"the claim of {who} is only {claim.assurance}"
        for who, claim in claims.items()
        if claim.assurance not in policy.assurances
    ]
    _require_none(problems, fix="use a dataset with a stronger guarantee, or have the registry's ceiling reviewed")
    return f"epsilon {guarantee.epsilon:g} ≤ {policy.epsilon_ceiling:g} for {guarantee.unit}"


def check_logs(case: Case) -> str:
    """9: figures, statements, decisions and release stand in append-only logs, whose heads enough witnesses saw."""
    witnessing: dict[str, Any] = {"witnesses": case.policy.witnesses, "quorum": case.policy.quorum}
    problems: list[str] = []
    for evidence in case.evidence.values():
        problems += _problem(lambda evidence=evidence: check_log(evidence, case.resolver, **witnessing))  # type: ignore[misc]
    issuer, content = case.certificate.issuer, case.content
    shown = [content.release.bundle, *(decided.proof.bundle for decided in content.decisions)]
    problems += _problem(lambda: check_release(content, issuer, log_keys(issuer, case.resolver, shown), **witnessing))
    problems += _problem(lambda: check_decisions(content, issuer, log_keys(issuer, case.resolver, shown), **witnessing))
    _require_none(problems, fix="ask the issuer and the sites for their proofs again; if it stays so, do not use it")
    proven = len(list(proofs(case.content, list(case.evidence.values()))))
    return f"{proven} log entries, quorum {case.policy.quorum} of {len(case.policy.witnesses)} witnesses"


def check_evidence(case: Case) -> str:
    """10: each source site, and only trusted ones, signed evidence about exactly these rows, and every gate passed."""
    problems = list(evidence_contradictions(case.content, case.statements))
    for reference in case.content.evidence:
        if digest(reference.credential) != reference.digest:
            problems.append(f"the evidence of {reference.site} is not the one its digest names")
        if reference.site not in case.policy.sites:
            problems.append(f"{reference.site} is not among the sites this registry trusts")
        evidence = case.evidence[reference.site]
        if evidence.issuer != reference.site:
            problems.append(f"the evidence of {reference.site} is by {evidence.issuer}")
            continue
        problems += _problem(
            lambda raw=reference.credential, evidence=evidence: check_statement(  # type: ignore[misc]
                raw, evidence, case.content.candidate, case.resolver, case.at
            )
        )
    if len(case.evidence) < case.policy.minimum_sites:
        problems.append(f"{len(case.evidence)} sites gave evidence, this registry asks for {case.policy.minimum_sites}")
    problems += gate_failures(case.content, case.statements)
    _require_none(problems, fix="ask the issuer for the evidence of every site, or for another candidate")
    gates = sum(len(statement.gates.results) for statement in case.statements.values())
    return f"{len(case.evidence)} sites, {len(case.content.figures)} figures, {gates} gates"


def check_table(case: Case) -> str:
    """11: the rows are as many as certified, each value is one the codebook allows, and no cell is a formula."""
    for number, needed in ((3, check_files), (4, check_signatures), (5, check_issuer)):
        if _problem(lambda needed=needed: needed(case)):  # type: ignore[misc]
            raise DeniedError(f"the rows were not opened, because check {number} failed", fix=f"see check {number}")
    return f"{case.table.height} rows, {case.table.width} columns"


CHECKS: Final[tuple[tuple[str, Callable[[Case], str]], ...]] = (
    ("The container is safe to open and complete", check_container),
    ("The certificate has the published form", check_schema),
    ("Every file is the one that was certified", check_files),
    ("The signatures on the certificate are genuine", check_signatures),
    ("The issuer has the authority to certify here", check_issuer),
    ("The certificate is valid now, neither revoked nor suspended", check_validity),
    ("The decisions and the allowed uses permit the intended use", check_uses),
    ("The privacy guarantee is within the ceiling", check_privacy),
    ("The logs behind it are genuine, and enough witnesses saw them", check_logs),
    ("The evidence of every source site is complete, and every gate was passed", check_evidence),
    ("The rows are what the codebook says, and safe to open", check_table),
)
"""What is checked, in this order; numbers and titles are stable."""


def _problem(step: Callable[[], object]) -> list[str]:
    """The sentence of what a step found wrong, if it did: the other steps still run."""
    try:
        step()
    except SynthemaError as error:
        return [error.message]
    return []


def _require_none(problems: Iterable[str], *, fix: str) -> None:
    found = list(dict.fromkeys(problems))
    if found:
        raise IntegrityError("; ".join(found), fix=fix)
