"""Operations on the health catalogue: what is said of datasets, what is missing, and the records themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.health_catalogue import HealthCatalogue
from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.datasets import CatalogueFacts
from synthema.datasets.healthdcat import Missing
from synthema.dataspace.health import Listed, Page, catalogue_page, serialised
from synthema.errors import InputError

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

FORMS = {
    "json-ld": "application/ld+json",
    "turtle": "text/turtle",
    "rdf-xml": "application/rdf+xml",
    "n-triples": "application/n-triples",
}


class DescribeDataset(Input):
    """What a catalogue says of a dataset. Fields that are left out stay as they are."""

    dataset: str
    facts: CatalogueFacts


@operation("dataset/describe")
def describe_dataset(connector: Connector, given: DescribeDataset) -> dict[str, Any]:
    """State or correct what the catalogue says of the latest version of a dataset; decisions rest on none of it."""
    if not given.facts.model_fields_set:
        raise InputError("nothing is stated", fix=f"give some of: {', '.join(CatalogueFacts.model_fields)}")
    version = connector.datasets.describe(given.dataset, given.facts)
    return {
        "dataset": version.name,
        "version": version.version,
        "described": sorted(given.facts.model_fields_set),
        "missing": [_missing(each) for each in HealthCatalogue.of(connector).lacking(version)],
    }


@operation("catalogue/show")
def show_catalogue(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """Every dataset on offer: who may read its record, and which mandatory facts are not stated."""
    return [
        {
            "dataset": state.name,
            "iri": state.iri,
            "title": state.title,
            "readers": state.readers,
            "complete": not state.missing,
            "missing": [_missing(each) for each in state.missing],
        }
        for state in HealthCatalogue.of(connector).state()
    ]


class ExportCatalogue(Input):
    """Which record, and in which form; without a dataset, the public catalogue as everybody reads it."""

    dataset: str | None = None
    form: Literal["json-ld", "turtle", "rdf-xml", "n-triples"] = "turtle"


@operation("catalogue/export")
def export_catalogue(connector: Connector, given: ExportCatalogue) -> dict[str, Any]:
    """Write a dataset's record, or the whole public catalogue, in a form of RDF."""
    catalogue = HealthCatalogue.of(connector)
    value = _public(connector, catalogue) if given.dataset is None else catalogue.own(given.dataset)
    media_type = FORMS[given.form]
    return {"mediaType": media_type, "text": serialised(value, media_type).decode()}


class DescribeForLearning(Input):
    """Which released package to describe."""

    artefact: str = Field(pattern=r"^(sha256:)?[0-9a-f]{64}$", description="digest of the released package")


@operation("catalogue/croissant")
def describe_for_learning(connector: Connector, given: DescribeForLearning) -> dict[str, Any]:
    """Describe a released synthetic dataset in Croissant 1.1, if its terms of use are understood in full."""
    return HealthCatalogue.of(connector).croissant(given.artefact.removeprefix("sha256:"))


def _public(connector: Connector, catalogue: HealthCatalogue) -> dict[str, Any]:
    """All that is public as one page: what a harvester has when it has followed every link."""
    settings = connector.settings
    listed: list[Listed] = []
    page = catalogue.page(None)
    listed += page.listed
    while page.after is not None:
        page = catalogue.page(None, page.after)
        listed += page.listed
    address = f"{settings.public_url}/catalogue"
    return catalogue_page(
        Page(tuple(listed), None),
        catalogue=f"{settings.public_url}/id/catalogue/main",
        title=settings.name,
        publisher=settings.did,
        address=address,
        first=address,
        following=None,
    )


def _missing(each: Missing) -> dict[str, str]:
    return {"field": each.field, "sentence": each.sentence, "example": each.example}
