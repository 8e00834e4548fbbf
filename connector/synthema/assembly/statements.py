"""What a site states about a candidate, put together from its own runs and their log entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import ceil
from typing import Final

from synthema.canonical import digest
from synthema.certification import (
    EvidenceStatement,
    GateRecord,
    Measurement,
    PluginReference,
    PrivacySpent,
    cohort_band,
)
from synthema.certification.model import Decided, Ground
from synthema.dpia import GateReport
from synthema.errors import IntegrityError
from synthema.federation import StudyPlan
from synthema.policy.model import Value
from synthema.policy.values import value_text
from synthema.runs.governor import Governor
from synthema.runs.release import DecidedAct
from synthema.runs.session import GovernedSession
from synthema.runs.store import RunRecord
from synthema.spi.model import Evaluation
from synthema.vocabulary.namespaces import SYN

EXACT_ASSUMPTION: Final = "who knows all patients of a sum but one can work out that one: small groups are not shown"
VOUCHED: Final = tuple(SYN + name for name in ("consentState", "dpiaOutcome", "optOutListAge", "disease", "legalBasis"))
"""What only the site knows of its data, and whoever certifies or hands on a candidate has to know too."""

PRIVACY_ASSUMPTIONS = (
    "a patient is at one site only; one patient's presence or absence is hidden, not facts true of a whole group",
    "bounds, categories and bands come from the public codebook",
    "noise of at least {honest} honest sites is in every opened sum; at most {colluders} site may collude with the hub",
    "each site's noise is a discrete Gaussian; their sum is accounted as one (Kairouz, Liu and Steinke 2021)",
    "refusals (a class smaller than k, a cohort too small) depend on the data and are not counted in ε",
    "the evaluation figures are aggregates without noise and are not counted in ε",
)


def evidence_statement(
    governor: Governor,
    plan: StudyPlan,
    candidate: str,
    session: GovernedSession,
    evaluation: Evaluation,
    gates: GateReport,
    acts: Sequence[DecidedAct],
    *,
    contribution_run: str,
    judged: Sequence[Measurement] = (),
) -> EvidenceStatement:
    """The statement of this site on a candidate; its figures point to the log entry of the run that measured them.

    ``acts`` is what its policies decided of the candidate, empty where a gate was not passed; ``judged`` are
    the figures of a clinical review, which point to the entry that closed it.
    """
    rooms = governor.rooms
    request, grant = session.request, session.grant
    dataset = rooms.datasets.version(grant.dataset)
    run = rooms.log.iri("run", request.id)
    plugin = rooms.plugins.require(request.compute.plugin)
    evaluator = PluginReference(name=plugin.name, version=plugin.manifest.version, digest=plugin.digest)
    position = _position(governor, f"<{run}/released>", "release")
    measurements = tuple(
        Measurement(
            metric=metric.id,
            value=float(metric.value),
            n=metric.n,
            lower=metric.lower,
            upper=metric.upper,
            control=metric.control,
            definition=metric.definition,
            evaluator=evaluator,
            run=run,
            log_position=position,
        )
        for metric in evaluation.metrics
    ) + tuple(judged)
    return EvidenceStatement(
        candidate=candidate,
        site=rooms.settings.did,
        dataset=rooms.log.iri("dataset", dataset.id),
        dataset_digest=dataset.digest,
        cohort=cohort_band(session.prepared.train.height + session.prepared.holdout.height),
        exclusion_list_version=session.prepared.exclusion_list,
        categories=dataset.metadata.category_iris,
        legal_basis=dataset.legal_basis,
        decisions=(
            _begun(governor, contribution_run),
            _begun(governor, request.id),
            *(decided(rooms.log.iri("decision", act.id), act, request.agreement) for act in acts),
        ),
        gates=GateRecord.of(gates),
        measurements=measurements,
        privacy=privacy_spent(governor, plan, contribution_run),
        grounds=_grounds(acts),
    )


def report_statement(
    governor: Governor,
    plan: StudyPlan,
    report: str,
    contribution: RunRecord,
    gates: GateReport,
    acts: Sequence[DecidedAct],
    *,
    cohort: int,
    applied: int,
    smallest: int,
) -> EvidenceStatement:
    """The statement of this site on a study's report: no record was read for it, it was looked at and decided on.

    ``report`` is the digest of its bytes, ``contribution`` the run in which this site took part, with ``cohort``
    patients after exclusion list ``applied``; ``smallest`` the fewest patients behind a figure.
    """
    rooms, request = governor.rooms, contribution.request
    dataset, run = rooms.datasets.version(request.dataset), rooms.log.iri("run", contribution.id)
    plugin = rooms.plugins.require(request.compute.plugin)
    counted = Measurement(
        metric="minCellCount",
        value=float(smallest),
        n=smallest,
        definition="fewest patients of all sites that stand behind a figure of the report",
        evaluator=PluginReference(name=plugin.name, version=plugin.manifest.version, digest=plugin.digest),
        run=run,
        log_position=_position(governor, f"<{run}/released>", "release"),
    )
    return EvidenceStatement(
        candidate=report,
        site=rooms.settings.did,
        dataset=rooms.log.iri("dataset", dataset.id),
        dataset_digest=dataset.digest,
        cohort=cohort_band(cohort),
        exclusion_list_version=applied,
        categories=dataset.metadata.category_iris,
        legal_basis=dataset.legal_basis,
        decisions=(
            _begun(governor, contribution.id),
            *(decided(rooms.log.iri("decision", act.id), act, request.agreement) for act in acts),
        ),
        gates=GateRecord.of(gates),
        measurements=(counted,),
        privacy=privacy_spent(governor, plan, contribution.id),
        grounds=_grounds(acts),
    )


def decided(iri: str, act: DecidedAct, basis: str | None) -> Decided:
    """A decided act as evidence and certificates tell it; ``iri`` names the decision in this party's log."""
    if act.position is None:
        raise IntegrityError("this decision does not stand in the log", fix="run: synthema log verify")
    decision = act.decision
    return Decided(
        id=iri,
        action=act.action,
        effect=decision.effect,
        digest=decision.digest,
        policies=(decision.policy_digest,),
        basis=basis,
        log_position=act.position,
    )


def _begun(governor: Governor, run: str) -> Decided:
    """The decision with which a run of this site began."""
    record, log = governor.run(run), governor.rooms.log
    decision = record.decision or {}
    return Decided(
        id=log.iri("decision", run),
        action=decision["request"]["action"],
        effect=decision["effect"],
        digest=digest(decision),
        policies=(decision["policy_digest"],),
        basis=record.request.agreement,
        log_position=_position(governor, f"<{log.iri('decision', run)}> <{SYN}effect>", "decision"),
    )


def _grounds(acts: Sequence[DecidedAct]) -> tuple[Ground, ...]:
    """What this site found of its own data when it decided, as others must know it to decide in their turn."""
    facts = acts[0].decision.request.facts if acts else {}
    return tuple(
        Ground(operand=operand, values=_texts(facts[operand].value)) for operand in VOUCHED if operand in facts
    )


def _texts(value: Value) -> tuple[str, ...]:
    if isinstance(value, timedelta):
        value = timedelta(seconds=ceil(value.total_seconds()))  # an age is told in whole seconds, never too young
    return value if isinstance(value, tuple) else (value_text(value),)


def privacy_spent(governor: Governor, plan: StudyPlan, contribution_run: str) -> PrivacySpent:
    """What taking part cost one patient of this site: the grant's ε, δ and ρ, graded with its assumptions."""
    grant = governor.grant(contribution_run)
    if plan.exact:
        return PrivacySpent(
            epsilon=None,
            delta=0.0,
            mechanism=f"sums over at least {plan.minimum_sites} sites, without noise",
            accountant="none: nothing bounds what exact sums tell of one patient",
            assurance="declared",
            assumptions=(EXACT_ASSUMPTION,),
        )
    words = {"honest": plan.honest_sites, "colluders": plan.tolerated_colluders}
    return PrivacySpent(
        epsilon=grant.epsilon,
        delta=grant.delta,
        rho=grant.rho,
        mechanism="discrete Gaussian noise, shared between the sites, inside a secure sum of integer counts",
        accountant="zero-concentrated differential privacy (Bun and Steinke 2016), converted to ε and δ "
        "by Canonne, Kamath and Steinke 2020, Proposition 12",
        assurance="tested",
        assumptions=tuple(sentence.format(**words) for sentence in PRIVACY_ASSUMPTIONS),
    )


def _position(governor: Governor, iri: str, what: str) -> int:
    """The log position of the newest entry about a step of a run."""
    log, named = governor.rooms.log, iri.encode()
    for sequence in range(log.size() - 1, -1, -1):
        if named in log.entry(sequence).body:
            return sequence
    raise IntegrityError(f"the log does not hold the {what} of this run", fix="run: synthema log verify")
