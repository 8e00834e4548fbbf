"""How tests run a federated analysis: over several tables, plainly added or under the real secure sum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from synthema.datasets.codebook import Codebook
from synthema.spi.model import Aggregate, Evaluation, Plan, State
from synthema_secure_sum import Member, open_sum

Vectors = list[NDArray[np.int64]]


def secure_sum(vectors: Vectors, round_id: str) -> NDArray[np.int64]:
    """The sum of the vectors by the real protocol, every site a member of its own."""
    members = {f"site-{number}": Member() for number in range(len(vectors))}
    threshold = max(3, len(members) // 2 + 1)
    keys = {name: member.advertise(round_id, name) for name, member in members.items()}
    sealed = {name: member.share(round_id, keys, threshold) for name, member in members.items()}
    masked = {
        name: member.mask(round_id, vector, {writer: row[name] for writer, row in sealed.items() if writer != name})
        for (name, member), vector in zip(members.items(), vectors, strict=True)
    }
    answers = {name: member.unmask(round_id, sorted(members), []) for name, member in members.items()}
    return open_sum(round_id, keys, masked, answers, threshold)


def study(
    plugin: ModuleType,
    tables: Sequence[pl.DataFrame],
    codebook: Codebook,
    parameters: dict[str, Any],
    *,
    secure: bool = False,
    rho: float | None = None,
    seed: int = 0,
) -> tuple[State, Evaluation]:
    """Run all rounds; ``rho`` adds rounded normal noise as the core would (its own sampler is tested elsewhere)."""
    random = np.random.default_rng(seed)
    plan = Plan(codebook, rho or 1.0, 0, parameters)
    state: State = plugin.federated_open(plan)
    while not state.finished:
        vectors = [plugin.federated_contribute(state, table, codebook).vector for table in tables]
        total = secure_sum(vectors, f"round-{state.round}") if secure else np.sum(vectors, axis=0)
        sigma = 0.0
        if rho is not None:
            sigma = state.sensitivity / math.sqrt(2 * state.rho)
            total = total + np.rint(random.normal(0, sigma, state.length)).astype(np.int64)
        state = plugin.federated_absorb(state, Aggregate(total, len(tables), sigma))
    found: Evaluation = plugin.federated_report(state, plan)
    return state, found


def thirds(table: pl.DataFrame) -> list[pl.DataFrame]:
    """Three unequal sites."""
    return [table[: table.height // 2], table[table.height // 2 : -200], table[-200:]]


def coefficients(found: Evaluation) -> dict[str, float]:
    """What a regression reports: words of each coefficient → value."""
    return {metric.definition: metric.value for metric in found.metrics if metric.id == "coefficient"}
