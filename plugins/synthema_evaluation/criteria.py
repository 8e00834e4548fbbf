"""The three criteria of anonymity (singling out is in ``attacks``): linking, inferring; and identity disclosure.

Each attack is made on training rows and, as its control, on held-out rows, in the
manner of anonymeter (Giomi et al. 2023); the criteria are those of the Article 29
Working Party (Opinion 05/2014), still read that way under the GDPR, recital 26.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from synthema.datasets.codebook import Variable
from synthema.spi.model import Metric
from synthema_evaluation.columns import Floats, Space, Tables, bin_count, binned, nearest
from synthema_evaluation.intervals import Z95, difference, wilson

LINKED_NEIGHBOURS = 5
SPLITS = 4
MOST_SECRETS = 10
MOST_ATTACKED = 2000


def linkability_metric(
    tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator
) -> tuple[Metric | None, dict[str, Any]]:
    """Join two halves of a patient's variables, which two people hold, by way of the synthetic table."""
    if len(variables) < 4:
        return None, {}
    population = pl.concat([tables.train, tables.holdout], how="vertical_relaxed")
    train, held = (_some(t, random) for t in (tables.train, tables.holdout))
    shares = []
    for _ in range(SPLITS):
        order = random.permutation(len(variables))
        halves = [tuple(variables[i] for i in half) for half in (order[::2], order[1::2])]
        spaces = [Space(half, population) for half in halves]
        clouds = [space.vectors(tables.synthetic) for space in spaces]
        shares.append([_linked(table, spaces, clouds) for table in (train, held)])
    on_train, on_held = (float(np.mean([share[side] for share in shares])) for side in (0, 1))
    lower, upper = difference(on_train, train.height, on_held, held.height)
    rest = max(1.0 - on_held, 1e-9)
    metric = Metric(
        "linkabilityRisk",
        max(0.0, (on_train - on_held) / rest),
        train.height,
        max(0.0, lower / rest),
        min(1.0, max(0.0, upper / rest)),
        on_held,
        "share of training rows whose two halves (variables cut at random, mean over four cuts) have a synthetic row "
        "in common among the five nearest to each, beyond the share of held-out rows (after Giomi et al. 2023); "
        "control: the share of held-out rows, already taken off",
    )
    return metric, {"train": round(on_train, 4), "holdout": round(on_held, 4)}


def _some(table: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    if table.height <= MOST_ATTACKED:
        return table
    return table.select(pl.all().gather(random.permutation(table.height)[:MOST_ATTACKED].tolist()))


def _linked(table: pl.DataFrame, spaces: list[Space], clouds: list[Floats]) -> float:
    """Share of rows whose halves meet in one synthetic row."""
    one, two = (
        nearest(space.vectors(table), cloud, LINKED_NEIGHBOURS)[1] for space, cloud in zip(spaces, clouds, strict=True)
    )
    return float((one[:, :, None] == two[:, None, :]).any(axis=(1, 2)).mean())


def inference_metric(
    tables: Tables, variables: tuple[Variable, ...], random: np.random.Generator
) -> tuple[Metric | None, dict[str, Any]]:
    """Guess a secret from the nearest synthetic row, all else being known."""
    secrets = [v for v in variables if v.role == "sensitive"] or [v for v in variables if v.role == "event"]
    if not secrets or len(variables) < 2:
        return None, {}
    chosen = [secrets[i] for i in sorted(random.permutation(len(secrets))[:MOST_SECRETS])]
    population = pl.concat([tables.train, tables.holdout], how="vertical_relaxed")
    train, held = (_some(t, random) for t in (tables.train, tables.holdout))
    hits: list[list[Floats]] = [[], []]
    for secret in chosen:
        space = Space(tuple(v for v in variables if v is not secret), population)
        cloud, values = space.vectors(tables.synthetic), binned(tables.synthetic, secret)
        for side, table in enumerate((train, held)):
            guess = values[nearest(space.vectors(table), cloud, 1)[1][:, 0]]
            hits[side].append((guess == binned(table, secret)).astype(np.float64))
    each = [np.mean(side, axis=0) for side in hits]  # a share for each patient: secrets of one are not independent
    on_train, on_held = (float(rows.mean()) for rows in each)
    half = Z95 * float(np.sqrt(sum(rows.var(ddof=1) / len(rows) for rows in each)))
    rest = max(1.0 - on_held, 1e-9)
    gap = (on_train - on_held) / rest
    metric = Metric(
        "inferenceRisk",
        max(0.0, gap),
        train.height,
        max(0.0, gap - half / rest),
        float(np.clip(gap + half / rest, 0.0, 1.0)),
        on_held,
        "share of right guesses of a sensitive value (in the codebook's bins) by an attacker who knows all else and "
        f"takes it from the nearest synthetic row, mean over {len(chosen)} sensitive variables, beyond the share for "
        "held-out rows (after Giomi et al. 2023); control: the share for held-out rows, already taken off",
    )
    return metric, {
        v.name: {"train": round(float(a.mean()), 4), "holdout": round(float(b.mean()), 4)}
        for v, a, b in zip(chosen, hits[0], hits[1], strict=True)
    }


def identity_metric(tables: Tables, variables: tuple[Variable, ...]) -> Metric | None:
    """How often a patient is found by quasi-identifiers and something new is learned."""
    known = [v for v in variables if v.role == "quasi-identifier"]
    secrets = [v for v in variables if v.role == "sensitive"] or [v for v in variables if v.role == "event"]
    if not known or not secrets:
        return None
    everyone = pl.concat([tables.train, tables.holdout], how="vertical_relaxed")
    counted = _disclosed(everyone, tables.synthetic, known, secrets)
    n = tables.train.height
    on_train, on_held = float(counted[:n].mean()), float(counted[n:].mean())
    lower, upper = wilson(on_train * n, n)
    return Metric(
        "identityDisclosureRisk",
        on_train,
        n,
        lower,
        upper,
        on_held,
        "mean over training rows of 1 over the number of real rows, held-out ones included, with equal "
        "quasi-identifiers (codebook's bins), counted where a synthetic row has them too and tells right a sensitive "
        "value that is not the commonest (after El Emam, Mosquera and Bass 2020; the sample stands for the "
        "population, which can only raise it); "
        "control: held-out rows",
    )


def _disclosed(table: pl.DataFrame, synthetic: pl.DataFrame, known: list[Variable], secrets: list[Variable]) -> Floats:
    """For each row one over the size of its class where something is learned about it, else 0."""
    keys = np.stack([np.concatenate([binned(t, v) for t in (table, synthetic)]) for v in known], axis=1)
    number = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    place, member = number[: table.height], number[table.height :]
    classes = int(number.max()) + 1
    sizes = np.bincount(place, minlength=classes)
    learned = np.zeros(table.height, dtype=bool)
    for secret in secrets:
        codes, told = bin_count(secret), binned(synthetic, secret)
        votes = np.zeros((classes, codes))
        np.add.at(votes, (member, told), 1.0)
        guess = np.where(votes.sum(axis=1) > 0, votes.argmax(axis=1), -1)[place]
        real = binned(table, secret)
        commonest = int(np.bincount(real, minlength=codes).argmax())
        learned |= (guess == real) & (real != commonest) & (real != codes - 1)
    return np.asarray(learned / sizes[place])
