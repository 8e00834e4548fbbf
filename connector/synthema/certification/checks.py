"""The ten checks a registry makes before it takes a dataset in. Each raises with a reason and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from synthema.canonical import canonical_json, digest, digest_bytes
from synthema.certification.certificate import RESERVED_KEYS, add_months, check_release
from synthema.certification.consistency import evidence_contradictions, gate_failures, privacy_contradictions
from synthema.certification.evidence import ASSERTION, check_log, check_statement, log_key, read_evidence
from synthema.certification.model import (
    MAX_VALIDITY_MONTHS,
    Assurance,
    Certificate,
    CertificateContent,
    EvidenceCredential,
    IntendedUse,
    Proof,
    read_document,
)
from synthema.certification.package import CERTIFICATE, README, Package, evidence_entries, is_exact
from synthema.certification.uses import require_allowed
from synthema.clock import from_text
from synthema.errors import DeniedError, InputError, IntegrityError, SynthemaError
from synthema.identity import DidResolver, verify_signature
from synthema.identity.credentials import LEEWAY, StatusLookup, prepare_proof, verify
from synthema.identity.multibase import decode_base58btc
from synthema.identity.statuslist import is_set
from synthema.provenance.checkpoint import VerifierKey

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


def check_schema(case: Case) -> str:
    """1: the certificate has the published form."""
    return f"certificate {case.certificate.id}"


def check_files(case: Case) -> str:
    """2: the package holds exactly the certified files, each with its digest."""
    entries = case.package.entries
    expected = {file.name: file.digest for file in case.content.files} | {README: case.certificate.readme}
    expected |= {name: digest_bytes(content) for name, content in evidence_entries(case.certificate).items()}
    problems = [f"{name} is missing" for name in expected if name not in entries]
    problems += [f"{name} does not belong here" for name in entries if name not in expected and name != CERTIFICATE]
    problems += [
        f"{name} was changed: its digest is another"
        for name, value in expected.items()
        if name in entries and digest_bytes(entries[name]) != value
    ]
    problems += [
        f"{file.name} has another size" for file in case.content.files if len(entries.get(file.name, b"")) != file.size
    ]
    if entries[CERTIFICATE] != canonical_json(case.raw):
        problems.append(f"{CERTIFICATE} is not written in canonical form")
    if not problems and not is_exact(case.package):
        problems.append("something around the files was changed")
    _require_none(problems, fix=_ASK)
    return f"{len(expected)} files"


def check_signatures(case: Case) -> str:
    """3: each proof on the certificate is by a key its issuer publishes, and fits every byte of it."""
    certificate = case.certificate
    proofs = certificate.proofs
    methods = [proof.verification_method for proof in proofs]
    if methods[0] != f"{certificate.issuer}#{ASSERTION}" or len(set(methods)) != len(methods):
        raise IntegrityError("the first signature is not by the issuer", fix=_ASK)
    for method in methods[1:]:
        did, _, fragment = method.partition("#")
        if did != certificate.issuer or fragment in RESERVED_KEYS:
            raise IntegrityError("the second signature is not by a person of the issuer", fix=_ASK)
    if case.policy.require_second_signature and len(proofs) < 2:
        raise DeniedError(
            "the issuer's data protection officer did not sign",
            fix="ask the issuer for a certificate with two signatures",
        )
    for proof in proofs:
        _check_proof(case, proof)
    return " and ".join(methods)


def _check_proof(case: Case, proof: Proof) -> None:
    key = case.resolver.verification_key(proof.verification_method)
    created = from_text(proof.created)
    # The signed options are rebuilt from what was read, so that nothing unread can have been signed with them.
    options, data = prepare_proof(case.raw, proof.verification_method, created)
    if options | {"proofValue": proof.proof_value} != proof.as_json():
        raise IntegrityError("a signature was made with unknown options", fix=_ASK)
    verify_signature(key, data, decode_base58btc(proof.proof_value), what="the certificate")
    if created > case.at + LEEWAY:
        raise IntegrityError("a signature claims to be made in the future", fix="check the clock of this computer")


def check_issuer(case: Case) -> str:
    """4: the issuer is an anchor of trust here."""
    if case.certificate.issuer not in case.policy.issuers:
        raise DeniedError(
            f"{case.certificate.issuer} is not among the issuers this registry trusts",
            fix="have the registry's officer add the issuer, or use another certificate",
        )
    return case.certificate.issuer


def check_evidence(case: Case) -> str:
    """5: each source site, and only trusted ones, signed evidence about exactly these rows."""
    problems = list(
        evidence_contradictions(case.content, {site: found.statement for site, found in case.evidence.items()})
    )
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
    _require_none(problems, fix="ask the issuer for the evidence of every site")
    return f"{len(case.evidence)} sites"


def check_logs(case: Case) -> str:
    """6: every figure, every statement and the release stand in signed, append-only logs."""
    witnessing: dict[str, Any] = {"witnesses": case.policy.witnesses, "quorum": case.policy.quorum}
    problems: list[str] = []
    for evidence in case.evidence.values():
        problems += _problem(lambda evidence=evidence: check_log(evidence, case.resolver, **witnessing))  # type: ignore[misc]
    issuer = case.certificate.issuer
    problems += _problem(lambda: check_release(case.content, issuer, log_key(issuer, case.resolver), **witnessing))
    _require_none(problems, fix="ask the issuer and the sites for their proofs again; if it stays so, do not use it")
    proofs = 1 + sum(1 + len(evidence.credential_subject.runs) for evidence in case.evidence.values())
    return f"{proofs} log entries"


def check_validity(case: Case) -> str:
    """7: within its validity of at most 24 months, and neither revoked nor suspended by its issuer."""
    certificate = case.certificate
    if certificate.valid_until > add_months(certificate.valid_from, MAX_VALIDITY_MONTHS):
        raise InputError(f"it is valid for longer than {MAX_VALIDITY_MONTHS} months", fix="ask for a new certificate")
    if case.at + LEEWAY < certificate.valid_from:
        raise DeniedError(f"it is valid only from {certificate.valid_from:%Y-%m-%d} on", fix="wait, or check the clock")
    if case.at >= certificate.valid_until:
        raise DeniedError(f"it ended on {certificate.valid_until:%Y-%m-%d}", fix="ask the issuer for a new certificate")
    # An address in a certificate of a stranger is not one we would fetch from.
    if certificate.issuer not in case.policy.issuers:
        raise DeniedError("its status was not looked up, because its issuer is not trusted", fix="see check 4")
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


def check_privacy(case: Case) -> str:
    """8: a guarantee exists, is believed, is within the ceiling, and no site spent more than it says."""
    guarantee, policy = case.content.privacy.guarantee, case.policy
    statements = {site: found.statement for site, found in case.evidence.items()}
    problems = list(privacy_contradictions(guarantee, statements))
    if guarantee.epsilon is None:
        problems.append("there is no differential privacy guarantee")
    elif guarantee.epsilon > policy.epsilon_ceiling:
        problems.append(f"epsilon {guarantee.epsilon:g} is above this registry's ceiling of {policy.epsilon_ceiling:g}")
    if guarantee.delta > policy.delta_ceiling:
        problems.append(f"delta {guarantee.delta:g} is above this registry's ceiling of {policy.delta_ceiling:g}")
    claims = {"the certificate": guarantee} | {site: statement.privacy for site, statement in statements.items()}
    problems += [
        f"the claim of {who} is only {claim.assurance}"
        for who, claim in claims.items()
        if claim.assurance not in policy.assurances
    ]
    _require_none(problems, fix="use a dataset with a stronger guarantee, or have the registry's ceiling reviewed")
    return f"epsilon {guarantee.epsilon:g} ≤ {policy.epsilon_ceiling:g} for {guarantee.unit}"


def check_uses(case: Case) -> str:
    """9: a permission of the certificate covers what the registry intends, and no prohibition does."""
    require_allowed(case.content.allowed_uses, case.content.id, case.intended)
    return case.intended.purpose


def check_gates(case: Case) -> str:
    """10: every gate was measured and passed, at each site and at the coordinator."""
    statements = {site: found.statement for site, found in case.evidence.items()}
    _require_none(
        list(gate_failures(case.content, statements)),
        fix="do not use the dataset; ask the issuer for another candidate",
    )
    return f"{sum(len(statement.gates.results) for statement in statements.values())} gates"


CHECKS: Final[tuple[tuple[str, Callable[[Case], str]], ...]] = (
    ("The certificate has the published form", check_schema),
    ("Every file is the one that was certified", check_files),
    ("The signatures of the issuer are genuine", check_signatures),
    ("The issuer is trusted here", check_issuer),
    ("Every source site gave evidence about exactly this dataset", check_evidence),
    ("The logs behind the figures and the release are genuine", check_logs),
    ("The certificate is valid now, neither revoked nor suspended", check_validity),
    ("The privacy guarantee is within the ceiling", check_privacy),
    ("The allowed uses permit the intended use", check_uses),
    ("Every gate of the impact assessments was passed", check_gates),
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
