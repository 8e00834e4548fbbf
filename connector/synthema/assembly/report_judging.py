"""A site and the report of a study it contributed to: looked at, held against the gates, decided by its policies.

The site alone says whether figures made from its patients' data may leave (EHDS Art. 73(2)). It is shown the very
bytes that would be released. It cannot recompute them, as it never sees the sums; it checks that they are a report and
nothing else, of this study, with the sites and the noise that were agreed, and how few patients stand behind a figure.
No record is opened for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from synthema.assembly.statements import report_statement
from synthema.assembly.trust import Trust
from synthema.canonical import digest_bytes
from synthema.certification import candidate_iri
from synthema.certification.study_report import REPORT_TYPE, StudyReport, read_study_report
from synthema.dpia import Evidence, measured
from synthema.errors import DeniedError, IntegrityError
from synthema.federation import StudyPlan
from synthema.runs import store
from synthema.runs.governor import Governor
from synthema.runs.release import DecidedAct
from synthema.runs.session import GovernedSession
from synthema.runs.store import RunRecord

TRANSCRIPT: Final = "masked-rounds.json"
"""The file of a contribution that tells what left this site; only this site reads it."""
COHORT: Final = "cohort"
EXCLUSION_LIST: Final = "exclusionList"


def of_cohort(session: GovernedSession) -> dict[str, int]:
    """What a contribution's transcript keeps of its cohort, for what is decided on the report later."""
    prepared = session.prepared
    return {COHORT: prepared.train.height + prepared.holdout.height, EXCLUSION_LIST: prepared.exclusion_list}


def judge_report(governor: Governor, trust: Trust, plan: StudyPlan, content: bytes, report: str, run: str) -> Any:
    """Decide on a report (``report`` is its digest) that a hub made of this site's contribution ``run``.

    Returns the signed evidence for the hub, beside the words of a refusal. Raises :class:`IntegrityError` for other
    bytes, :class:`DeniedError` or :class:`InputError` for what is not the report of this study.
    """
    if digest_bytes(content) != report:
        raise IntegrityError("the report is not the one announced", fix="ask the hub to send it again")
    found, contribution = read_study_report(content), governor.run(run)
    _require_of_study(governor, plan, found, contribution)
    kept = _transcript(governor, run)
    figures = _figures(governor, found, contribution, int(kept[COHORT]))
    gates = governor.hold(contribution.request, "pre-release", figures)
    thing = candidate_iri(report)
    acts = _decide(governor, contribution, int(kept[EXCLUSION_LIST]), figures, thing) if gates.conformant else ()
    permitted = gates.conformant and all(act.permitted for act in acts)
    governor.rooms.dpias.record(gates, figures, about=thing, released=permitted)
    statement = report_statement(
        governor, plan, report, contribution, gates, acts,
        cohort=int(kept[COHORT]), applied=int(kept[EXCLUSION_LIST]), smallest=found.smallest_count,
    )  # fmt: skip
    refusals = [act.refusal() for act in acts if not act.permitted]
    return {"credential": trust.evidence.make(statement, about=REPORT_TYPE), "series": {}, "refusals": refusals}


def _require_of_study(governor: Governor, plan: StudyPlan, report: StudyReport, contribution: RunRecord) -> None:
    """Refuse a report that is of another study, or claims what the plan and this site's grant do not say."""
    plugin = governor.rooms.plugins.require(contribution.request.compute.plugin)
    privacy = None if report.privacy is None else (report.privacy.epsilon, report.privacy.delta, report.privacy.rho)
    points = {
        "it is of another study": (report.study, report.plan, report.coordinator, report.purpose)
        == (plan.id, plan.digest, plan.coordinator, plan.purpose),
        "it names sites that are not in the plan, or not this one": set(report.sites) <= set(plan.dids)
        and governor.rooms.settings.did in report.sites,
        "a sum in it holds fewer sites than this site's grant asks for": report.fewest_sites
        >= max(plan.minimum_sites, governor.grant(contribution.id).minimum_parties),
        "it was made by another plugin than the approved one": (report.algorithm.name, report.algorithm.digest)
        == (plugin.name, plan.algorithm.digest),
        "it was asked for otherwise": (report.parameters, report.fields) == (plan.algorithm.parameters, plan.fields),
        "it tells of another noise than was agreed": privacy
        == (None if plan.exact else (plan.epsilon, plan.delta, plan.rho)),
        "it holds figures that the plugin does not declare": {each.id for each in report.figures.metrics}
        <= set(plugin.manifest.metrics),
    }
    for problem, holds in points.items():
        if not holds:
            raise DeniedError(
                f"the report cannot be judged here: {problem}", fix="ask the hub what it did; nothing is released"
            )


def _figures(governor: Governor, report: StudyReport, contribution: RunRecord, cohort: int) -> list[Evidence]:
    """What the gates and the policies read of a report."""
    rooms, grant = governor.rooms, governor.grant(contribution.id)
    run, now = rooms.log.iri("run", contribution.id), rooms.clock.now()
    found = [
        measured("minCellCount", report.smallest_count, report.smallest_count, now, run),
        measured("cohortSize", cohort, cohort, now, run),
        measured("contributingParties", report.fewest_sites, report.fewest_sites, now, run),
    ]
    if grant.epsilon:
        found.append(measured("privacyLoss", grant.epsilon, 1, now, run))
    return found


def _decide(
    governor: Governor, contribution: RunRecord, applied: int, figures: Sequence[Evidence], report: str
) -> tuple[DecidedAct, ...]:
    rooms, request, now = governor.rooms, contribution.request, governor.rooms.clock.now()
    acts = governor.desk.of_report(contribution, applied, figures, report)

    def keep(connection: Connection) -> tuple[DecidedAct, ...]:
        ended = rooms.permits.ended_within(connection, request.agreement, now)
        if ended is not None:  # revoked meanwhile (EHDS Art. 63)
            raise DeniedError(ended, fix="nothing more comes out of this study; ask who issued the permit")
        return governor.desk.keep(connection, request, acts, now)

    return rooms.database.write(keep)


def _transcript(governor: Governor, run: str) -> dict[str, Any]:
    with governor.rooms.database.read() as connection:
        digest = next(file.digest for file, _ in store.artefacts_of(connection, run) if file.name == TRANSCRIPT)
    kept: dict[str, Any] = json.loads(governor.released(digest)[1])
    return kept
