"""Anonymise: classes of at least k patients, with l-diversity, t-closeness and δ-presence, or microaggregation.

Every result comes with what it costs and what it brings: risks before and after, what
is hidden of each variable, and how much of the associations is left.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from synthema.datasets.codebook import Codebook
from synthema.spi.hookspecs import hookimpl
from synthema.spi.model import Anonymised, Parameters, Table
from synthema_anonymise.microaggregation import Points, classes_by_distance, points_of
from synthema_anonymise.mondrian import partition
from synthema_anonymise.promises import UNIT, Promises, Sensitive, groups_of
from synthema_anonymise.recoding import as_steps, means_of, result_codebook, steps_of
from synthema_anonymise.report import Result, measures_of, notes_of, require_kept
from synthema_anonymise.scales import Codes, scale_of
from synthema_anonymise.wanted import Wanted, wanted_of

__all__ = ["anonymise", "anonymised_codebook"]

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
    wanted = wanted_of(codebook, parameters)
    if set(wanted.kept) - set(table.columns):
        raise ValueError("the table lacks a column that the codebook names")
    patients = _patients(table, codebook)
    codes = _codes(table, wanted)
    sensitive = tuple(_sensitive(table, codebook, name) for name in wanted.sensitive)
    result = (_generalised if wanted.method == "generalise" else _aggregated)(
        table.select(wanted.kept), wanted, codes, sensitive, patients
    )
    kept = require_kept(result)
    after = result_codebook(codebook, wanted)
    return Anonymised(result.after, after, table.height + 1, measures_of(result, kept), notes_of(result))


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


def _generalised(
    table: Table, wanted: Wanted, codes: Codes, sensitive: tuple[Sensitive, ...], patients: Codes | None
) -> Result:
    asked = wanted.population if wanted.presence < 1 else None
    cells, people = asked or (codes[:0], np.zeros(0))
    rows, others = table.height, len(cells)
    promises = Promises(
        k=wanted.k,
        weight=np.concatenate([_weights(rows, patients), np.zeros(others)]),
        sensitive=tuple(
            Sensitive(s.name, np.append(s.codes, np.full(others, -1)), s.leaves, s.ordered) for s in sensitive
        ),
        l_value=wanted.l_value,
        diversity=wanted.diversity,
        t_value=wanted.t_value,
        people=np.concatenate([np.zeros(rows), people]) if asked else None,
        presence=wanted.presence,
    )
    # The population goes through the same cuts: a class's label then covers all its people, not only its patients.
    everybody = np.concatenate([codes, cells])
    groups = partition(everybody, wanted.scales, promises.weight, promises)
    if groups is None:
        raise ValueError(IMPOSSIBLE)
    count = int(groups.max()) + 1
    steps = [steps_of(scale, everybody[:, column], groups, count)[:rows] for column, scale in enumerate(wanted.scales)]
    columns = [as_steps(scale, own) for scale, own in zip(wanted.scales, steps, strict=True)]
    return Result(wanted, table, table.with_columns(columns), codes, tuple(steps), sensitive, patients)


def _aggregated(
    table: Table, wanted: Wanted, codes: Codes, sensitive: tuple[Sensitive, ...], patients: Codes | None
) -> Result:
    if patients is not None:
        raise ValueError("a patient has several rows: use method = generalise, which counts patients and not rows")
    groups = classes_by_distance(points_of(table, wanted.scales, codes), wanted.k)
    if groups is None:
        raise ValueError(IMPOSSIBLE)
    count = int(groups.max()) + 1
    columns: list[pl.Series] = []
    steps: list[Codes] = []
    for column, scale in enumerate(wanted.scales):
        steps.append(steps_of(scale, codes[:, column], groups, count))
        if scale.ordered:
            columns.append(means_of(scale, table[scale.variable.name], groups, count))
        else:
            columns.append(as_steps(scale, steps[-1]))
    return Result(wanted, table, table.with_columns(columns), codes, tuple(steps), sensitive, patients)
