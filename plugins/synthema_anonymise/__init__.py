"""Anonymise: classes of at least k patients, with l-diversity, t-closeness and δ-presence, or microaggregation.

Every result comes with what it costs and what it brings: risks before and after, what
is hidden of each variable, and how much of the associations is left.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Anonymised, Parameters, Table
from synthema_anonymise.microaggregation import Points, classes_by_distance, nearest_class, points_of
from synthema_anonymise.mondrian import partition
from synthema_anonymise.promises import UNIT, Promises, Sensitive, groups_of
from synthema_anonymise.recoding import as_steps, means_of, result_codebook, steps_of
from synthema_anonymise.report import Result, measures_of, notes_of, require_kept
from synthema_anonymise.scales import Codes, scale_of
from synthema_anonymise.wanted import Wanted, wanted_of

__all__ = ["anonymise", "anonymise_control", "anonymised_codebook"]

IMPOSSIBLE = (
    "the table as a whole does not keep what is asked: it has fewer than k patients, or a sensitive variable has too "
    "few different values, or more of the population are in it than presence allows; lower k, l or t, or raise presence"
)


@hookimpl
def anonymised_codebook(codebook: Codebook, parameters: Parameters) -> Codebook:
    """The codebook of what :func:`anonymise` gives back, from the codebook alone."""
    return result_codebook(codebook, wanted_of(codebook, parameters))


@hookimpl
def anonymise(table: Table, codebook: Codebook, parameters: Parameters) -> Anonymised:
    """The table in which nobody stands among fewer than k, with measures of risk, loss and utility.

    Raises ``ValueError`` when what is asked cannot be kept. One patient can move any cut, and with it any row:
    ``stability`` is the number of rows and one, so this plugin does not belong before a private algorithm.
    """
    found = _Classes(table, codebook, wanted_of(codebook, parameters))
    result = found.result()
    kept = require_kept(result)
    after = result_codebook(codebook, found.wanted)
    return Anonymised(result.after, after, table.height + 1, measures_of(result, kept), notes_of(result))


@hookimpl
def anonymise_control(table: Table, fitted: Table, codebook: Codebook, parameters: Parameters) -> Table:
    """Rows kept apart, in the form :func:`anonymise` gives ``fitted``: each takes the steps or means of its class.

    The classes are those of ``fitted`` alone. A row belongs to the class whose cuts it falls between, or, among
    means, to the nearest; a step narrower than the cuts need not be true of it. For measuring, not for handing on.
    """
    found = _Classes(fitted, codebook, wanted_of(codebook, parameters))
    after, classes = found.result().after, found.groups_of_control(table)
    rows = np.zeros(found.count, dtype=np.int64)
    rows[found.groups] = np.arange(fitted.height)  # any row of a class shows what all of it show
    shown = [after[name].gather(rows[classes].tolist()) for name in found.wanted.names]
    return table.select(found.wanted.kept).with_columns(shown)


class _Classes:
    """The classes of one table under what was asked, and what rows of another table would fall into them."""

    def __init__(self, table: Table, codebook: Codebook, wanted: Wanted) -> None:
        _require_columns(table, wanted)
        self.table, self.wanted = table.select(wanted.kept), wanted
        self.patients = _patients(table, codebook)
        self.codes = _codes(table, wanted)
        self.sensitive = tuple(_sensitive(table, codebook, name) for name in wanted.sensitive)
        if wanted.method == "microaggregate" and self.patients is not None:
            raise ValueError("a patient has several rows: use method = generalise, which counts patients and not rows")

    @cached_property
    def _own(self) -> Codes:
        return self._everybody(self.codes[:0])

    @property
    def groups(self) -> Codes:
        """The class of each row."""
        return self._own[: self.table.height]

    @property
    def count(self) -> int:
        """How many classes there are."""
        return int(self._own.max()) + 1

    def result(self) -> Result:
        """The table before and after."""
        steps, columns = [], []
        everybody = self._with_population(self.codes[:0])
        for column, scale in enumerate(self.wanted.scales):
            own = steps_of(scale, everybody[: len(self._own), column], self._own, self.count)[: self.table.height]
            steps.append(own)
            if self.wanted.method == "microaggregate" and scale.ordered:
                columns.append(means_of(scale, self.table[scale.variable.name], self.groups, self.count))
            else:
                columns.append(as_steps(scale, own))
        after = self.table.with_columns(columns)
        return Result(self.wanted, self.table, after, self.codes, tuple(steps), self.sensitive, self.patients)

    def groups_of_control(self, table: Table) -> Codes:
        """The class that each row of another table falls into."""
        _require_columns(table, self.wanted)
        codes = _codes(table, self.wanted)
        if self.wanted.method == "generalise":
            return self._everybody(codes)[len(self._with_population(codes[:0])) :]
        both = points_of(
            pl.concat([self.table, table.select(self.wanted.kept)], how="vertical_relaxed"),
            self.wanted.scales,
            np.concatenate([self.codes, codes]),
        )
        return nearest_class(both[: len(self.codes)], self.groups, both[len(self.codes) :])

    def _with_population(self, control: Codes) -> Codes:
        asked = self._population
        # The population goes through the same cuts: a class's label then covers all its people, not only its patients.
        return np.concatenate([self.codes, self.codes[:0] if asked is None else asked[0], control])

    @property
    def _population(self) -> tuple[Codes, Points] | None:
        return self.wanted.population if self.wanted.presence < 1 else None

    def _everybody(self, control: Codes) -> Codes:
        """The class of each row, each cell of the population if it is asked, and each control row; in this order."""
        wanted = self.wanted
        if wanted.method == "microaggregate":
            found = classes_by_distance(points_of(self.table, wanted.scales, self.codes), wanted.k)
        else:
            everybody = self._with_population(control)
            promises = self._promises(len(everybody))
            found = partition(everybody, wanted.scales, promises.weight, promises, following=len(control))
        if found is None:
            raise ValueError(IMPOSSIBLE)
        return found

    def _promises(self, total: int) -> Promises:
        wanted, rows, asked = self.wanted, self.table.height, self._population
        people = np.zeros(total)
        if asked is not None:
            people[rows : rows + len(asked[1])] = asked[1]
        return Promises(
            k=wanted.k,
            weight=np.concatenate([_weights(rows, self.patients), np.zeros(total - rows)]),
            sensitive=tuple(
                Sensitive(s.name, np.append(s.codes, np.full(total - rows, -1)), s.leaves, s.ordered)
                for s in self.sensitive
            ),
            l_value=wanted.l_value,
            diversity=wanted.diversity,
            t_value=wanted.t_value,
            people=None if asked is None else people,
            presence=wanted.presence,
        )


def _require_columns(table: Table, wanted: Wanted) -> None:
    if set(wanted.kept) - set(table.columns):
        raise ValueError("the table lacks a column that the codebook names")


def _patients(table: Table, codebook: Codebook) -> Codes | None:
    """The number of each row's patient, or ``None`` where each row is a patient of its own."""
    if codebook.patient_key not in table.columns:
        return None
    if table[codebook.patient_key].null_count():
        raise ValueError("a row does not say which patient it belongs to: complete the patient key")
    key, count = groups_of(table, (codebook.patient_key,))
    return key if count < table.height else None


def _codes(table: Table, wanted: Wanted) -> Codes:
    columns = [scale.codes(table[scale.variable.name]) for scale in wanted.scales]
    return np.stack(columns, axis=1) if columns else np.zeros((table.height, 0), dtype=np.int64)


def _sensitive(table: Table, codebook: Codebook, name: str) -> Sensitive:
    scale = scale_of(codebook.variable(name))
    return Sensitive(name, scale.codes(table[name]), scale.missing, scale.ordered)


def _weights(rows: int, patients: Codes | None) -> Points:
    """How much each row counts, so that no class weighs more than it has patients."""
    if patients is None:
        return np.full(rows, float(UNIT))
    return np.floor(UNIT / np.bincount(patients)[patients])
