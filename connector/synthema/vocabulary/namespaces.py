"""The namespaces of the pinned vocabulary and their short prefixes."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

SYN: Final = "https://w3id.org/synthema/ns#"
ODRL: Final = "http://www.w3.org/ns/odrl/2/"
DPV: Final = "https://w3id.org/dpv#"
EHDS: Final = "https://w3id.org/dpv/legal/eu/ehds#"
GDPR: Final = "https://w3id.org/dpv/legal/eu/gdpr#"
HEALTH: Final = "https://w3id.org/dpv/sector/health#"
LOC: Final = "https://w3id.org/dpv/loc#"
ORPHA: Final = "http://www.orpha.net/ORDO/Orphanet_"
MONDO: Final = "http://purl.obolibrary.org/obo/MONDO_"
SKOS: Final = "http://www.w3.org/2004/02/skos/core#"
OWL: Final = "http://www.w3.org/2002/07/owl#"
DCTERMS: Final = "http://purl.org/dc/terms/"

PREFIXES: Final = MappingProxyType(
    {
        "syn": SYN,
        "odrl": ODRL,
        "dpv": DPV,
        "ehds": EHDS,
        "gdpr": GDPR,
        "health": HEALTH,
        "loc": LOC,
        "orpha": ORPHA,
        "mondo": MONDO,
    }
)
"""Prefix → namespace, as written in policies."""


def expand(text: str) -> str:
    """The full IRI of a compact one (``ehds:X``); any other text comes back unchanged."""
    prefix, colon, name = text.partition(":")
    namespace = PREFIXES.get(prefix.casefold())
    return namespace + name if colon and namespace and not name.startswith("//") else text


def compact(iri: str) -> str:
    """The compact form of an IRI in a known namespace; any other IRI comes back unchanged."""
    for prefix, namespace in PREFIXES.items():
        if iri.startswith(namespace) and len(iri) > len(namespace):
            return f"{prefix}:{iri.removeprefix(namespace)}"
    return iri
