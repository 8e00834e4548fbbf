"""Measures a release of this site again: the same attacks of today on the rows that were released then."""

from __future__ import annotations

from synthema.canonical import canonical_json
from synthema.dpia import GateReport
from synthema.errors import DeniedError, InputError
from synthema.ids import new_id
from synthema.runs.execute import evaluate_rows
from synthema.runs.formats import JSON, read_table
from synthema.runs.governor import Governor
from synthema.runs.measured import evaluation_json, evidence_of
from synthema.runs.model import RunRequest, RunState, Step
from synthema.runs.store import artefacts_of

ROWS = "synthetic.parquet"


def remeasure(governor: Governor, thing: str) -> GateReport:
    """Evaluate a release in a governed run of its own, and hold it against the post-release gates.

    ``thing`` is the IRI of the run that released it. Raises :class:`InputError` for what is no
    release of this site, :class:`DeniedError` where the evaluation itself is not permitted. A candidate of
    a federated study is measured again when its coordinator asks for it.
    """
    rooms = governor.rooms
    released = _released_run(governor, thing)
    request = _evaluation_of(released, released.evaluate)
    answer = governor.request(request)
    if answer.grant is None:
        said = " ".join((*answer.decision.sentences(), *answer.notes))
        raise DeniedError(f"the release may not be measured again: {said}"[:1500], fix="mend what the sentences name")
    session = governor.start(answer.grant, request)
    try:
        rows = read_table(_rows(governor, released.id))
        evaluation = evaluate_rows(session, request.compute.plugin, request.compute.parameters, rows)
        governor.quarantine(session, {"evaluation.json": (JSON, canonical_json(evaluation_json(evaluation)))})
        now, source = rooms.clock.now(), rooms.log.iri("run", request.id)
        evidence = evidence_of(session, evaluation, source, now)
        governor.settle(session, evidence_of(session, None, source, now), "pre-run", figures=evidence)
        report = governor.hold(request, "post-release", evidence)
        rooms.dpias.record(report, evidence, about=thing)
        return report
    except BaseException as error:
        governor.give_up(request.id, error)
        raise
    finally:
        session.close()


def _released_run(governor: Governor, thing: str) -> RunRequest:
    start = governor.rooms.log.iri("run", "")
    if not thing.startswith(start):
        raise InputError(
            "this is no release of a run of this site",
            where="release",
            fix="name one that synthema dpia status lists; a study's candidate is measured when its hub asks",
        )
    record = governor.run(thing.removeprefix(start))
    if record.state is not RunState.RELEASED or record.request.evaluate is None:
        raise InputError("this run released no rows", where="release", fix="name one that synthema dpia status lists")
    return record.request


def _evaluation_of(released: RunRequest, evaluator: Step | None) -> RunRequest:
    if evaluator is None:
        raise InputError("this run named no evaluator", where="release", fix="name another release")
    return released.model_copy(
        update={
            "id": new_id("run"),
            "action": "evaluateModel",
            "compute": evaluator,
            "kind": "evaluator",
            "evaluate": None,
            "output": "aggregate",
            "epsilon": 0.0,
            "delta": 0.0,
            "rows": 0,
        }
    )


def _rows(governor: Governor, run: str) -> bytes:
    with governor.rooms.database.read() as connection:
        files = {file.name: file.digest for file, _ in artefacts_of(connection, run)}
    if ROWS not in files:
        raise InputError("this run released no rows", where="release", fix="name one that synthema dpia status lists")
    _, content = governor.released(files[ROWS])
    return content
