"""Who may fetch what a run released: an anonymised table goes to the persons of its permit and to nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthema.errors import DeniedError, NotFoundError
from synthema.ids import new_id
from synthema.permits import Permit
from synthema.provenance import Activity, Agent, Entity
from synthema.runs.model import Artefact

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


def hand_out(connector: Connector, run: str, artefact: Artefact, person: str | None) -> None:
    """Let the people of this house fetch a released file; a table of single persons' rows only its permit's holder.

    Each hand-over of such a table stands in the log before a byte is given (EHDS Art. 73(1)(e)). Raises
    :class:`DeniedError` for whoever the permit does not name, and once it is not in force any more.
    """
    request = connector.governor.run(run).request
    if request.output != "anonymised":
        return
    permit = _permit(connector, request.agreement)
    iri = None if person is None else connector.log.iri("person", connector.people.get(person).id)
    if iri is None or not permit.content.authorises(iri):
        raise DeniedError(
            "this table was made for the persons its permit names, and for nobody else (EHDS Art. 61(2), 68(10)(d))",
            fix="say who fetches it: --person with a role account of the permit",
        )
    ended = connector.permits.ended(permit.id, connector.clock.now())
    if ended is not None:
        raise DeniedError(f"the table is not handed out any more: {ended}", fix="ask who issued the permit")
    connector.log.record(_handed_out(connector, run, artefact, permit, iri))


def _permit(connector: Connector, basis: str | None) -> Permit:
    try:
        permit = connector.permits.permit(basis or "")
    except NotFoundError:
        permit = None
    if permit is None or permit.content.holder != connector.settings.did:
        raise DeniedError(
            "this table was made for another party, which fetches it under its own agreement (EHDS Art. 61(2))",
            fix="let that party fetch it through the data space",
        )
    return permit


def _handed_out(connector: Connector, run: str, artefact: Artefact, permit: Permit, person: str) -> Activity:
    log, now = connector.log, connector.clock.now()
    file = Entity(
        log.iri("artefact", artefact.digest.removeprefix("sha256:")), ("Artefact",), artefact.name, artefact.digest
    )
    return Activity(
        log.iri("activity", new_id("activity")),
        "ArtefactHandedOut",
        f"handed out to the permit's holder: {artefact.name}",
        now,
        now,
        agents=(Agent(connector.settings.did, "Organization"), Agent(person, "Person")),
        used=(file, Entity(log.iri("permit", permit.id), ("Permit",))),
        informed_by=(f"{log.iri('run', run)}/released",),
        attributes={"run": log.iri("run", run)},
    )
