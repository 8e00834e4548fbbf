"""Shared by the tests of the consent room."""

from __future__ import annotations

from datetime import UTC, datetime

from synthema.consent import ConsentNotice, Party
from synthema.consent.model import EU_GDPR

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
CONSENT = EU_GDPR + "A9-2-a"
RESEARCH = EU_GDPR + "A9-2-j"
SYN = "https://w3id.org/synthema/ns#"
EHDS = "https://w3id.org/dpv/legal/eu/ehds#"
HEALTH_RESEARCH = EHDS + "HealthcareScientificResearch"
TRAINING = EHDS + "TrainTestAndEvaluateHealthAlgorithms"


def notice(version: str = "2.1", **changes: object) -> ConsentNotice:
    """A whole notice of an invented registry office."""
    values: dict[str, object] = {
        "dataset": "mgus",
        "version": version,
        "notice": "https://registry.example/notice/2.1",
        "language": "en",
        "title": "Reuse of registry data for research",
        "purposes": (HEALTH_RESEARCH,),
        "legal_basis": CONSENT,
        "personal_data": (f"{SYN}Art51-1-l",),
        "data_source": "Entered in routine care",
        "controller": Party(
            identifier="did:web:registry.example",
            name="Registry office",
            address="1 Example Street, Bologna",
            contact="mailto:office@registry.example",
        ),
        "data_protection_officer": "mailto:dpo@registry.example",
        "recipients": ("research institutions",),
        "storage_location": "IT",
        "retention": "Ten years after the last entry",
        "retention_days": 3650,
        "jurisdictions": ("IT",),
        "withdrawal_method": "https://registry.example/withdraw",
        "complaint": "https://authority.example/complaint",
    }
    return ConsentNotice.model_validate(values | changes)
