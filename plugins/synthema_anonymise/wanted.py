"""What was asked for: the parameters, checked against the codebook and without any data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook
from synthema.spi.model import Parameters
from synthema_anonymise.promises import Diversity
from synthema_anonymise.scales import Codes, Scale, scale_of

Method = Literal["generalise", "microaggregate"]
BETWEEN = "|"
"""Stands between the values of a group, and between the labels of a cell of the population."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters of a run, with the scales of the quasi-identifiers and the sensitive variables."""

    kept: tuple[str, ...]
    scales: tuple[Scale, ...]
    sensitive: tuple[str, ...]
    method: Method
    k: int
    l_value: float
    diversity: Diversity
    t_value: float
    presence: float
    population: tuple[Codes, NDArray[np.float64]] | None

    @property
    def names(self) -> tuple[str, ...]:
        """The quasi-identifiers."""
        return tuple(scale.variable.name for scale in self.scales)


def wanted_of(codebook: Codebook, parameters: Parameters) -> Wanted:
    """Read and check the parameters; raises ``ValueError`` saying what to change."""
    kept = _kept(codebook, tuple(parameters.get("fields", ())))
    groups = _groups(codebook, dict(parameters.get("groups", {})))
    names = tuple(name for name in codebook.names("quasi-identifier") if name in kept)
    if set(groups) - set(names):
        raise ValueError("groups are for the values of quasi-identifiers that are kept: correct the list of groups")
    _no_outcome(codebook, names)
    scales = tuple(scale_of(codebook.variable(name), groups.get(name)) for name in names)
    wanted = Wanted(
        kept=kept,
        scales=scales,
        sensitive=_sensitive(codebook, kept, parameters),
        method=cast("Method", parameters.get("method", "generalise")),
        k=_whole(parameters.get("k", 5)),
        l_value=parameters.get("l", 1),
        diversity=cast("Diversity", parameters.get("diversity", "distinct")),
        t_value=parameters.get("t", 1.0),
        presence=parameters.get("presence", 1.0),
        population=_population(scales, dict(parameters.get("population", {}))),
    )
    _check(wanted)
    return wanted


def _check(wanted: Wanted) -> None:
    if wanted.method not in ("generalise", "microaggregate") or wanted.diversity not in ("distinct", "entropy"):
        raise ValueError("method is 'generalise' or 'microaggregate', diversity is 'distinct' or 'entropy'")
    if wanted.k < 1:
        raise ValueError("k is the size of the smallest class allowed: give a whole number of at least 1")
    if wanted.l_value < 1 or not 0 <= wanted.t_value <= 1 or not 0 < wanted.presence <= 1:
        raise ValueError("l is at least 1, t lies between 0 and 1, presence is above 0 and at most 1")
    more = wanted.l_value > 1 or wanted.t_value < 1
    if more and not wanted.sensitive:
        raise ValueError("l and t are about sensitive variables, and none is kept: name one, or leave l and t out")
    if wanted.presence < 1 and wanted.population is None:
        raise ValueError("presence is a share of the population: give the population's figures, or leave it out")
    if wanted.method == "microaggregate" and (more or wanted.population is not None):
        raise ValueError("microaggregation gives k alone: use method = generalise for l, t and presence")


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _kept(codebook: Codebook, fields: tuple[str, ...]) -> tuple[str, ...]:
    """The variables to keep in the codebook's order: identifiers never, all others when no field is named."""
    if set(fields) - set(codebook.names()):
        raise ValueError("a field is none of the codebook's variables: correct the list of fields")
    kept = tuple(v.name for v in codebook.variables if v.role != "identifier" and (not fields or v.name in fields))
    if not kept:
        raise ValueError("no variable is left: name at least one field that is not an identifier")
    return kept


def _no_outcome(codebook: Codebook, names: tuple[str, ...]) -> None:
    if set(names) & {name for outcome in codebook.outcomes for name in (outcome.time, outcome.event)}:
        raise ValueError(
            "a quasi-identifier is also the time or event of a survival outcome and cannot be made coarser: give it "
            "another role in the codebook, or leave it out of the fields"
        )


def _sensitive(codebook: Codebook, kept: tuple[str, ...], parameters: Parameters) -> tuple[str, ...]:
    asked = tuple(parameters.get("sensitive", ())) or tuple(n for n in codebook.names("sensitive") if n in kept)
    hidden = set(codebook.names("quasi-identifier"))
    if set(asked) - (set(kept) - hidden):
        raise ValueError("sensitive names a variable that is not kept, or is a quasi-identifier: correct the list")
    return asked


def _groups(codebook: Codebook, asked: dict[str, str]) -> dict[str, dict[str, tuple[str, ...]]]:
    """``{"variable: label": "value | value"}`` as variable → label → values."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for key, text in asked.items():
        name, colon, label = (part.strip() for part in key.partition(":"))
        if not colon or not label or name not in codebook.names():
            raise ValueError("a group is written 'variable: label' = 'value | value', for a variable of the codebook")
        found.setdefault(name, {})[label] = tuple(value.strip() for value in text.split(BETWEEN))
    return found


def _population(scales: tuple[Scale, ...], asked: dict[str, float]) -> tuple[Codes, NDArray[np.float64]] | None:
    """``{"60–64 | F": 1200}``: the people of each cell of finest steps, quasi-identifiers in the codebook's order."""
    if not asked:
        return None
    number = [{leaf: code for code, leaf in enumerate(scale.leaves)} for scale in scales]
    rows = []
    for key in asked:
        labels = [label.strip() for label in key.split(BETWEEN)]
        if len(labels) != len(scales) or any(label not in known for label, known in zip(labels, number, strict=True)):
            raise ValueError(
                "each cell of the population names one finest step of every quasi-identifier, in the codebook's order, "
                "with | between them"
            )
        rows.append([known[label] for label, known in zip(labels, number, strict=True)])
    people = np.asarray(list(asked.values()), dtype=np.float64)
    if (people < 0).any():
        raise ValueError("the population has a negative number of people: correct its figures")
    return np.asarray(rows, dtype=np.int64).reshape(len(rows), len(scales)), people
