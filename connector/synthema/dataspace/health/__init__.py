"""The catalogue for harvesters of health data: offers as ODRL, pages as DCAT, any of it in the RDF form asked for."""

from synthema.dataspace.health.negotiated import MEDIA_TYPES, best_media_type
from synthema.dataspace.health.offers import offer_node
from synthema.dataspace.health.pages import Listed, Page, catalogue_page
from synthema.dataspace.health.rdf import serialised, triples

__all__ = [
    "MEDIA_TYPES",
    "Listed",
    "Page",
    "best_media_type",
    "catalogue_page",
    "offer_node",
    "serialised",
    "triples",
]
