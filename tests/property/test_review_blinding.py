"""Blinding holds: nothing that is served before the close depends on which vignettes are real."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.certification.review.blinding import assignment, check_opening, commitment, names, order, sealed_digest
from synthema.certification.review.statistics import reader_auc
from synthema.certification.review.vignettes import draw_sheet
from synthema.errors import IntegrityError
from tests.unit.review.worlds import rows, shown

SEEDS = st.binary(min_size=32, max_size=32)
SIZES = st.integers(20, 80)


@given(SEEDS, SIZES)
def test_about_half_are_synthetic_and_the_rest_cannot_be_counted_out(seed: bytes, size: int) -> None:
    kinds = assignment(seed, size)
    assert len(kinds) == size
    assert abs(2 * sum(kinds) - size) <= size // 10 + 1


@given(SEEDS, SIZES, st.integers(1, 9))
def test_every_reviewer_sees_every_vignette_once_in_an_order_of_their_own(seed: bytes, size: int, seat: int) -> None:
    mine, other = order(seed, seat, size), order(seed, seat + 1, size)
    assert sorted(mine) == sorted(other) == list(range(size))
    assert mine != other
    called = names(seed, size)
    assert len(set(called)) == size
    assert all(re.fullmatch(r"[0-9a-f]{20}", name) for name in called)


@given(SEEDS, st.integers(0, 2**31))
@settings(max_examples=15)
def test_digits_and_missing_values_tell_nothing(seed: bytes, world: int) -> None:
    """Real rows lack values and have one decimal; synthetic rows lack none and have fifteen."""
    real = rows(150, world, decimals=1, missing=0.3)
    synthetic = rows(150, world + 1, decimals=15)
    kinds = assignment(seed, 60)
    sheet = draw_sheet(real, synthetic, shown(), seed, 60)
    digits = {len(match) for text in sheet for match in re.findall(r"haemoglobin \d+\.(\d+)", " ".join(text))}
    assert digits <= {1}
    hidden = [next((s for s in text if s.startswith("Not shown")), "") for text in sheet]
    of_synthetic = Counter(h for h, kind in zip(hidden, kinds, strict=True) if kind)
    of_real = Counter(h for h, kind in zip(hidden, kinds, strict=True) if not kind)
    assert set(of_synthetic) == set(of_real)
    assert sum((of_synthetic - of_real).values()) <= abs(2 * sum(kinds) - 60) + 1


def test_place_order_and_name_tell_nothing_over_many_reviews() -> None:
    """An adversary who knows all of them and 400 opened reviews is at chance."""
    scores: dict[str, list[float]] = {"place": [], "order": [], "name": []}
    for number in range(400):
        seed = number.to_bytes(32, "big")
        kinds = np.array(assignment(seed, 40))
        position = np.argsort(order(seed, 1, 40)).astype(float)
        tells = {
            "place": np.arange(40.0),
            "order": position,
            "name": np.array([int(name, 16) / 16**20 for name in names(seed, 40)]),
        }
        for tell, values in tells.items():
            scores[tell].append(float(reader_auc(values[:, None], kinds)[0][0]))
    for tell, found in scores.items():
        assert abs(np.mean(found) - 0.5) < 0.02, tell


@given(SEEDS, st.integers(0, 2**31))
@settings(max_examples=20)
def test_the_commitment_binds_seed_and_sheet_and_gives_neither_away(seed: bytes, world: int) -> None:
    sheet = draw_sheet(rows(60, world), rows(60, world + 1), shown(), seed, 20)
    committed = commitment("review-1", seed, sheet)
    check_opening(committed, "review-1", seed, sheet)
    other = bytes([seed[0] ^ 1]) + seed[1:]
    changed = [*sheet[:-1], (*sheet[-1], "One more sentence.")]
    for review, key, texts in (("review-2", seed, sheet), ("review-1", other, sheet), ("review-1", seed, changed)):
        with pytest.raises(IntegrityError):
            check_opening(committed, review, key, texts)
    assert committed != commitment("review-1", other, sheet)
    answer = {"guess": "real"}
    assert sealed_digest(seed, answer) != sealed_digest(other, answer)
