"""A site's evidence: made at the site that holds the real rows, verified by anyone.

A certificate rests on it. Each figure points to the log entry of the run that measured it,
and the site's log names the digest of the whole statement, so that neither a
figure nor its origin can be exchanged later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from synthema.canonical import digest
from synthema.certification.document import CONTEXTS, EVIDENCE_TYPE, read_document
from synthema.certification.model import (
    Decided,
    EvidenceCredential,
    EvidenceReference,
    EvidenceStatement,
    EvidenceSubject,
    LogProof,
    Measurement,
)
from synthema.clock import Clock
from synthema.errors import InputError, IntegrityError
from synthema.identity import DidResolver, Signer
from synthema.identity.credentials import issue, verify
from synthema.identity.versions import is_key_of, signing_method
from synthema.ids import new_id
from synthema.provenance.bundle import VerifiedEntry, make_bundle, verify_bundle
from synthema.provenance.checkpoint import HeadKeys, VerifierKey
from synthema.provenance.log import ProvenanceLog
from synthema.provenance.model import PROV, SYNTHEMA, Activity, Agent, Entity, literal, node
from synthema.provenance.succession import log_keys

CANDIDATE_URN: Final = "urn:synthema:candidate:"
LATE_HEADS: Final = 32
"""How many entries back a head may lie that witnesses have seen: entries are written while they answer."""


def candidate_iri(candidate: str) -> str:
    """A name for synthetic rows that is the same at every party: their digest as a URN."""
    return f"{CANDIDATE_URN}{candidate.removeprefix('sha256:')}"


class EvidenceMaker:
    """Makes the evidence of one site."""

    def __init__(self, log: ProvenanceLog, signer: Signer, did: str, clock: Clock) -> None:
        self._log = log
        self._signer = signer
        self._did = did
        self._clock = clock
        self._seal: Callable[[], object] | None = None

    def seal_with(self, witness: Callable[[], object]) -> None:
        """Have heads cosigned like this before proofs are made of them; who does not answer, does not cosign."""
        self._seal = witness

    def make(
        self, statement: EvidenceStatement, *, person: str | None = None, about: str = "SyntheticDataset"
    ) -> dict[str, Any]:
        """Attest a statement in the site's log, and sign it with the proofs of all entries it rests on.

        ``person`` is the IRI of the role account that answers for it, ``about`` what the candidate is. Raises
        :class:`InputError` for a statement of another site, a figure without a
        log entry, or one whose entry is not of the run that it names.
        """
        if statement.site != self._did:
            raise InputError("a site can state only its own evidence", fix=f"make it at {statement.site}")
        for measurement in statement.measurements:
            self._require_measured(measurement)
        for decision in statement.decisions:
            if not names_decision(self._log.entry(decision.log_position).body, decision):
                raise InputError(
                    f"entry {decision.log_position} of the log is not of the decision on '{decision.action}'",
                    fix="give the position of the entry in which that request was answered",
                )
        identifier = self._log.iri("evidence", new_id("evidence"))
        entry = self._log.record(self._attestation(identifier, statement, person, about))
        credential = {
            "@context": list(CONTEXTS),
            "id": identifier,
            "type": ["VerifiableCredential", EVIDENCE_TYPE],
            "issuer": self._did,
            "validFrom": self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            "credentialSubject": EvidenceSubject(
                id=candidate_iri(statement.candidate),
                statement=statement,
                attested=self.prove(entry.sequence),
                runs=tuple(self.prove(position) for position in positions(statement.measurements)),
                decisions=tuple(self.prove(each.log_position) for each in statement.decisions),
            ).as_json(),
        }
        return issue(credential, self._signer, signing_method(self._signer, self._did), self._clock.now())

    def prove(self, position: int) -> LogProof:
        """The offline proof of one entry of this site's log, under a head that witnesses have seen if there is one."""
        size = self._seen_head(position)
        if size is None and self._seal is not None:
            self._seal()
            size = self._seen_head(position)
        return LogProof(party=self._did, position=position, bundle=make_bundle(self._log, position, size))

    def _seen_head(self, position: int) -> int | None:
        """The size of the late head with most cosignatures that covers an entry."""
        last = self._log.size()
        sizes = range(last, max(position, last - LATE_HEADS), -1)
        seen = {size: len(self._log.cosignatures(size)) for size in sizes}
        best = max(seen, key=lambda size: (seen[size], size), default=None)
        return best if best is not None and seen[best] else None

    def _require_measured(self, measurement: Measurement) -> None:
        require_log_position(measurement)
        position = measurement.log_position or 0
        if not names_run(self._log.entry(position).body, measurement.run):
            raise InputError(
                f"entry {position} of the log is not of the run that measured '{measurement.metric}'",
                fix="give the position of the entry in which that run was released",
            )

    def _attestation(self, identifier: str, statement: EvidenceStatement, person: str | None, about: str) -> Activity:
        now = self._clock.now()
        people = () if person is None else (Agent(person, "Person", acts_for=self._did),)
        return Activity(
            iri=f"{identifier}/attestation",
            type="Attestation",
            label="the site stated what it measured on a candidate",
            started=now,
            ended=now,
            agents=(Agent(self._did, "Organization"), *people),
            used=(
                Entity(candidate_iri(statement.candidate), (about,), digest=statement.candidate),
                Entity(statement.dataset, ("Dataset",), digest=statement.dataset_digest),
            ),
            generated=(Entity(identifier, ("Evidence",), "evidence", statement.digest),),
            informed_by=tuple(sorted({measurement.run for measurement in statement.measurements})),
        )


def require_log_position(measurement: Measurement) -> None:
    """A figure that no log entry stands behind cannot be signed; raises :class:`InputError`."""
    if measurement.log_position is None:
        raise InputError(
            f"the figure '{measurement.metric}' has no log entry behind it",
            fix="measure it in a run of the connector, and give the position of that run's log entry",
        )


def positions(measurements: Iterable[Measurement]) -> tuple[int, ...]:
    """The log positions that figures point to, each once."""
    return tuple(sorted({m.log_position for m in measurements if m.log_position is not None}))


def names_run(body: bytes, run: str) -> bool:
    """Whether a log entry (canonical N-Quads) is a step of this run."""
    text = body.decode(errors="replace")
    return f"<{run}>" in text or f"<{run}/" in text or f'"{run}"' in text


def names_decision(body: bytes, decision: Decided) -> bool:
    """Whether a log entry (canonical N-Quads) records exactly this decision: digest, effect and policies."""
    return (
        states(body, decision.id, SYNTHEMA + "digest", literal(decision.digest))
        and states(body, decision.id, SYNTHEMA + "effect", literal(decision.effect))
        and all(states(body, decision.id, SYNTHEMA + "policyDigest", literal(each)) for each in decision.policies)
    )


def reference(credential: Mapping[str, Any]) -> EvidenceReference:
    """Evidence as a certificate embeds it."""
    return EvidenceReference(site=credential["issuer"], digest=digest(credential), credential=dict(credential))


def read_evidence(credential: Mapping[str, Any]) -> EvidenceCredential:
    """Read evidence strictly; nothing in it is verified yet. Raises :class:`InputError`."""
    return read_document(EvidenceCredential, credential)


def verify_evidence(
    credential: Mapping[str, Any], candidate: str, resolver: DidResolver, at: datetime
) -> EvidenceCredential:
    """Check one site's evidence about a candidate: form, signature, subject, and the log behind each figure.

    Raises :class:`InputError` or :class:`IntegrityError` with the first thing that does not hold.
    """
    evidence = read_evidence(credential)
    check_statement(credential, evidence, candidate, resolver, at)
    check_log(evidence, resolver)
    return evidence


def check_statement(
    credential: Mapping[str, Any], evidence: EvidenceCredential, candidate: str, resolver: DidResolver, at: datetime
) -> None:
    """Signature by the site's own identity key, and about exactly this candidate."""
    statement = evidence.statement
    if not is_key_of(evidence.proof.verification_method, statement.site) or evidence.issuer != statement.site:
        raise _broken(f"the evidence of {statement.site} is signed by another key")
    verify(credential, resolver, at)
    if statement.candidate != candidate or evidence.credential_subject.id != candidate_iri(candidate):
        raise _broken(f"the evidence of {statement.site} is about another dataset")


def check_log(
    evidence: EvidenceCredential,
    resolver: DidResolver,
    witnesses: Iterable[VerifierKey] = (),
    quorum: int = 0,
) -> None:
    """Each proof is of the site's signed log, each figure in the entry of its run, the statement in its own entry."""
    subject, statement = evidence.credential_subject, evidence.statement
    proofs = (subject.attested, *subject.runs, *subject.decisions)
    key = log_keys(statement.site, resolver, [proof.bundle for proof in proofs])
    entries = {proof.position: verify_log_proof(proof, key, witnesses, quorum) for proof in subject.runs}
    if any(proof.party != statement.site for proof in proofs):
        raise _broken(f"the evidence of {statement.site} rests on another party's log")
    for measurement in statement.measurements:
        entry = entries.get(measurement.log_position) if measurement.log_position is not None else None
        if entry is None or not names_run(entry.body, measurement.run):
            raise _broken(f"no log entry of {statement.site} stands behind the figure '{measurement.metric}'")
    decided = {proof.position: verify_log_proof(proof, key, witnesses, quorum).body for proof in subject.decisions}
    for decision in statement.decisions:
        if not names_decision(decided.get(decision.log_position, b""), decision):
            raise _broken(f"no log entry of {statement.site} stands behind the decision on '{decision.action}'")
    attested = verify_log_proof(subject.attested, key, witnesses, quorum).body
    named = (
        states(attested, evidence.id, SYNTHEMA + "digest", literal(statement.digest))
        and states(attested, candidate_iri(statement.candidate), SYNTHEMA + "digest", literal(statement.candidate))
        and all(
            states(attested, f"{evidence.id}/attestation", PROV + "wasInformedBy", node(measurement.run))
            for measurement in statement.measurements
        )
    )
    if not named:
        raise _broken(f"the log of {statement.site} does not name this statement")


def verify_log_proof(
    proof: LogProof, key: HeadKeys, witnesses: Iterable[VerifierKey] = (), quorum: int = 0
) -> VerifiedEntry:
    """The entry that a proof shows; raises :class:`IntegrityError` when it shows none, or another."""
    entry = verify_bundle(proof.bundle, key, witnesses=witnesses, quorum=quorum)
    if entry.sequence != proof.position:
        raise _broken("the proof is of another entry")
    return entry


def states(body: bytes, subject: str, predicate: str, value: str) -> bool:
    """Whether a log entry holds this statement; ``value`` is written as N-Quads writes it."""
    line = f"{node(subject)} {node(predicate)} {value} "
    return any(statement.startswith(line) for statement in body.decode(errors="replace").split("\n"))


def _broken(reason: str) -> IntegrityError:
    return IntegrityError(reason, fix="ask the site for its evidence again; if it stays so, do not rely on it")
