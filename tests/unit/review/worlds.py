"""Tables of a made-up disease that show what a vignette could give away."""

from __future__ import annotations

import random

import polars as pl

from synthema.datasets.codebook import Codebook, read_codebook

CODEBOOK = read_codebook(
    """
id: made-up
version: "1"
title: A made-up disease
disease: http://www.orpha.net/ORDO/Orphanet_1
patient_key: patient
variables:
  - { name: patient, label: Patient, type: text, role: identifier, may_be_missing: false }
  - { name: age, label: Age at diagnosis, type: integer, role: quasi-identifier, unit: a, minimum: 0, maximum: 110 }
  - { name: sex, label: Sex, type: category, role: quasi-identifier, categories: [F, M] }
  - name: hb
    label: Haemoglobin
    type: decimal
    role: sensitive
    unit: g/dL
    minimum: 2
    maximum: 22
    edges: [2, 8, 12, 22]
  - { name: wbc, label: Leukocytes, type: decimal, role: sensitive, unit: 10*9/L, minimum: 0, maximum: 300 }
  - { name: risk, label: Risk group, type: category, role: sensitive, categories: [low, high] }
  - { name: tp53, label: TP53 mutation, type: category, role: sensitive, categories: ["0", "1"] }
  - name: time
    label: Time until death or last contact
    type: integer
    role: time
    unit: mo
    minimum: 0
    maximum: 600
  - { name: death, label: Death, type: category, role: event, categories: ["0", "1"] }
  - { name: units, label: Units of blood given, type: integer, minimum: 0, maximum: 20 }
  - { name: hb_after, label: Haemoglobin after transfusion, type: decimal, unit: g/dL, minimum: 2, maximum: 22 }
outcomes:
  - { name: overall survival, time: time, event: death, event_value: "1", unit: mo }
rules:
  - id: age-at-death
    sentence: Nobody is older than 115 years at the end.
    left: age
    plus: { variable: time, factor: 0.0833333 }
    comparison: "<="
    right: 115
    source: Arithmetic
  - id: haemoglobin-after-transfusion
    sentence: Haemoglobin after transfusion is at most 1.5 g/dL a unit above the one before.
    left: hb_after
    plus: { variable: units, factor: -1.5 }
    comparison: "<="
    right: hb
""",
    "made-up",
)  # fmt: skip


def rows(count: int, seed: int, *, decimals: int = 1, missing: float = 0.0) -> pl.DataFrame:
    """Rows of the made-up disease; ``decimals`` and ``missing`` are what could tell two sources apart."""
    chance = random.Random(seed)  # noqa: S311 - no secret

    def known(value: object) -> object:
        return None if chance.random() < missing else value

    return pl.DataFrame(
        {
            "age": [chance.randint(20, 90) for _ in range(count)],
            "sex": [chance.choice("FM") for _ in range(count)],
            "hb": [known(round(chance.uniform(6, 16), decimals)) for _ in range(count)],
            "wbc": [known(round(chance.uniform(1, 40), decimals)) for _ in range(count)],
            "risk": [known(chance.choice(["low", "high"])) for _ in range(count)],
            "tp53": [known(chance.choice("01")) for _ in range(count)],
            "time": [chance.randint(0, 200) for _ in range(count)],
            "death": [chance.choice("01") for _ in range(count)],
        },
        schema={
            "age": pl.Int64, "sex": pl.String, "hb": pl.Float64, "wbc": pl.Float64, "risk": pl.String,
            "tp53": pl.String, "time": pl.Int64, "death": pl.String,
        },
    )  # fmt: skip


def shown() -> Codebook:
    """The codebook of the columns that :func:`rows` has."""
    return CODEBOOK.keep(("age", "sex", "hb", "wbc", "risk", "tp53", "time", "death"))
