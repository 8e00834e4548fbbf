"""The values that plugins take and give. A plugin imports this room and ``datasets.codebook``, nothing else of ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook

Table = pl.DataFrame
Json = Any  # a JSON value: str, int, float, bool, None, list or dict of these
Parameters = dict[str, Json]
Assurance = Literal["proven", "tested", "declared"]


@dataclass(frozen=True, slots=True)
class Anonymised:
    """A table after anonymisation.

    ``stability`` is how many output rows can change when one patient's record
    is added, removed or changed (1 for row-wise recoding). A private algorithm
    behind this step has its sensitivity multiplied by it.
    """

    table: Table
    codebook: Codebook
    stability: int
    measures: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Generated:
    """Synthetic rows, and the privacy the generator itself spent (0, 0 when it spent none)."""

    table: Table
    epsilon: float | None
    delta: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is agreed before the first round of a federated algorithm; public to all.

    ``rho`` is the total zero-concentrated privacy loss (Bun and Steinke 2016) that
    the algorithm may divide over its rounds; ``codebook`` describes the tables after
    the agreed anonymisation; ``rows`` is the number of synthetic rows to make.
    """

    codebook: Codebook
    rho: float
    rows: int
    parameters: Parameters = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """Where a federated algorithm stands between rounds: JSON only, public to all.

    ``length`` is the length of the next vector, ``rho`` the privacy loss of the
    next round, ``sensitivity`` the L2 change of the vector when one row is added
    or removed. ``finished`` says that no further round follows.
    """

    round: int
    length: int
    rho: float
    sensitivity: float
    finished: bool
    values: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contribution:
    """One site's vector of a round before noise and masks: integers, shape ``(length,)``."""

    vector: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The opened sum of a round: what the coordinator sees, noise included, shape ``(length,)``.

    ``sigma`` is the standard deviation of the noise inside it.
    """

    total: NDArray[np.int64]
    contributors: int
    sigma: float


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured figure with its uncertainty and its control.

    ``id`` is a local name of the Synthema ontology, e.g. ``membershipAUC``;
    ``lower`` and ``upper`` bound a 95 % interval; ``control`` is the same
    figure where there is nothing to find (held-out rows), if measured.
    """

    id: str
    value: float
    n: int
    lower: float | None = None
    upper: float | None = None
    control: float | None = None
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluator gives back: figures, and series for plots (JSON only, no rows)."""

    metrics: tuple[Metric, ...]
    series: dict[str, Json] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
