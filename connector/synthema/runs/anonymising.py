"""An anonymised table for one permit: made inside, measured, and released to its holder or withheld (EHDS Art. 66-68).

The table is prepared as for every run (excluded patients left out, de-identified, fields of the permit kept), then a
second anonymiser lets nobody stand out. Pseudonyms of the permit may be part of the preparation, so that a patient with
several rows counts once; they never leave, because who holds their key can undo them (GDPR Art. 4(5), EHDS Art. 66(3)).
"""

from __future__ import annotations

from synthema.canonical import canonical_json
from synthema.dpia import measured
from synthema.errors import InputError, PluginError
from synthema.runs.anonymity import count, figures_of, in_no_order, report
from synthema.runs.formats import JSON, PARQUET, table_bytes
from synthema.runs.governor import Governor, Verdict
from synthema.runs.measured import evidence_of
from synthema.runs.model import Grant, RunRequest
from synthema.runs.session import GovernedSession
from synthema.spi.model import Anonymised

TABLE = "anonymised.parquet"
REPORT = "anonymisation.json"


def check_anonymisation(request: RunRequest) -> None:
    """Raise :class:`InputError` unless the request is for a table of the whole cohort, for a permit or agreement."""
    extra = request.epsilon or request.holdout or request.rows or request.evaluate or request.aggregate
    if request.kind != "anonymiser" or request.output != "anonymised" or extra:
        raise InputError(
            "an anonymised table is of the whole cohort, spends no ε and is measured by its anonymiser",
            where="request",
            fix="give kind 'anonymiser', output 'anonymised', holdout 0, and no epsilon, rows or evaluate",
        )
    if request.agreement is None:
        raise InputError(
            "an anonymised table is made for somebody",
            where="request: agreement",
            fix="name the permit or agreement it is for (EHDS Art. 66(2), 68)",
        )


def anonymise(governor: Governor, grant: Grant, request: RunRequest) -> Verdict:
    """Make the table and its report, and release them only if the DPIA's gates and the policies allow it."""
    check_anonymisation(request)
    session = governor.start(grant, request)
    try:
        result = _made(session, request)
        rooms, prepared = governor.rooms, session.prepared
        counted = count(result, prepared.train, prepared.codebook)
        source, now = rooms.log.iri("run", request.id), rooms.clock.now()
        manifest = rooms.plugins.require(request.compute.plugin).manifest
        told = report(request, manifest, result, counted, request.requester, now)
        governor.quarantine(
            session,
            {
                TABLE: (PARQUET, table_bytes(in_no_order(result.table))),
                "codebook.json": (JSON, canonical_json(result.codebook.model_dump(mode="json"))),
                REPORT: (JSON, canonical_json(told)),
            },
        )
        evidence = evidence_of(session, None, source, now, smallest_class=counted.smallest_class)
        figures = figures_of(result, counted)
        evidence += [measured(name, value, counted.rows, now, source) for name, value in figures.items()]
        return governor.settle(session, evidence, "pre-release")
    except BaseException as error:
        governor.give_up(request.id, error)
        raise
    finally:
        session.close()


def _made(session: GovernedSession, request: RunRequest) -> Anonymised:
    plugin = request.compute.plugin
    result = session.call(
        plugin,
        "anonymise",
        table=session.prepared.train,
        codebook=session.prepared.codebook,
        parameters=request.compute.parameters,
    )
    if not isinstance(result, Anonymised):
        raise PluginError(f"the anonymiser '{plugin}' gave no table", fix="use one that passes the contract tests")
    return result
