"""What a hub decides by its own policies: to certify a study's candidate, and to hand a released dataset on.

Whether a candidate may leave the secure environments is decided where these are: each site decides it about its own
dataset, under its own agreement with the hub, and signs the decision in its evidence; a candidate that one site does
not permit to leave is not released. The hub holds no patients' data of its own. It issues a certificate and gives
the dataset away, so it asks its policies about these two acts, with what the sites measured and vouched for.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Connection

from synthema.assembly import study_store
from synthema.assembly.endings import ENDINGS
from synthema.assembly.statements import decided
from synthema.assembly.trust import Trust
from synthema.certification import Certificate, CertificateRecord, EvidenceStatement, Measurement, read_document
from synthema.certification.evidence import read_evidence
from synthema.certification.model import ProvenDecision
from synthema.dataspace import Agreement
from synthema.dataspace.model import Artefact
from synthema.errors import DeniedError
from synthema.federation import StudyPlan
from synthema.policy import AccessRequest, Fact
from synthema.policy.model import PERMITTING_LAYERS, Value
from synthema.policy.values import parse_value
from synthema.provenance import Entity
from synthema.runs import store as run_store
from synthema.runs.facts import FactFinder
from synthema.runs.governor import Governor
from synthema.runs.measured import estimated_facts
from synthema.runs.release import DISTRIBUTE, DecidedAct, decide_act, record_act
from synthema.runs.rooms import Rooms
from synthema.vocabulary import Datatype
from synthema.vocabulary.namespaces import ODRL, SYN

HANDED_ON: Final = "handedOn"
"""Where a study's result keeps, for each agreement, how often the dataset was handed on and the last decision."""

STATES: Final[Mapping[str, str]] = {"valid": "in force", "suspended": "suspended", "revoked": "revoked"}


@dataclass(frozen=True, slots=True)
class Vouched:
    """One site's statement, and the IRI of the credential that shows it."""

    statement: EvidenceStatement
    shown_by: str


class HubActs:
    """Asks a hub's policies about what it does with candidates and released datasets."""

    def __init__(self, rooms: Rooms, facts: FactFinder, governor: Governor, trust: Trust) -> None:
        self._rooms = rooms
        self._facts = facts
        self._governor = governor
        self._trust = trust
        self._one_hand_over = threading.Lock()  # a bound on how often counts on every one before

    # certifying ------------------------------------------------------------------------------

    def why_not(self, plan: StudyPlan, datasets: Mapping[str, str]) -> str:
        """Why this hub could never release what a study makes, because a layer has no rule about it; else nothing.

        Asked before a site spends anything: no figure that is measured later could change such a denial.
        """
        silent = [
            reason.sentence
            for act in self.certifying(plan, datasets, {}, plan.id)
            for reason in act.decision.reasons
            if reason.effect == "none" and reason.layer in PERMITTING_LAYERS
        ]
        if not silent:
            return ""
        ending = ENDINGS[plan.output]
        return (
            f"this hub could not {ending.verb} what the study makes: {' '.join(dict.fromkeys(silent))} Its data "
            f"protection officer can start from the templates {ending.templates}."
        )

    def certifying(
        self, plan: StudyPlan, datasets: Mapping[str, str], vouched: Mapping[str, Vouched], candidate: str
    ) -> tuple[DecidedAct, ...]:
        """Decide on certifying a candidate, once under the agreement with each site; ``datasets`` are theirs by did.

        A report gets no certificate: of it, the policies are asked whether it may leave.
        """
        return tuple(
            decide_act(
                self._rooms,
                self._certification(plan, member.did, datasets[member.did], member.agreement, vouched.get(member.did)),
                candidate,
                member.agreement,
            )
            for member in plan.members
        )

    def keep_certifying(
        self, connection: Connection, plan: StudyPlan, acts: Sequence[DecidedAct]
    ) -> tuple[DecidedAct, ...]:
        """Log the decisions and take on their duties, with the release or the end of the study."""
        return tuple(
            record_act(
                self._rooms, connection, act, process=plan.id, dataset=act.decision.request.target,
                basis=member.agreement,
            )
            for member, act in zip(plan.members, acts, strict=True)
        )  # fmt: skip

    def proven(self, plan: StudyPlan, acts: Sequence[DecidedAct]) -> tuple[ProvenDecision, ...]:
        """The decisions as a certificate names them, with the proofs of their log entries."""
        decisions = [
            decided(self._rooms.log.iri("decision", act.id), act, member.agreement)
            for member, act in zip(plan.members, acts, strict=True)
        ]
        return tuple(
            ProvenDecision(decision=each, proof=self._trust.evidence.prove(each.log_position)) for each in decisions
        )

    def _certification(
        self, plan: StudyPlan, site: str, dataset: str, agreement: str, vouched: Vouched | None
    ) -> AccessRequest:
        rooms, now, study = self._rooms, self._rooms.clock.now(), self._rooms.log.iri("study", plan.id)
        own = rooms.settings.did
        told: dict[str, Value] = {SYN + "contributingParties": len(plan.members), SYN + "project": plan.id}
        if not plan.exact:
            told |= {SYN + "epsilonRequested": plan.epsilon, SYN + "delta": plan.delta}
        facts = {
            **self._facts.of_house(now),
            **self._facts.of_party(own, now),
            # the hub read sums over all sites, and nothing else
            **self._of_output(plan.purpose, "aggregate", study, ENDINGS[plan.output].output),
            **{operand: Fact(value, study) for operand, value in told.items()},
            **self._of_basis(agreement, site, dataset),
            **({} if vouched is None else self._of_evidence([vouched])),
        }
        act = ENDINGS[plan.output].act
        return AccessRequest(f"{study}/{act.rpartition('#')[2]}", act, dataset, own, now, facts)

    # handing on ------------------------------------------------------------------------------

    def hand_on(self, agreement: Agreement, artefact_id: str) -> Artefact:
        """A released dataset for the party of an agreement, if the policies permit it now.

        Every hand-over is decided anew and stands in the log before a byte is given. Raises :class:`NotFoundError`
        for what was never released, :class:`DeniedError` with the reasons where it is denied.
        """
        self._governor.released(f"sha256:{artefact_id}")  # whose bytes are checked against their digest
        with self._one_hand_over:
            study = self._study_of(artefact_id)
            handed = ((study.result or {}).get(HANDED_ON) or {}).get(agreement.id) or {"count": 0}
            act = self._handing_on(agreement, artefact_id, study, int(handed["count"]))
            self._rooms.database.write(lambda connection: self._keep_handing_on(connection, agreement, study.id, act))
        if not act.permitted:
            raise DeniedError(act.refusal(), fix="ask the hub's data protection officer")
        return self._file(artefact_id)

    def hand_on_further(self, agreement: Agreement, artefact_id: str) -> Artefact:
        """The same for a further piece of a hand-over that has begun: decided on the facts of now, and not counted.

        The hand-over under way is not counted against itself either.
        """
        found, study = self._file(artefact_id), self._study_of(artefact_id)
        handed = ((study.result or {}).get(HANDED_ON) or {}).get(agreement.id) or {"count": 1}
        act = self._handing_on(agreement, artefact_id, study, max(int(handed["count"]) - 1, 0))
        if not act.permitted:
            raise DeniedError(act.refusal(), fix="ask the hub's data protection officer")
        return found

    def _file(self, artefact_id: str) -> Artefact:
        _, artefact, path = self._governor.released_file(f"sha256:{artefact_id}")
        return Artefact(artefact_id, path, artefact.digest, artefact.media_type)

    def _study_of(self, artefact_id: str) -> study_store.ConductedStudy:
        with self._rooms.database.read() as connection:
            run, _ = run_store.released_artefact(connection, f"sha256:{artefact_id}")
            return study_store.find_study(connection, run)

    def _handing_on(
        self, agreement: Agreement, artefact_id: str, study: study_store.ConductedStudy, before: int
    ) -> DecidedAct:
        rooms, now = self._rooms, self._rooms.clock.now()
        record = self._trust.issuer.find(str((study.result or {})["certificate"]))
        content = read_document(Certificate, record.document).credential_subject
        vouched = [Vouched(read_evidence(e.credential).statement, str(e.credential["id"])) for e in content.evidence]
        guarantee, of_ours = content.privacy.guarantee, rooms.log.iri("study", study.id)
        told: dict[str, Value] = {
            SYN + "contributingParties": len(content.sources),
            SYN + "project": study.id,
            SYN + "certificateState": self._state_of(record),
            SYN + "delta": guarantee.delta,
            ODRL + "count": before,
        }
        if guarantee.epsilon is not None:
            told[SYN + "epsilonRequested"] = guarantee.epsilon
        facts = {
            **self._facts.of_house(now),
            **self._facts.of_party(agreement.consumer, now),
            **self._of_output(str((study.plan or {})["purpose"]), "synthetic", of_ours),
            **{operand: Fact(value, record.id) for operand, value in told.items()},
            **self._of_basis(agreement.id, agreement.consumer, artefact_id),
            **self._of_evidence(vouched),
        }
        access = AccessRequest(
            f"{of_ours}/distribute", DISTRIBUTE, agreement.dataset, rooms.settings.did, now, facts,
            rooms.obligations.fulfilments(agreement.consumer, artefact_id, agreement.id, now),
        )  # fmt: skip
        return decide_act(rooms, access, rooms.log.iri("artefact", artefact_id), agreement.id)

    def _keep_handing_on(self, connection: Connection, agreement: Agreement, study: str, act: DecidedAct) -> None:
        """The decision in the log and in the story of the study, with the count the next one is made on."""
        rooms, now = self._rooms, self._rooms.clock.now()
        used = (Entity(act.about, ("Artefact",)),)
        name = act.about.rpartition("/")[2]
        kept = record_act(rooms, connection, act, process=study, dataset=name, basis=agreement.id, used=used)
        result = dict(study_store.find_study(connection, study).result or {})
        handed = dict(result.get(HANDED_ON) or {})
        before = int((handed.get(agreement.id) or {"count": 0})["count"])
        count = before + int(act.permitted)
        handed[agreement.id] = {"to": agreement.consumer, "count": count, "last": kept.as_dict()}
        text = "may have the dataset" if act.permitted else act.refusal()
        event = {"kind": "distribute", "site": agreement.consumer, "text": text, "decision": act.decision.digest}
        study_store.note(connection, study, now, event, result=result | {HANDED_ON: handed})

    def _state_of(self, record: CertificateRecord) -> str:
        """The state of a certificate as the status register and its own dates have it now."""
        ended = read_document(Certificate, record.document).valid_until <= self._rooms.clock.now()
        name = "expired" if ended and record.state != "revoked" else STATES[record.state]
        operand = self._rooms.policies.vocabulary.operand("certificate state")
        return self._rooms.policies.vocabulary.terms_of(operand).resolve(name)

    # facts -----------------------------------------------------------------------------------

    def _of_output(self, purpose: str, read: str, shown_by: str, made: str = "synthetic") -> dict[str, Fact]:
        words = self._rooms.policies.vocabulary
        return {
            ODRL + "purpose": Fact(words.purposes.resolve(purpose), shown_by),
            SYN + "outputClass": Fact(words.data_formats.resolve(made), shown_by),
            SYN + "dataFormat": Fact(words.data_formats.resolve(read), shown_by),
        }

    def _of_basis(self, agreement: str, party: str, dataset: str) -> dict[str, Fact]:
        """Where the agreement with a party stands, and for how long it has been in force."""
        permits, now = self._rooms.permits, self._rooms.clock.now()
        facts = permits.facts(agreement, requester=party, dataset_id=dataset, at=now)
        state, agreed = facts.get(SYN + "permitState"), permits.approved_at(agreement)
        if state is None:
            return {}
        known: dict[str, Value] = dict(self._facts.of_authorisation(agreement))
        if agreed is not None:
            known[ODRL + "elapsedTime"] = max(now - agreed, timedelta(0))
        return {**facts, **{operand: Fact(value, state.evidence) for operand, value in known.items()}}

    def _of_evidence(self, vouched: Sequence[Vouched]) -> dict[str, Fact]:
        """What the sites measured and vouch for: the worst figure of all, and only what every site knows."""
        found = [{**_figures(each), **self._grounds(each)} for each in vouched]
        everywhere = {operand for operand in found[0] if all(operand in facts for facts in found)}
        # A site without records that rest on consent has no state of consent to vouch for.
        everywhere |= {SYN + "consentState"} & {operand for facts in found for operand in facts}
        return {
            operand: _worst(operand, [facts[operand] for facts in found if operand in facts])
            for operand in sorted(everywhere)
        }

    def _grounds(self, vouched: Vouched) -> dict[str, Fact]:
        vocabulary = self._rooms.policies.vocabulary
        facts: dict[str, Fact] = {}
        for ground in vouched.statement.grounds:
            operand = vocabulary.operands.get(ground.operand)
            if operand is None:
                continue  # a term this house does not know helps no decision here
            values = tuple(parse_value(text, operand.datatype) for text in ground.values)
            texts = tuple(value for value in values if isinstance(value, str))
            if len(values) == 1:
                facts[operand.iri] = Fact(values[0], vouched.shown_by)
            elif operand.datatype is Datatype.TERM:
                facts[operand.iri] = Fact(texts, vouched.shown_by)
        return facts


def _figures(vouched: Vouched) -> dict[str, Fact]:
    def shown_by(measured: Measurement) -> str:
        return f"{vouched.shown_by}#{measured.evaluator.name}"

    return estimated_facts(vouched.statement.measurements, shown_by)


def _worst(operand: str, facts: Sequence[Fact]) -> Fact:
    """One fact for several sites: every term that holds somewhere, the highest risk, lowest utility, oldest list."""
    if all(isinstance(fact.value, str | tuple) for fact in facts):
        terms = {
            term for fact in facts for term in (fact.value if isinstance(fact.value, tuple) else (str(fact.value),))
        }
        value: Any = next(iter(terms)) if len(terms) == 1 else tuple(sorted(terms))
        return replace(facts[0], value=value)
    choose: Any = min if operand == SYN + "utilityScore" else max
    worst: Fact = choose(facts, key=lambda fact: fact.value)
    return worst
