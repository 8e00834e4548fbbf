"""The catalogue's records of datasets, worked out once for each description of each version.

A record follows from a version and the settings alone, and takes longer to make than the rest of an answer. What is
kept is its text, which is small, so that a catalogue of ten thousand datasets fits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from synthema.canonical import canonical_json
from synthema.datasets import DatasetStore, DatasetVersion

Json = dict[str, Any]


class KnownRecords:
    """Records by the names of datasets; ``make`` works one out."""

    def __init__(self, datasets: DatasetStore, make: Callable[[DatasetVersion], Json]) -> None:
        self._datasets = datasets
        self._make = make
        self._kept: dict[str, tuple[str, bytes]] = {}

    def of(self, names: Collection[str]) -> dict[str, Json]:
        """The records of these datasets, as their newest versions are described now, in one or two queries."""
        marks = self._datasets.newest_marks(names)
        if unknown := [name for name, mark in marks.items() if self._kept.get(name, ("", b""))[0] != mark]:
            for name, version in self._datasets.newest(unknown).items():
                self._kept[name] = marks[name], canonical_json(self._make(version))
        return {name: json.loads(self._kept[name][1]) for name in marks}
