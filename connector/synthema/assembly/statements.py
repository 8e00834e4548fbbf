"""What a site states about a candidate, put together from its own runs and their log entries."""

from __future__ import annotations

from synthema.certification import (
    EvidenceStatement,
    GateRecord,
    Measurement,
    PluginReference,
    PrivacySpent,
    cohort_band,
)
from synthema.dpia import GateReport
from synthema.errors import IntegrityError
from synthema.federation import StudyPlan
from synthema.runs.governor import Governor
from synthema.runs.session import GovernedSession
from synthema.spi.model import Evaluation

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
    *,
    contribution_run: str,
) -> EvidenceStatement:
    """The statement of this site on a candidate; its figures point to the log entry of the run that measured them."""
    rooms = governor.rooms
    request, grant = session.request, session.grant
    dataset = rooms.datasets.version(grant.dataset)
    run = rooms.log.iri("run", request.id)
    plugin = rooms.plugins.require(request.compute.plugin)
    evaluator = PluginReference(name=plugin.name, version=plugin.manifest.version, digest=plugin.digest)
    position = _position_of_release(governor, request.id)
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
    )
    decision = governor.run(contribution_run).decision or {}
    return EvidenceStatement(
        candidate=candidate,
        site=rooms.settings.did,
        dataset=rooms.log.iri("dataset", dataset.id),
        dataset_digest=dataset.digest,
        cohort=cohort_band(session.prepared.train.height + session.prepared.holdout.height),
        exclusion_list_version=session.prepared.exclusion_list,
        policies=(str(decision["policy_digest"]),),
        decision=grant.decision_digest,
        gates=GateRecord.of(gates),
        measurements=measurements,
        privacy=privacy_spent(governor, plan, contribution_run),
    )


def privacy_spent(governor: Governor, plan: StudyPlan, contribution_run: str) -> PrivacySpent:
    """What taking part cost one patient of this site: the grant's ε, δ and ρ, graded with its assumptions."""
    grant = governor.grant(contribution_run)
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


def _position_of_release(governor: Governor, run: str) -> int:
    """The log position of the entry that released a run's figures."""
    iri = f"<{governor.rooms.log.iri('run', run)}/released>".encode()
    log = governor.rooms.log
    for sequence in range(log.size() - 1, -1, -1):
        if iri in log.entry(sequence).body:
            return sequence
    raise IntegrityError("the log does not hold the release of this run", fix="run: synthema log verify")
