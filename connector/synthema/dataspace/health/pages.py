"""Pages of the catalogue for harvesters: a ``dcat:Catalog`` with its records, and the way to the next page (Hydra)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from synthema.datasets.healthdcat import CONTEXT
from synthema.datasets.healthdcat.terms import EHDS, law, text, time

Json = dict[str, Any]

PAGE: Final = 100
"""Records on a page."""

_CONTEXT: Final[Json] = CONTEXT | {"hydra": "http://www.w3.org/ns/hydra/core#"}
_DESCRIPTION: Final = (
    "Records of health datasets as far as the reader may see them. They follow the form of HealthDCAT-AP release 8; "
    "this catalogue is the data holder's own, not that of a health data access body or of HealthData@EU."
)


@dataclass(frozen=True, slots=True)
class Listed:
    """One complete record, and when it was last stated or offered anew."""

    iri: str
    record: Json
    modified: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Records in the order of their names. ``after`` names the last one looked at, if more follow."""

    listed: tuple[Listed, ...]
    after: str | None

    @property
    def modified(self) -> datetime | None:
        """When the newest record on the page changed."""
        return max((each.modified for each in self.listed), default=None)


def catalogue_page(
    page: Page, *, catalogue: str, title: str, publisher: str, address: str, first: str, following: str | None
) -> Json:
    """A page as JSON-LD: ``address`` is the page's own, ``first`` and ``following`` lead to others."""
    value: Json = {
        "@context": _CONTEXT,
        "@id": catalogue,
        "@type": ["dcat:Catalog", "hydra:Collection"],
        "dct:title": text(title),
        "dct:description": text(_DESCRIPTION),
        "dct:publisher": {"@id": publisher, "@type": "foaf:Agent", "foaf:name": title},
        "dcatap:applicableLegislation": [law(EHDS)],
        "hydra:view": {
            "@id": address,
            "@type": "hydra:PartialCollectionView",
            "hydra:first": {"@id": first},
            **({} if following is None else {"hydra:next": {"@id": following}}),
        },
    }
    if page.modified is not None:
        value["dct:modified"] = time(page.modified)
    if page.listed:
        value["dcat:dataset"] = list(_without_context(each.record for each in page.listed))
    return value


def _without_context(records: Iterable[Json]) -> Iterable[Json]:
    for record in records:
        yield {key: item for key, item in record.items() if key != "@context"}
