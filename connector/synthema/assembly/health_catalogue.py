"""The health catalogue of one connector: complete HealthDCAT-AP records of what is on offer, for whoever may see it.

Who sees a record is decided by the shelf, by the one rule that the Dataspace Protocol's catalogue follows too. A
dataset whose mandatory facts are not all stated has no record here; :meth:`HealthCatalogue.state` says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from synthema.canonical import digest_file, parse_json_strictly
from synthema.certification import Certificate, read_document
from synthema.certification.croissant import croissant
from synthema.certification.description import codebook_of
from synthema.certification.package import Package
from synthema.certification.record import NAME
from synthema.config import Settings
from synthema.datasets import DatasetStore, DatasetVersion
from synthema.datasets.healthdcat import Missing, RecordFacts, dataset_facts, health_record, missing
from synthema.dataspace import Caller, Offered
from synthema.dataspace.health import Listed, Page, offer_node
from synthema.dataspace.health.pages import PAGE
from synthema.errors import IntegrityError, NotFoundError
from synthema.runs.governor import Governor

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector
    from synthema.assembly.shelf import Shelf

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordState:
    """Whether a dataset on offer has a record, who may read it, and what is missing of it."""

    iri: str
    name: str
    title: str
    readers: str
    missing: tuple[Missing, ...]


class HealthCatalogue:
    """Reads records; keeps nothing of its own."""

    def __init__(self, settings: Settings, datasets: DatasetStore, shelf: Shelf, governor: Governor) -> None:
        self._settings = settings
        self._datasets = datasets
        self._shelf = shelf
        self._governor = governor

    @classmethod
    def of(cls, connector: Connector) -> Self:
        """The catalogue of a connector."""
        return cls(connector.settings, connector.datasets, connector.shelf, connector.governor)

    def page(self, caller: Caller | None, after: str | None = None, limit: int = PAGE) -> Page:
        """The complete records the caller may see, by name, after the name ``after``; without a caller, public ones."""
        shown = self._shelf.shown(caller, after=after, limit=limit + 1, records=True)
        looked_at = shown[:limit]
        return Page(tuple(self._listed(looked_at)), looked_at[-1][0] if len(shown) > limit else None)

    def record(self, caller: Caller | None, iri: str) -> Listed:
        """One record; raises :class:`NotFoundError` where there is none, or none that this caller may see."""
        for listed in self._listed(self._shelf.shown(caller, dataset=iri, limit=1, records=True)):
            return listed
        raise NotFoundError("there is no such record", fix="take the address from the catalogue")

    def state(self) -> list[RecordState]:
        """Every dataset on offer, by name, with what its record lacks."""
        rows = {row["dataset"]: row for row in self._shelf.offered()}
        public, versions = self._datasets.listed_publicly(), self._datasets.newest(list(rows))
        return [
            self._state(row, versions.get(name), "everybody" if name in public else "hubs")
            for name, row in sorted(rows.items())
        ]

    def own(self, name: str) -> Json:
        """The record of one of this house's datasets, on offer or not.

        Raises :class:`InputError` naming every mandatory fact that is not stated, :class:`NotFoundError`.
        """
        version = self._datasets.version(name)
        iri = self._shelf.iri_of(version.name)
        return self._of_patients(iri, version, self._shelf.offers_for(iri))

    def lacking(self, version: DatasetVersion) -> tuple[Missing, ...]:
        """What the record of a dataset lacks."""
        return missing(self._facts(self._shelf.iri_of(version.name), version))

    def croissant(self, artefact: str) -> Json:
        """The Croissant description of a synthetic dataset on offer; ``artefact`` is its package's digest.

        Raises :class:`NotFoundError`, and :class:`InputError` where its terms of use are not understood in full.
        """
        with self._package(artefact) as package:
            certificate = read_document(Certificate, package.certificate())
            codebook = codebook_of({"codebook.json": package.read("codebook.json")})
        return croissant(
            certificate,
            codebook,
            package_digest=f"sha256:{artefact}",
            address=f"{self._settings.public_url}/artefacts/{artefact}",
        )

    # records -----------------------------------------------------------------------------

    def _listed(self, shown: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[Listed]:
        versions = self._datasets.newest([row["dataset"] for _, row in shown if row["kind"] == "patients"])
        for iri, row in shown:
            if row["kind"] == "synthetic":
                yield self._of_package(iri, row)
                continue
            version = versions[row["dataset"]]
            if version.erased_at is None and not self.lacking(version):
                record = self._of_patients(iri, version, row["offers"])
                yield Listed(iri, record, max(version.modified, row["published_at"]))

    def _of_patients(self, iri: str, version: DatasetVersion, offers: Iterable[Offered]) -> Json:
        return health_record(self._facts(iri, version), name=version.name, policies=_policies(iri, offers))

    def _facts(self, iri: str, version: DatasetVersion) -> RecordFacts:
        settings = self._settings
        return dataset_facts(
            version,
            iri,
            publisher=settings.did,
            publisher_name=settings.name,
            access_url=f"{settings.public_url}/dsp",
            regime=settings.regime,
        )

    def _of_package(self, iri: str, row: Mapping[str, Any]) -> Listed:
        """The record that travels in the certified package, with the offer it can be had under here."""
        with self._package(row["dataset"]) as package:
            record = parse_json_strictly(package.read(NAME))
        other = {"@id": f"{iri}#identifier", "@type": "adms:Identifier", "skos:notation": iri}
        certified = record["odrl:hasPolicy"]
        offered = [*(certified if isinstance(certified, list) else [certified]), *_policies(iri, row["offers"])]
        return Listed(iri, record | {"adms:identifier": other, "odrl:hasPolicy": offered}, row["published_at"])

    def _package(self, artefact: str) -> Package:
        _, found, path = self._governor.released_file(f"sha256:{artefact}")
        _require_unchanged(path, found.digest)
        return Package.open(path)

    def _state(self, row: Mapping[str, Any], version: DatasetVersion | None, readers: str) -> RecordState:
        iri, name = self._shelf.iri_of(row["dataset"]), row["dataset"]
        if version is None:
            return RecordState(iri, name, row["title"], "registries and hubs", ())
        return RecordState(iri, name, row["title"], readers, self.lacking(version))


def _policies(iri: str, offers: Iterable[Offered]) -> tuple[Json, ...]:
    return tuple(offer_node(offer.id, offer.policy, iri) for offer in offers)


@cache
def _require_unchanged(path: Path, digest: str) -> None:
    """Raise :class:`IntegrityError` unless a released file is the one that was released; looked at once."""
    if not path.is_file() or digest_file(path) != digest:
        raise IntegrityError("a released package is not the one that was released", fix="restore it from a backup")
