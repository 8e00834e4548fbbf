"""Splitting is fixed for each patient; reading never fails in any way but the one it promises."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.datasets import inspect_source, split
from synthema.datasets.seal import seal, table_digest, unseal
from synthema.errors import InputError, IntegrityError
from tests.unit.datasets.test_source import HEADER, codebook

KEYS = st.lists(st.integers(0, 10**9), min_size=1, max_size=80, unique=True)


@given(KEYS, st.binary(min_size=16, max_size=32), st.floats(0, 0.99))
@settings(max_examples=60, deadline=None)
def test_each_patient_has_one_side_whoever_else_is_there(keys: list[int], secret: bytes, share: float) -> None:
    table = pl.DataFrame({"id": keys})
    train, holdout = split(table, "id", secret, share)
    assert sorted(train["id"].to_list() + holdout["id"].to_list()) == sorted(keys)
    half = table.head(len(keys) // 2)
    smaller, _ = split(half, "id", secret, share)
    assert set(smaller["id"]) == set(half["id"]) & set(train["id"])
    _, more = split(table, "id", secret, min(0.99, share + 0.2))
    assert set(holdout["id"]) <= set(more["id"])


def test_about_the_share_asked_for_is_held_out() -> None:
    table = pl.DataFrame({"id": range(20_000)})
    _, holdout = split(table, "id", b"k" * 32, 0.2)
    assert 0.18 < holdout.height / table.height < 0.22
    assert split(table, "id", b"k" * 32, 0.0)[1].height == 0
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(InputError):
            split(table, "id", b"k", share)
    with pytest.raises(InputError):
        split(table, "key", b"k", 0.2)


@given(st.one_of(st.binary(max_size=300), st.text(alphabet='PF13,.\n"=-@ae;\t ', max_size=200).map(str.encode)))
@settings(max_examples=250, deadline=None)
def test_no_file_breaks_the_reader(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        for content in (data, f"{HEADER}\n".encode() + data):
            path.write_bytes(content)
            try:
                inspection = inspect_source(path, codebook())
            except InputError:
                continue
            assert (inspection.table is None) == bool(inspection.findings)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(0, 110)),
            st.one_of(st.none(), st.sampled_from("FM")),
            st.one_of(st.none(), st.floats(3, 22)),
            st.integers(0, 600),
        ),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_what_is_read(rows: list[tuple[int | None, str | None, float | None, int]]) -> None:
    def cell(value: object) -> str:
        return "" if value is None else f"{value:.12f}" if isinstance(value, float) else str(value)

    lines = [",".join([f"P-{n}", *map(cell, row)]) for n, row in enumerate(rows)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        path.write_text("\n".join([HEADER, *lines]) + "\n")
        table = inspect_source(path, codebook()).table
    assert table is not None
    for got, put in zip(table.rows(), rows, strict=True):
        assert got[1:3] == put[:2]
        assert got[4] == put[3]
        assert (got[3] is None) == (put[2] is None)
        assert put[2] is None or got[3] == pytest.approx(put[2], abs=1e-11)
    digest = table_digest(table, codebook().digest)
    sealed = seal(table, b"k" * 32, digest)
    assert table_digest(unseal(sealed, b"k" * 32, digest), codebook().digest) == digest
    with pytest.raises(IntegrityError):
        unseal(sealed, b"k" * 32, digest[:-1] + "x")
