"""From a study plan to the run requests that a site's governor decides."""

from __future__ import annotations

from synthema.errors import DeniedError
from synthema.federation import PlanMember, PluginUse, StudyPlan
from synthema.ids import new_id
from synthema.runs.model import OUTPUTS, ComputeKind, OutputClass, RunRequest, Step


def member_of(plan: StudyPlan, did: str) -> PlanMember:
    """The place of a site in a plan; raises :class:`DeniedError` where it has none."""
    for member in plan.members:
        if member.did == did:
            return member
    raise DeniedError("this site is not a member of the study", fix="ask the coordinator for a plan that names it")


def require_coordinator(plan: StudyPlan, caller: str) -> None:
    """Raise :class:`DeniedError` unless the caller is the one who coordinates a study."""
    if plan.coordinator != caller:
        raise DeniedError("only its coordinator speaks for a study", fix="let the hub named in the plan ask")


def contribution_request(plan: StudyPlan, did: str) -> RunRequest:
    """The request to take part in a study's rounds: masked sums leave, and cost ε and δ.

    What is made of the sums is in the request: of a study that ends in a report, aggregate figures.
    """
    kind: ComputeKind = "federated-algorithm" if plan.output == "synthetic" else "federated-analysis"
    return _request(
        plan, did, plan.action, plan.algorithm, kind, OUTPUTS[kind],
        aggregate=Step(plugin=plan.aggregator.plugin, parameters=plan.aggregator.parameters),
        epsilon=plan.epsilon, delta=plan.delta, rows=plan.rows, rounds=plan.rounds,
    )  # fmt: skip


def evaluation_request(plan: StudyPlan, did: str, number: int) -> RunRequest:
    """The request to measure a candidate against this site's rows: figures leave."""
    return _request(plan, did, "evaluateModel", plan.evaluators[number], "evaluator", "aggregate")


def _request(
    plan: StudyPlan, did: str, action: str, compute: PluginUse, kind: ComputeKind, output: OutputClass, **rest: object
) -> RunRequest:
    member = member_of(plan, did)
    return RunRequest.model_validate(
        {
            "id": new_id("run"),
            "requester": plan.coordinator,
            "dataset": member.dataset,
            "purpose": plan.purpose,
            "action": action,
            "anonymise": Step(plugin=plan.anonymiser.plugin, parameters=plan.anonymiser.parameters),
            "compute": Step(plugin=compute.plugin, parameters=compute.parameters),
            "kind": kind,
            "output": output,
            "contributing_parties": plan.minimum_sites,
            "holdout": plan.holdout,
            "agreement": member.agreement,
            "study": plan.id,
            "plan_digest": plan.digest,
            **rest,
        }
    )
