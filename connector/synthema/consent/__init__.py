"""Consents (GDPR 7(3)) and opt-outs (EHDS 71): who must be left out of a run, and why in numbers."""

from synthema.consent.intake import ConsentLine, ConsentList, read_consent_list
from synthema.consent.model import (
    CONSENT_TRANSITIONS,
    OPT_OUT_TRANSITIONS,
    VALID_STATES,
    ConsentItem,
    ConsentRecord,
    ConsentState,
    Exclusions,
    OptOut,
    OptOutState,
    machine_for,
)
from synthema.consent.register import ConsentStore, ImportReport

__all__ = [
    "CONSENT_TRANSITIONS",
    "OPT_OUT_TRANSITIONS",
    "VALID_STATES",
    "ConsentItem",
    "ConsentLine",
    "ConsentList",
    "ConsentRecord",
    "ConsentState",
    "ConsentStore",
    "Exclusions",
    "ImportReport",
    "OptOut",
    "OptOutState",
    "machine_for",
    "read_consent_list",
]
