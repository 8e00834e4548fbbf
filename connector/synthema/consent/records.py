"""A consent as a record and as a receipt: ISO/IEC TS 27560 with the Data Privacy Vocabulary, GDPR profile.

Both are JSON-LD documents made of named nodes only, so that they read as plain JSON too;
:func:`turtle` gives the same statements as Turtle. The person stands in them as a keyed token.
``ontologies/shapes/consent.ttl`` says in SHACL what must be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyoxigraph

from synthema.canonical import canonical_json
from synthema.clock import to_text
from synthema.consent.model import DPV, EU_GDPR, VALID_STATES, ConsentRecord, WithdrawalLevel, full_basis, start_of
from synthema.consent.notice import ConsentNotice, Party
from synthema.errors import InputError
from synthema.vocabulary.namespaces import SYN

DPV_27560 = "https://w3id.org/dpv/schema/dpv-27560#"
_PREFIXES = {
    "dpv": DPV,
    "eu-gdpr": EU_GDPR,
    "dpv-27560": DPV_27560,
    "dct": "http://purl.org/dc/terms/",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "syn": SYN,
}
_NODES = (
    *("dpv:hasDataSubject", "dpv:hasNotice", "dpv:hasProcess", "dpv:hasPurpose", "dpv:hasLegalBasis"),
    *("dpv:hasPersonalData", "dpv:hasDataController", "dpv:hasProcessing", "dpv:hasStorageCondition"),
    *("dpv:hasRight", "dpv:isExercisedAt", "dpv:hasConsentStatus", "dpv:isIndicatedBy", "dpv:hasRepresentative"),
    *("dpv:isRepresentativeFor", "dpv:hasContact", "dpv:hasDataProtectionOfficer", "dpv:hasConsentControl"),
    *("dct:conformsTo", "dct:hasPart", "dct:isPartOf", "dct:references", "syn:consentItem"),
)
_MOMENTS = ("dpv:isIndicatedAtTime", "dct:issued", "dct:valid", "syn:validFrom", "syn:validTo")
CONTEXT: dict[str, Any] = {
    **_PREFIXES,
    **{name: {"@type": "@id"} for name in _NODES},
    **{name: {"@type": "xsd:dateTime"} for name in _MOMENTS},
}
"""The context of the documents, written out, so that nobody has to fetch one to read them."""

_EVENTS = {
    WithdrawalLevel.CONTACT: "withdrawal of consent to further contact",
    WithdrawalLevel.ACCESS: "withdrawal of consent to access new data",
    WithdrawalLevel.USE: "withdrawal of consent to all use",
}

Json = dict[str, Any]


def consent_record(history: tuple[tuple[ConsentRecord, datetime], ...], notice: ConsentNotice, origin: str) -> Json:
    """The record of one person's consent with every event so far, as JSON-LD.

    ``history`` holds each version with the time it was recorded, oldest first; ``notice`` is the
    one the last version names; ``origin`` is the connector's public address. Raises
    :class:`InputError` where there is nothing to make a record of.
    """
    if not history:
        raise InputError("nothing is on record for this person", fix="look at the key and the dataset's name")
    first, last = history[0][0], history[-1][0]
    record = f"{origin}/id/consent-record/{first.id}"
    document = _document(record, "dpv:ConsentRecord", "record-eu-gdpr", first.id, last, notice, origin)
    document["dct:hasPart"] = [_event(each, number, record, origin) for number, (each, _) in enumerate(history, 1)]
    document["dct:hasVersion"] = str(len(history))
    document["dct:issued"] = to_text(history[-1][1])
    return document


def consent_receipt(
    history: tuple[tuple[ConsentRecord, datetime], ...], notice: ConsentNotice, origin: str, issued: datetime
) -> Json:
    """What a person is given to keep: how their consent stands now, and how to take it back (GDPR Art. 7(1), 7(3))."""
    record = consent_record(history, notice, origin)
    number, last = len(history), history[-1][0]
    receipt = f"{origin}/id/consent-receipt/{last.id}"
    document = _document(receipt, "dpv:ConsentReceipt", "receipt-eu-gdpr", last.id, last, notice, origin)
    document["dct:hasPart"] = [_event(last, number, receipt, origin)]
    document["dct:hasVersion"] = str(number)
    document["dct:references"] = record["@id"]
    document["dct:issued"] = to_text(issued)
    return document


def turtle(document: Mapping[str, Any]) -> bytes:
    """The statements of a record or receipt as Turtle."""
    quads = pyoxigraph.parse(canonical_json(dict(document)), format=pyoxigraph.RdfFormat.JSON_LD)
    triples = sorted((quad.triple for quad in quads), key=str)
    return pyoxigraph.serialize(triples, format=pyoxigraph.RdfFormat.TURTLE, prefixes=_PREFIXES) or b""


def _document(
    node: str, kind: str, schema: str, identifier: str, last: ConsentRecord, notice: ConsentNotice, origin: str
) -> Json:
    subject = _subject(last, origin)
    return {
        "@context": CONTEXT,
        "@id": node,
        "@type": kind,
        "dct:conformsTo": DPV_27560 + schema,
        "dpv:hasIdentifier": identifier,
        "dpv:hasDataSubject": {"@id": subject, "@type": "dpv:DataSubject"},
        "dpv:hasNotice": {
            "@id": notice.notice,
            "@type": "dpv:ConsentNotice",
            "dct:title": {"@value": notice.title, "@language": notice.language},
            "dct:language": notice.language,
            "dct:hasVersion": notice.version,
        },
        "dpv:hasProcess": _process(node, last, notice),
        "dpv:hasConsentStatus": last.state.iri,
        "syn:consentItem": [f"{SYN}consent-item/{item}" for item in sorted(last.items)],
    }


def _process(node: str, last: ConsentRecord, notice: ConsentNotice) -> Json:
    """What the person agreed to: the fields that a notice gives and those that are the person's own."""
    duration: Json = {"dct:description": notice.retention}
    if notice.retention_days is not None:
        duration["dpv:hasDuration"] = {"@value": f"P{notice.retention_days}D", "@type": "xsd:duration"}
    found: Json = {
        "@id": f"{node}#process",
        "@type": "dpv:Process",
        "dct:title": {"@value": notice.title, "@language": notice.language},
        "dpv:hasPurpose": sorted(last.purposes or notice.purposes),
        "dpv:hasLegalBasis": full_basis(last.legal_basis) if last.legal_basis else notice.basis,
        "dpv:hasPersonalData": sorted(notice.personal_data),
        "dpv:hasDataController": _party(notice.controller, "dpv:DataController"),
        "dpv:hasDataProtectionOfficer": {
            "@id": f"{node}#data-protection-officer",
            "@type": "dpv:DataProtectionOfficer",
            "dpv:hasContact": notice.data_protection_officer,
        },
        "dpv:hasProcessing": [f"{DPV}Collect", f"{DPV}Store", f"{DPV}Use"],
        "dpv:hasDataSource": notice.data_source,
        "dpv:hasStorageCondition": {
            "@id": f"{node}#storage",
            "@type": "dpv:StorageCondition",
            "dpv:hasLocation": notice.storage_location,
            **duration,
        },
        "dpv:hasJurisdiction": list(notice.jurisdictions),
        "dpv:hasRecipient": list(notice.recipients),
        "dpv:hasRight": [
            {
                "@id": f"{node}#right-to-withdraw",
                "@type": "eu-gdpr:A7-3",
                "dpv:isExercisedAt": notice.withdrawal_method,
            },
            {"@id": f"{node}#right-to-complain", "@type": "eu-gdpr:A77", "dpv:isExercisedAt": notice.complaint},
        ],
        "dpv:hasConsentControl": {
            "@id": f"{node}#withdrawal",
            "@type": "dpv:WithdrawConsent",
            "dpv:isExercisedAt": notice.withdrawal_method,
        },
        "dct:description": (
            "Decisions about the person are made by automated means."
            if notice.automated_decisions
            else "No decision about the person is made by automated means alone (GDPR Art. 22)."
        ),
    }
    if notice.third_country_transfer:
        found["dpv:hasOrganisationalMeasure"] = notice.third_country_transfer
    return found


def _party(party: Party, kind: str) -> Json:
    return {
        "@id": party.identifier,
        "@type": kind,
        "dpv:hasIdentifier": party.identifier,
        "dpv:hasName": party.name,
        "dpv:hasAddress": party.address,
        "dpv:hasContact": party.contact,
    }


def _event(record: ConsentRecord, number: int, node: str, origin: str) -> Json:
    """One event: its state, when and by whom it was indicated, and how long it is valid."""
    subject = _subject(record, origin)
    person = record.representative
    kind = _EVENTS.get(record.level) if record.level and record.state in VALID_STATES else None
    event: Json = {
        "@id": f"{node}#event-{number}",
        "@type": ["dpv:ExplicitlyExpressedConsent", f"dpv:{record.state}"],
        "dpv:hasIdentifier": record.id,
        "dpv:isIndicatedAtTime": to_text(record.effective_at),
        "dpv:isIndicatedBy": subject,
        "dct:type": kind or f"consent: {record.state}",
    }
    if person is not None:
        event["dpv:isIndicatedBy"] = {
            "@id": f"{node}#representative-{number}",
            "@type": "dpv:ParentOfDataSubject" if person.kind == "parent" else "dpv:GuardianOfDataSubject",
            "dpv:isRepresentativeFor": subject,
        }
    ends = [moment for moment in (record.valid_to, None if person is None else start_of(person.until)) if moment]
    if record.valid_from is not None:
        event["syn:validFrom"] = to_text(record.valid_from)
    if ends:
        event["syn:validTo"] = to_text(min(ends))
    return event


def _subject(record: ConsentRecord, origin: str) -> str:
    return f"{origin}/id/data-subject/{record.patient_token}"
