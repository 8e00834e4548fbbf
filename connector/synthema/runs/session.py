"""A started run: the prepared table, and the sandbox session its plugins work in.

Preparing is the core's own work, not a plugin's: open the data against the
grant, leave out excluded patients, refuse a cohort that is too small, split
off the hold-out by a keyed hash of the patient key, and only then hand the
rows to the anonymiser inside the sandbox.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from synthema.datasets import split
from synthema.datasets.codebook import Codebook
from synthema.errors import DeniedError, PluginError
from synthema.runs.model import Grant, RunRequest
from synthema.runs.records import RunRecords
from synthema.runs.sandbox import Session
from synthema.spi.model import Anonymised, Table

if TYPE_CHECKING:
    from synthema.runs.governor import Rooms


@dataclass(frozen=True, slots=True)
class Prepared:
    """The table a run works on: after exclusions, split, and anonymised."""

    train: Table
    holdout: Table
    codebook: Codebook
    stability: int
    smallest_class: int
    excluded: int
    exclusion_list: int


class GovernedSession:
    """One run's sandbox session; its plugins are those the grant names and no others."""

    def __init__(
        self, grant: Grant, request: RunRequest, sandbox: Session, prepared: Prepared, refused: Callable[[str], object]
    ) -> None:
        self.grant = grant
        self.request = request
        self.prepared = prepared
        self._sandbox = sandbox
        self._refused = refused
        self._one_call = threading.Lock()

    @property
    def isolation(self) -> Any:
        """What the sandbox was probed to hold back."""
        return self._sandbox.isolation

    def call(self, plugin: str, hook: str, **arguments: Any) -> Any:
        """Call a hook of a granted plugin inside the sandbox; raises :class:`PluginError`."""
        if plugin not in self.grant.plugin_digests:
            refusal = f"the grant does not name the plugin '{plugin[:60]}'"
            self._refused(refusal)
            raise PluginError(refusal, fix="ask for it in the request")
        with self._one_call:
            return self._sandbox.call(plugin, hook, **arguments)

    def close(self) -> None:
        """End the sandbox; the prepared table goes with it."""
        self._sandbox.close()


def prepare(rooms: Rooms, records: RunRecords, grant: Grant, request: RunRequest, sandbox: Session) -> GovernedSession:
    """Open the data against the consumed grant and prepare it; raises :class:`DeniedError` on a small cohort."""
    dataset = rooms.datasets.version(grant.dataset)
    table = rooms.datasets.open_table(grant)
    key = dataset.codebook.patient_key
    exclusions = rooms.consents.exclusions(
        dataset.name,
        table[key].cast(pl.String).to_list(),
        dataset.legal_basis,
        rooms.permits.approved_at(request.agreement),
        rooms.clock.now(),
    )
    kept = table.filter(~table[key].cast(pl.String).is_in(list(exclusions.excluded)))
    if kept.height < grant.minimum_cohort:
        raise DeniedError(
            f"after exclusions the cohort is smaller than the {grant.minimum_cohort} patients the grant asks for",
            fix="widen the cohort, or ask the data protection officer about the minimum cohort size",
        )
    train, holdout = split(kept, key, rooms.signer.secret("holdout"), request.holdout)
    anonymised = _anonymise(sandbox, request, train, dataset.codebook, request.anonymise.parameters)
    control = _anonymise(sandbox, request, holdout, dataset.codebook, request.anonymise.parameters | {"k": 1})
    prepared = Prepared(
        anonymised.table,
        control.table,
        anonymised.codebook,
        anonymised.stability,
        int(anonymised.measures["smallestClass"]),
        len(exclusions.excluded),
        exclusions.version,
    )
    facts = {
        "excludedPatients": prepared.excluded,
        "exclusionListVersion": prepared.exclusion_list,
        "smallestClass": prepared.smallest_class,
        "stability": prepared.stability,
    }
    rooms.log.record(records.prepared(request, facts, rooms.clock.now()))
    return GovernedSession(
        grant,
        request,
        sandbox,
        prepared,
        lambda reason: rooms.log.record(records.refused(grant.id, reason, rooms.clock.now())),
    )


def foresee(sandbox: Session, request: RunRequest, codebook: Codebook) -> Codebook:
    """What the anonymised table will look like, from the codebook alone; wrong parameters fail before data are read."""
    step = request.anonymise
    found = sandbox.call(step.plugin, "anonymised_codebook", codebook=codebook, parameters=step.parameters)
    if not isinstance(found, Codebook):
        raise PluginError(f"the anonymiser '{step.plugin}' gave no codebook", fix="use one that passes its tests")
    return found


def _anonymise(
    sandbox: Session, request: RunRequest, table: Table, codebook: Codebook, parameters: dict[str, Any]
) -> Anonymised:
    result = sandbox.call(request.anonymise.plugin, "anonymise", table=table, codebook=codebook, parameters=parameters)
    if not isinstance(result, Anonymised) or result.stability < 1 or "smallestClass" not in result.measures:
        raise PluginError(
            f"the anonymiser '{request.anonymise.plugin}' did not say how stable its result is",
            fix="use an anonymiser that passes the contract tests",
        )
    return result
