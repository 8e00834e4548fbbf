"""The comparison at real centres: it goes on where it stopped, and what was changed is measured anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.kept import Store
from tests.plugins import learning_by_centre
from tests.plugins.learning_by_centre import STUDIES, Study, figures


def test_what_is_kept_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def measured(_study: Study, way: str, seed: int) -> float:
        asked.append((way, seed))
        return 0.7 - seed / 100

    monkeypatch.setattr(learning_by_centre, "measured", measured)
    store = Store(tmp_path)
    assert figures(Study("additive"), 1, store) == {"pooled": [0.7], "federated": [0.7], "local only": [0.7]}
    assert figures(Study("additive"), 2, store)["federated"] == [0.7, 0.69]
    assert len(asked) == 6
    assert "local only" not in figures(Study("network, SCAFFOLD"), 1, store), "one centre alone needs no method"


def test_each_figure_is_told_by_all_that_it_depends_on() -> None:
    keys = {study.key(way, seed) for study in STUDIES for way in ("pooled", "federated") for seed in (0, 1)}
    assert len(keys) == len(STUDIES) * 4
