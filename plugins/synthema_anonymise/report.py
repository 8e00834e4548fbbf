"""What is said beside every result: what it keeps, risks before and after, what is hidden, what can be learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema_anonymise.losses import certainty_lost, class_losses, shown, similarity, spread_lost
from synthema_anonymise.promises import SLACK, Kept, Sensitive, groups_of, kept_by
from synthema_anonymise.risks import risks_of
from synthema_anonymise.scales import Codes, Scale
from synthema_anonymise.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Result:
    """A table before and after, with the codes before and the steps after of each quasi-identifier."""

    wanted: Wanted
    before: pl.DataFrame
    after: pl.DataFrame
    codes: Codes
    steps: tuple[Codes, ...]
    sensitive: tuple[Sensitive, ...]
    patients: Codes | None

    def kept(self, table: pl.DataFrame) -> Kept:
        """What a table of the result keeps, found from its columns alone."""
        groups, count = groups_of(table, self.wanted.names)
        return kept_by(groups, count, self.sensitive, self.patients)


def require_kept(result: Result) -> Kept:
    """What the finished table keeps, seen as an outsider would; raises ``ValueError`` if it is less than was asked."""
    wanted, kept = result.wanted, result.kept(result.after)
    diverse = kept.diversity if wanted.diversity == "distinct" else kept.entropy
    present = presence_of(result, kept)
    if (
        kept.k < wanted.k
        or (wanted.l_value > 1 and min(diverse.values()) < wanted.l_value - SLACK)
        or (wanted.t_value < 1 and max(kept.closeness.values()) > wanted.t_value + SLACK)
        or (present is not None and float(present.max()) > wanted.presence + SLACK)
    ):
        raise ValueError("the finished table does not keep what was asked: nothing is given out; report this")
    return kept


def population_of(result: Result) -> NDArray[np.float64] | None:
    """How many people of the population fit each class of the result, or ``None`` without figures on the population."""
    if result.wanted.population is None:
        return None
    cells, people = result.wanted.population
    groups, count = groups_of(result.after, result.wanted.names)
    _, first = np.unique(groups, return_index=True)
    found = np.zeros(count)
    for number, row in enumerate(first):
        fits = np.ones(len(people), dtype=bool)
        for column, scale in enumerate(result.wanted.scales):
            fits &= scale.covers[result.steps[column][row]][cells[:, column]]
        found[number] = people[fits].sum()
    return found


def presence_of(result: Result, kept: Kept) -> NDArray[np.float64] | None:
    """Of the people who fit each class, the share that is in the table; 1 where more are in it than are known."""
    people = population_of(result)
    return None if people is None else np.minimum(kept.patients / np.maximum(people, 1), 1.0)


def measures_of(result: Result, after: Kept) -> dict[str, float]:
    """All figures, ``after`` being what the result keeps.

    Names that end in ``Before`` are those of the table with its fields chosen and nothing changed.
    """
    wanted = result.wanted
    before = result.kept(result.before)
    people = population_of(result)
    found = {
        "smallestClass": float(after.k),
        "smallestClassBefore": float(before.k),
        "classes": float(len(after.patients)),
        "classesBefore": float(len(before.patients)),
        "suppressedRows": 0.0,
        **risks_of(after, people),
        **{f"{name}Before": value for name, value in risks_of(before).items()},
        **_of_sensitive(after, ""),
        **_of_sensitive(before, "Before"),
        **class_losses(after.patients, wanted.k),
        **_losses(result),
    }
    present = presence_of(result, after)
    if present is not None:
        found |= {"presence": float(present.max()), "presenceLeast": float(present.min())}
    return found


def _of_sensitive(kept: Kept, ending: str) -> dict[str, float]:
    if not kept.diversity:
        return {}
    return {
        f"diversity{ending}": min(kept.diversity.values()),
        f"entropyDiversity{ending}": min(kept.entropy.values()),
        f"closeness{ending}": max(kept.closeness.values()),
    }


def _losses(result: Result) -> dict[str, float]:
    if not result.wanted.scales:
        return {"informationLoss": 0.0, "marginalUtility": 1.0, "pairUtility": 1.0}
    lost, singles, pairs, found = [], [], [], {}
    for column, scale in enumerate(result.wanted.scales):
        codes, steps = result.codes[:, column], _reading(result, column)
        if scale.ordered and result.wanted.method == "microaggregate":
            lost.append(spread_lost(_numbers(result.before, scale), _numbers(result.after, scale)))
        else:
            lost.append(certainty_lost(scale, steps))
        singles.append(similarity(scale, codes, steps))
        pairs += [similarity(scale, codes, steps, other) for other in result.sensitive]
        found[f"informationLoss.{scale.variable.name}"] = lost[-1]
    return found | {
        "informationLoss": float(np.mean(lost)),
        "marginalUtility": float(np.mean(singles)),
        "pairUtility": float(np.mean(pairs or singles)),
    }


def _reading(result: Result, column: int) -> Codes:
    """The step a reader of the result sees in each row: for a mean, the leaf it lies in."""
    scale = result.wanted.scales[column]
    if not scale.ordered or result.wanted.method == "generalise":
        return result.steps[column]
    codes = scale.codes(result.after[scale.variable.name])
    leaf = np.eye(scale.missing + 1, dtype=bool)
    return scale.steps_for(leaf)[codes]


def _numbers(table: pl.DataFrame, scale: Scale) -> NDArray[np.float64]:
    return table[scale.variable.name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def notes_of(result: Result) -> tuple[str, ...]:
    """The report in sentences: what is hidden of each variable, and how to read the figures."""
    wanted = result.wanted
    notes = []
    for column, scale in enumerate(wanted.scales):
        if scale.ordered and wanted.method == "microaggregate":
            gone = result.after[scale.variable.name].null_count() - result.before[scale.variable.name].null_count()
            notes.append(f"{scale.variable.name}: means of classes; {gone} rows show none, as a number was missing.")
        else:
            notes.append(shown(scale, result.steps[column]).sentence)
    if wanted.population is None:
        notes.append("Without figures on the population, journalistRisk and marketerRisk are upper bounds.")
    if wanted.l_value <= 1 and wanted.t_value >= 1 and wanted.sensitive:
        notes.append("Neither l nor t was asked: what all patients of a class have in common is still shown.")
    return tuple(notes)
