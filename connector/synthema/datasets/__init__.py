"""Datasets: codebooks, strict intake, quality gate, sealed storage, catalogue record, quality label.

Names are loaded when first used: a plugin's sandbox needs the codebook, and must
not load the database, the keys and the log with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthema.datasets.codebook import (
        Codebook,
        Rule,
        SurvivalOutcome,
        Variable,
        dictionary,
        load_codebook,
        read_codebook,
    )
    from synthema.datasets.healthdcat import catalogue_record
    from synthema.datasets.holdout import split
    from synthema.datasets.label import quality_label
    from synthema.datasets.model import (
        CatalogueFacts,
        DatasetMetadata,
        DatasetVersion,
        Guard,
        Hdab,
        ReadAuthorisation,
        Sample,
    )
    from synthema.datasets.quality import Quality, QualityFinding, assess
    from synthema.datasets.source import Finding, Inspection, inspect_source, read_source
    from synthema.datasets.store import DatasetStore

_HOMES = {
    "codebook": ("Codebook", "Rule", "SurvivalOutcome", "Variable", "dictionary", "load_codebook", "read_codebook"),
    "healthdcat": ("catalogue_record",),
    "holdout": ("split",),
    "label": ("quality_label",),
    "model": (
        "CatalogueFacts",
        "DatasetMetadata",
        "DatasetVersion",
        "Guard",
        "Hdab",
        "ReadAuthorisation",
        "Sample",
    ),
    "quality": ("Quality", "QualityFinding", "assess"),
    "source": ("Finding", "Inspection", "inspect_source", "read_source"),
    "store": ("DatasetStore",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CatalogueFacts",
    "Codebook",
    "DatasetMetadata",
    "DatasetStore",
    "DatasetVersion",
    "Finding",
    "Guard",
    "Hdab",
    "Inspection",
    "Quality",
    "QualityFinding",
    "ReadAuthorisation",
    "Rule",
    "Sample",
    "SurvivalOutcome",
    "Variable",
    "assess",
    "catalogue_record",
    "dictionary",
    "inspect_source",
    "load_codebook",
    "quality_label",
    "read_codebook",
    "read_source",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
