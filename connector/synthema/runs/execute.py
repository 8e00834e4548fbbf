"""Whole runs inside one site: make synthetic rows and measure them, analyse, or make an anonymised table."""

from __future__ import annotations

from typing import Any

from synthema.canonical import canonical_json
from synthema.errors import InputError, PluginError
from synthema.runs.anonymising import anonymise, check_anonymisation
from synthema.runs.formats import JSON, PARQUET, table_bytes
from synthema.runs.governor import Governor, Verdict
from synthema.runs.measured import evaluation_json, evidence_of
from synthema.runs.model import Grant, RunRequest, Step
from synthema.runs.session import GovernedSession
from synthema.runs.shadows import check_shadows, with_shadows
from synthema.runs.waiting import settle_or_wait
from synthema.spi.model import Evaluation, Generated, Table


def run(governor: Governor, grant: Grant, request: RunRequest) -> Verdict:
    """A whole run of this site alone, by its kind."""
    work = {"analysis": analyse, "anonymiser": anonymise}.get(request.kind, generate)
    return work(governor, grant, request)


def check(request: RunRequest) -> None:
    """Raise :class:`InputError` unless this site alone can serve the request."""
    if request.kind == "analysis":
        check_analysis(request)
    elif request.kind == "anonymiser":
        check_anonymisation(request)
    else:
        check_generator(request)


def generate(governor: Governor, grant: Grant, request: RunRequest) -> Verdict:
    """Run a generator, measure its rows, and release them only if the DPIA's gates allow it."""
    evaluator = check_generator(request)
    session = governor.start(grant, request)
    parameters = request.compute.parameters | _granted_privacy(governor, grant, request)

    def generated(table: Table, rows: int, parameters: dict[str, Any]) -> Table:
        result = session.call(
            request.compute.plugin,
            "generate",
            table=table,
            codebook=session.prepared.codebook,
            parameters=parameters,
            rows=rows,
        )
        return _checked(result, grant, session)

    try:
        synthetic = generated(session.prepared.train, request.rows, parameters)
        evaluation = with_shadows(
            session,
            evaluator,
            evaluate_rows(session, evaluator.plugin, evaluator.parameters, synthetic),
            lambda rows, number: generated(rows, rows.height, _of_shadow(parameters, number)),
        )
        governor.quarantine(
            session,
            {
                "synthetic.parquet": (PARQUET, table_bytes(synthetic)),
                "codebook.json": (JSON, canonical_json(session.prepared.codebook.model_dump(mode="json"))),
                "evaluation.json": (JSON, canonical_json(evaluation_json(evaluation))),
            },
        )
        source, now = governor.rooms.log.iri("run", request.id), governor.rooms.clock.now()
        return settle_or_wait(governor, session, evidence_of(session, evaluation, source, now))
    except BaseException as error:
        governor.give_up(request.id, error)
        raise
    finally:
        session.close()


def analyse(governor: Governor, grant: Grant, request: RunRequest) -> Verdict:
    """Run a clinical analysis on the whole prepared cohort and release its figures if the gates allow it.

    No rows leave; the figures carry no noise, so the request spends no ε and the
    policy must permit aggregates for its purpose.
    """
    check_analysis(request)
    session = governor.start(grant, request)
    try:
        result = session.call(
            request.compute.plugin,
            "analyse",
            table=session.prepared.train,
            codebook=session.prepared.codebook,
            parameters=request.compute.parameters,
        )
        figures = canonical_json(evaluation_json(result))
        governor.quarantine(session, {"analysis.json": (JSON, figures)})
        source, now = governor.rooms.log.iri("run", request.id), governor.rooms.clock.now()
        return governor.settle(session, evidence_of(session, None, source, now), "pre-run")
    except BaseException as error:
        governor.give_up(request.id, error)
        raise
    finally:
        session.close()


def check_analysis(request: RunRequest) -> None:
    """Raise :class:`InputError` unless the request is for an analysis of the whole cohort."""
    if request.kind != "analysis" or request.output != "aggregate" or request.epsilon or request.holdout:
        raise InputError(
            "an analysis gives aggregates of the whole cohort and spends no ε",
            where="request",
            fix="give kind 'analysis', output 'aggregate', holdout 0 and no epsilon",
        )


def _of_shadow(parameters: dict[str, Any], number: int) -> dict[str, Any]:
    """The parameters of a shadow run: those of the run itself, with randomness of its own where a seed fixes it."""
    seed = parameters.get("seed")
    return parameters | ({"seed": seed + number} if isinstance(seed, int) else {})


def _granted_privacy(governor: Governor, grant: Grant, request: RunRequest) -> dict[str, float]:
    """The granted ε and δ for a generator that knows them, whatever the request's own parameters say."""
    declared = {each.name for each in governor.rooms.plugins.require(request.compute.plugin).manifest.parameters}
    return {name: value for name, value in (("epsilon", grant.epsilon), ("delta", grant.delta)) if name in declared}


def check_generator(request: RunRequest) -> Step:
    """The evaluator of a generator run; raises :class:`InputError` for a request that no such run can serve."""
    if request.kind != "generator" or request.evaluate is None or request.rows < 1:
        raise InputError(
            "a run of this site alone is of the kind 'analysis' or 'anonymiser', or of the kind 'generator' with rows "
            "and an evaluator",
            where="request",
            fix="give kind, 'rows' and 'evaluate' in the request; nothing is released unmeasured",
        )
    check_shadows(request.evaluate)
    return request.evaluate


def evaluate_rows(session: GovernedSession, plugin: str, parameters: dict[str, Any], synthetic: Table) -> Evaluation:
    """Measure synthetic rows against the run's training rows and hold-out, inside the sandbox."""
    result = session.call(
        plugin,
        "evaluate",
        train=session.prepared.train,
        holdout=session.prepared.holdout,
        synthetic=synthetic,
        codebook=session.prepared.codebook,
        parameters=parameters,
    )
    if not isinstance(result, Evaluation):
        raise PluginError(f"the evaluator '{plugin}' gave no evaluation", fix="use an evaluator that passes its tests")
    return result


def _checked(result: object, grant: Grant, session: GovernedSession) -> Table:
    if not isinstance(result, Generated):
        raise PluginError("the generator gave no rows", fix="use a generator that passes its contract tests")
    if grant.epsilon and (result.epsilon is None or result.epsilon > grant.epsilon or result.delta > grant.delta):
        raise PluginError(
            "the generator spent more privacy than the grant allows", fix="use a generator that keeps to its budget"
        )
    if grant.epsilon and session.prepared.stability != 1:
        raise PluginError(
            "the anonymiser can let one patient change several rows, and this generator does not account for that",
            fix="let the anonymiser refuse small classes (small_classes: refuse) instead of suppressing them",
        )
    columns = session.prepared.codebook.names()
    if tuple(result.table.columns) != columns:
        raise PluginError("the generator's columns are not those of the codebook", fix="report this to its author")
    return result.table
