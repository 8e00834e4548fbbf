"""Splits patients into those an algorithm learns from and those it never sees."""

from __future__ import annotations

import hmac

import polars as pl

from synthema.errors import InputError


def split(table: pl.DataFrame, key: str, secret: bytes, holdout: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Train and hold-out rows; the same patient falls on the same side in every run and every version.

    The side is drawn by HMAC-SHA-256 of the patient's key under a secret of the site, so that
    nobody outside can tell who is where and no run can choose its control group.
    ``holdout`` is the expected share held out, from 0 up to but not including 1.
    """
    if not 0 <= holdout < 1:
        raise InputError("the hold-out must be a share from 0 to below 1", fix="give a share such as 0.2")
    if key not in table.columns:
        raise InputError(f"the table has no column '{key[:40]}'", fix="name the column that holds the patients' keys")
    bound = int(holdout * 2**64)
    held = pl.Series([_draw(secret, value) < bound for value in table[key]], dtype=pl.Boolean)
    return table.filter(~held), table.filter(held)


def _draw(secret: bytes, value: object) -> int:
    """A number from 0 to 2⁶⁴ − 1 that is fixed for a patient's key under a secret."""
    return int.from_bytes(hmac.digest(secret, str(value).encode(), "sha256")[:8], "big")
