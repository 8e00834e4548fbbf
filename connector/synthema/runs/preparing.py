"""Prepares the table a run works on, and prepares it again when somebody takes consent back in the midst of the run.

Preparing is the core's own work, not a plugin's: open the data against the
grant, leave out excluded patients, refuse a cohort that is too small, split
off the hold-out by a keyed hash of the patient key, and only then hand the
rows to the anonymiser inside the sandbox. What it does to the training rows it
does to the hold-out too, which has no say in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from synthema.consent import Exclusions, Ground
from synthema.datasets import split
from synthema.datasets.codebook import Codebook
from synthema.errors import DeniedError, PluginError
from synthema.runs.model import Grant, RunRequest
from synthema.runs.records import RunRecords
from synthema.runs.sandbox import Session
from synthema.spi.model import Anonymised, Table

if TYPE_CHECKING:
    from synthema.runs.rooms import Rooms

CONTROL = "anonymise_control"
PERMIT_KEY = "permit_key"
"""The parameter in which an anonymiser gets the secret of the permit, if its manifest declares it."""


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


class Cohort:
    """The patients of one run. The rows stay in the memory of this connector, as long as the run may go on."""

    def __init__(
        self,
        rooms: Rooms,
        records: RunRecords,
        grant: Grant,
        request: RunRequest,
        sandbox: Session,
        ground: Callable[[], Ground],
        resumed: int = 0,
    ) -> None:
        """Open the data and prepare it; raises :class:`DeniedError` on a cohort that is too small.

        ``resumed`` is how often the run went on after a crash.
        """
        self._resumed = resumed
        self._rooms = rooms
        self._records = records
        self._grant = grant
        self._request = request
        self._sandbox = sandbox
        self._ground = ground
        self._dataset = rooms.datasets.version(grant.dataset)
        self._key = self._dataset.codebook.patient_key
        asked = ground()
        self._table = rooms.datasets.open_table(grant)
        found = self._exclusions(asked)
        self._leave_out(found)
        self.prepared = self._prepare(len(found.excluded), found)
        self._record(found, again=0)
        self._times = 1

    def leave_out_withdrawn(self) -> bool:
        """Prepare again without those who may no longer be read; whether there is anybody.

        Nobody is taken in who was left out before: the rounds go on with the patients they began with, less some.
        """
        found = self._exclusions(self._ground())
        if not found.excluded:
            return False
        first = self.prepared
        self._leave_out(found)
        self.prepared = self._prepare(first.excluded + len(found.excluded), found)
        self._require_same_terms(first)
        self._record(found, again=self._times)
        self._times += 1
        return True

    def _exclusions(self, ground: Ground) -> Exclusions:
        keys = self._table[self._key].cast(pl.String).to_list()
        return self._rooms.consents.exclusions(self._dataset.name, keys, ground, version_id=self._dataset.id)

    def _leave_out(self, found: Exclusions) -> None:
        self._table = self._table.filter(~self._table[self._key].cast(pl.String).is_in(list(found.excluded)))
        if self._table.height < self._grant.minimum_cohort:
            raise DeniedError(
                f"after exclusions the cohort is smaller than the {self._grant.minimum_cohort} patients the grant "
                "asks for",
                fix="widen the cohort, or ask the data protection officer about the minimum cohort size",
            )

    def _prepare(self, excluded: int, found: Exclusions) -> Prepared:
        step, codebook = self._request.anonymise, self._dataset.codebook
        secret = self._rooms.signer.secret("holdout")
        train, holdout = split(self._table, self._key, secret, self._request.holdout)
        parameters = step.parameters | self._secret_of_permit(step.plugin)
        anonymised = self._anonymise(train, codebook, parameters)
        control = anonymised.table.clear() if holdout.height == 0 else self._alike(holdout, train, codebook, parameters)
        if control.schema != anonymised.table.schema:
            raise PluginError(
                f"the anonymiser '{step.plugin}' gave the held-out rows another form than the training rows",
                fix="use an anonymiser that passes the contract tests",
            )
        return Prepared(
            anonymised.table,
            control,
            anonymised.codebook,
            anonymised.stability,
            int(anonymised.measures["smallestClass"]),
            excluded,
            found.version,
        )

    def _require_same_terms(self, first: Prepared) -> None:
        """What was agreed for the first rounds must hold for the ones that follow: the same columns, enough noise."""
        if self.prepared.codebook != first.codebook or self.prepared.stability > first.stability:
            raise DeniedError(
                "without those who took consent back the table no longer has the agreed form",
                fix="begin again with a new request",
            )

    def _record(self, found: Exclusions, *, again: int) -> None:
        prepared = self.prepared
        facts: dict[str, int | str] = {
            "excludedPatients": prepared.excluded,
            "exclusionListVersion": prepared.exclusion_list,
            "smallestClass": prepared.smallest_class,
            "stability": prepared.stability,
        }
        if found.exception is not None:
            facts |= {
                "optOutsOverruled": found.overruled,
                "overrulingGround": found.exception.sentence(found.overruled),
            }
        log, now = self._rooms.log, self._rooms.clock.now()
        log.record(self._records.prepared(self._request, facts, now, again=again, resumed=self._resumed))

    def _anonymise(self, table: Table, codebook: Codebook, parameters: dict[str, Any]) -> Anonymised:
        plugin = self._request.anonymise.plugin
        result = self._sandbox.call(plugin, "anonymise", table=table, codebook=codebook, parameters=parameters)
        if not isinstance(result, Anonymised) or result.stability < 1 or "smallestClass" not in result.measures:
            raise PluginError(
                f"the anonymiser '{plugin}' did not say how stable its result is",
                fix="use an anonymiser that passes the contract tests",
            )
        return result

    def _alike(self, holdout: Table, train: Table, codebook: Codebook, parameters: dict[str, Any]) -> Table:
        """The held-out rows in the form of the training rows.

        Anonymised on their own they would be coarser or finer than those, and an attack that tells the two apart
        would find that, and not what the algorithm remembers.
        """
        plugin = self._request.anonymise.plugin
        if CONTROL not in self._rooms.plugins.require(plugin).manifest.capabilities:
            raise PluginError(
                f"the anonymiser '{plugin}' cannot give rows that are held out the form of the others",
                fix="ask for holdout 0, or for an anonymiser that can (anonymise_control)",
            )
        result = self._sandbox.call(
            plugin, CONTROL, table=holdout, fitted=train, codebook=codebook, parameters=parameters
        )
        if not isinstance(result, pl.DataFrame):
            raise PluginError(f"the anonymiser '{plugin}' gave no table", fix="use one that passes the contract tests")
        return result

    def _secret_of_permit(self, plugin: str) -> dict[str, str]:
        """A secret for pseudonyms, another for each permit or agreement, for an anonymiser that declares it.

        It replaces whatever the request says: nobody but the site may know it (GDPR Art. 4(5)).
        """
        if PERMIT_KEY not in {known.name for known in self._rooms.plugins.require(plugin).manifest.parameters}:
            return {}
        ground = self._request.agreement or self._request.id
        return {PERMIT_KEY: self._rooms.signer.secret(f"pseudonyms/{ground}").hex()}
