"""HealthDCAT-AP release 8: what a dataset's record states, what is missing, and the one writer of records."""

from synthema.datasets.healthdcat.dataset import catalogue_record, dataset_facts
from synthema.datasets.healthdcat.facts import Access, Copy, Missing, Named, Party, RecordFacts, Typed, missing
from synthema.datasets.healthdcat.record import health_record, known_record
from synthema.datasets.healthdcat.terms import CONTEXT

__all__ = [
    "CONTEXT",
    "Access",
    "Copy",
    "Missing",
    "Named",
    "Party",
    "RecordFacts",
    "Typed",
    "catalogue_record",
    "dataset_facts",
    "health_record",
    "known_record",
    "missing",
]
