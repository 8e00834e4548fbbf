"""Operations on requests and runs of this site."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from synthema.assembly.disclosing import answer_json
from synthema.assembly.holders import hand_out
from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.assembly.problems import input_error
from synthema.canonical import digest
from synthema.clock import to_text
from synthema.errors import InputError, SynthemaError
from synthema.ids import new_id
from synthema.runs import execute
from synthema.runs.governor import Verdict
from synthema.runs.model import RunRequest
from synthema.runs.store import RunRecord, artefacts_of

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class Submit(Input):
    """A run request without id and requester; ``execute`` also runs it when it is permitted."""

    request: dict[str, Any]
    execute: bool = Field(default=True, description="run at once when permitted")


@operation("request/submit")
def submit_request(connector: Connector, given: Submit) -> dict[str, Any]:
    """Decide a request; on permit run it, measure the output in quarantine, release it or withhold it."""
    request = connector.governor.pinned(_read_request(given.request, connector.settings.did))
    execute.check(request)
    answer = connector.governor.request(request)
    result = answer_json(answer)
    if answer.grant is not None and given.execute:
        try:
            result["verdict"] = _verdict_json(execute.run(connector.governor, answer.grant, request))
        except SynthemaError as error:
            connector.governor.give_up(request.id, error)  # nobody holds a grant that could not be used at once
            raise
    return result


@operation("request/list")
def list_requests(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The latest requests with their states, newest first."""
    return [run_json(record) for record in connector.governor.recent()]


class OneRun(Input):
    """A run by its id."""

    run: str


@operation("request/show")
def show_request(connector: Connector, given: OneRun) -> dict[str, Any]:
    """One request: its state, decision, measured gates, what was decided of its output, and files."""
    record = connector.governor.run(given.run)
    with connector.database.read() as connection:
        files = artefacts_of(connection, given.run)
    return run_json(record) | {
        "decision": record.decision,
        "evidence": record.measured,
        "acts": list(record.acts),
        "artefacts": [file.model_dump() | {"state": state} for file, state in files],
    }


@operation("request/run")
def run_request(connector: Connector, given: OneRun) -> dict[str, Any]:
    """Run what was permitted earlier, once and before its grant expires."""
    grant, request = connector.governor.grant(given.run), connector.governor.run(given.run).request
    return {"run": given.run, "verdict": _verdict_json(execute.run(connector.governor, grant, request))}


class OneArtefact(Input):
    """A released file by its digest; an anonymised table also needs to know which person of its permit fetches it."""

    digest: str
    person: str | None = Field(default=None, description="role account that the permit of an anonymised table names")


@operation("artefact/fetch")
def fetch_artefact(connector: Connector, given: OneArtefact) -> dict[str, Any]:
    """A released file, base64; anything not released is unknown."""
    run, artefact, _ = connector.governor.released_file(given.digest)
    hand_out(connector, run, artefact, given.person)
    artefact, content = connector.governor.released(given.digest)
    return artefact.model_dump() | {"content": base64.b64encode(content).decode()}


def _read_request(values: dict[str, Any], did: str) -> RunRequest:
    """A request of this connector's own people, who cannot speak for another party."""
    if values.get("requester", did) != did:
        raise InputError(
            "a request made here is this connector's own", where="request: requester", fix="leave 'requester' out"
        )
    try:
        return RunRequest.model_validate(values | {"requester": did, "id": new_id("run")})
    except ValidationError as error:
        raise input_error(error, "request", RunRequest) from error


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    return {
        "released": verdict.released,
        "sentences": list(verdict.sentences()),
        "acts": [act.as_dict() for act in verdict.acts],
        "artefacts": [file.model_dump() for file in verdict.artefacts] if verdict.released else [],
    }


def run_json(record: RunRecord) -> dict[str, Any]:
    """A run as JSON."""
    request = record.request
    return {
        "run": record.id,
        "state": str(record.state),
        "reason": record.reason,
        "purpose": request.purpose,
        "action": request.action,
        "output": request.output,
        "requester": request.requester,
        "dataset": request.dataset,
        "epsilon": request.epsilon,
        "delta": request.delta,
        "study": request.study,
        "requestDigest": digest(request.model_dump(mode="json")),
        "created": to_text(record.created_at),
        "changed": to_text(record.changed_at),
    }
