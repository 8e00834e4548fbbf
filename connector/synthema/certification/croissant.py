"""A certified synthetic dataset as Croissant 1.1, for those who load it into machine learning tools.

The terms of use travel in ``usageInfo`` as ODRL and as codes of the Data Use Ontology, and only if they are
understood in full: the specification's own example has a constraint without a left operand and names one code while it
gives another, so nothing is passed on unread. Left out, because nobody has stated it or the certificate says it
better: splits, keys and joins, enumerations, example records, statistics of columns, and an SPDX licence (the terms
are the certificate's). A description is no certificate: whoever relies on it verifies the package.
Sources: Croissant 1.1 (MLCommons, 2026-01), its RAI vocabulary 1.0, ODRL 2.2, DUO.
"""

from __future__ import annotations

from typing import Any, Final

from synthema.certification.container import TOP
from synthema.certification.crate import Envelope, host_of
from synthema.certification.document import NAMESPACE
from synthema.certification.model import Certificate, CertificateContent
from synthema.certification.uses import DATA_USE, require_understood, use_sentences
from synthema.clock import to_text
from synthema.datasets.codebook import Codebook, Variable
from synthema.dataspace.health.offers import offer_node
from synthema.policy.duo_codes import CODES, OBO

CONFORMS_TO: Final = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
_PACKAGE: Final = "package.zip"
_ROWS: Final = "rows"
_TYPES: Final = {"integer": "sc:Integer", "decimal": "sc:Float"}
_OWN_NAMES: Final = (
    "annotation arrayShape citeAs column containedIn equivalentProperty excludes extract field fileObject fileProperty "
    "fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex "
    "readLines repeated replace samplingRate sdVersion separator source subField transform unArchive value"
)

CONTEXT: Final[dict[str, Any]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "prov": "http://www.w3.org/ns/prov#",
    "syn": NAMESPACE,
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _OWN_NAMES.split()},
}


def croissant(certificate: Certificate, codebook: Codebook, *, package_digest: str, address: str) -> dict[str, Any]:
    """The description of a certified dataset, as JSON-LD.

    ``address`` is where the package is had, ``package_digest`` its ``sha256:…``.
    Raises :class:`InputError` where the terms of use are not understood in full.
    """
    content = certificate.credential_subject
    require_understood(content.allowed_uses, content.id)
    envelope = Envelope(certificate.id, certificate.issuer, certificate.valid_from, certificate.valid_until)
    issuer = {"@type": "sc:Organization", "name": host_of(certificate.issuer), "url": envelope.origin}
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        # Not as @id: the terms point to it, and the reference reader would follow them round in circles.
        "identifier": content.id,
        "conformsTo": list(CONFORMS_TO),
        "name": content.title,
        "description": f"{content.rows} synthetic rows of {content.columns} variables; no row describes a real person. "
        f"Certified until {to_text(envelope.valid_until)[:10]}: verify the package before you use it.",
        "url": content.id,
        "license": {"@type": "sc:CreativeWork", "name": "What the certificate allows", "url": certificate.id},
        "citeAs": f"{content.title}. {host_of(certificate.issuer)}, {envelope.valid_from.year}. {certificate.id}",
        "version": "1.0.0",
        "datePublished": to_text(envelope.valid_from),
        "keywords": ["synthetic data", codebook.title],
        "creator": issuer,
        "publisher": issuer,
        "isLiveDataset": False,
        "usageInfo": [_policy(content), *_codes(content)],
        "prov:wasDerivedFrom": [{"@id": source.dataset} for source in content.sources],
        "prov:wasGeneratedBy": {"@id": content.study, "@type": "prov:Activity"},
        "rai:dataLimitations": list(content.limits),
        "rai:dataUseCases": list(use_sentences(content.allowed_uses)),
        "rai:personalSensitiveInformation": ["The variables concern health. The rows are synthetic."],
        "distribution": _files(content, package_digest, address),
        "recordSet": [_rows(content, codebook)],
    }


def _policy(content: CertificateContent) -> dict[str, Any]:
    name = str(content.allowed_uses.get("uid", f"{content.id}#uses"))
    said = {key: value for key, value in content.allowed_uses.items() if key not in ("uid", DATA_USE)}
    offer = offer_node(name, said, content.id)
    return {**offer, "@type": ["sc:CreativeWork", "odrl:Offer"], "name": "What the certificate allows"}


def _codes(content: CertificateContent) -> list[dict[str, Any]]:
    """The codes with the names and addresses that belong to them, from the one table of codes."""
    wanted = set(content.allowed_uses.get(DATA_USE, []))
    return [
        {
            "@type": "sc:DefinedTerm",
            "name": code.code,
            "termCode": f"DUO_{code.number}",
            "description": code.sentence,
            "url": OBO + code.number,
        }
        for code in CODES
        if code.curie in wanted
    ]


def _files(content: CertificateContent, package_digest: str, address: str) -> list[dict[str, Any]]:
    rows = content.dataset_file
    return [
        {
            "@type": "cr:FileObject",
            "@id": _PACKAGE,
            "name": _PACKAGE,
            "description": "The certified package: rows, certificate and evidence. Given under an agreement only.",
            "contentUrl": address,
            "encodingFormat": "application/zip",
            "sha256": package_digest.removeprefix("sha256:"),
        },
        {
            "@type": "cr:FileObject",
            "@id": rows.name,
            "name": rows.name,
            "description": "The synthetic rows.",
            "containedIn": {"@id": _PACKAGE},
            "contentUrl": f"{TOP}data/{rows.name}",
            "encodingFormat": rows.media_type,
            "contentSize": f"{rows.size} B",
            "sha256": rows.digest.removeprefix("sha256:"),
        },
    ]


def _rows(content: CertificateContent, codebook: Codebook) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": _ROWS,
        "name": _ROWS,
        "description": "One row for each synthetic patient.",
        "field": [_field(content.dataset_file.name, variable) for variable in codebook.variables],
    }


def _field(file: str, variable: Variable) -> dict[str, Any]:
    unit = f" ({variable.unit})" if variable.unit else ""
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{_ROWS}/{variable.name}",
        "name": f"{_ROWS}/{variable.name}",
        "description": f"{variable.label}{unit}",
        "dataType": _TYPES.get(variable.type, "sc:Text"),
        "source": {"fileObject": {"@id": file}, "extract": {"column": variable.name}},
    }
    if variable.code is not None:
        field["equivalentProperty"] = variable.code
    return field
