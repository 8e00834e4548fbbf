"""Consents (GDPR 7(3)) and opt-outs (EHDS 71): who must be left out of a run, and why in numbers."""

from synthema.consent.age import of_age_on, representative
from synthema.consent.cohort import Ground
from synthema.consent.elements import parse_elements
from synthema.consent.fhir import parse_fhir
from synthema.consent.incoming import ConsentLine, ConsentList, Problem, Reading
from synthema.consent.intake import parse_csv, read_consent_list
from synthema.consent.model import (
    CONSENT_TRANSITIONS,
    OPT_OUT_TRANSITIONS,
    VALID_STATES,
    ConsentItem,
    ConsentRecord,
    ConsentState,
    Exclusions,
    NationalException,
    OptOut,
    OptOutState,
    Question,
    Representative,
    Withdrawal,
    WithdrawalLevel,
    machine_for,
)
from synthema.consent.notice import ConsentNotice, Party, read_notice
from synthema.consent.persons import Standing, Terms
from synthema.consent.records import consent_receipt, consent_record, turtle
from synthema.consent.register import ConsentStore, ImportReport
from synthema.consent.use import Use, national_exception, question

__all__ = [
    "CONSENT_TRANSITIONS",
    "OPT_OUT_TRANSITIONS",
    "VALID_STATES",
    "ConsentItem",
    "ConsentLine",
    "ConsentList",
    "ConsentNotice",
    "ConsentRecord",
    "ConsentState",
    "ConsentStore",
    "Exclusions",
    "Ground",
    "ImportReport",
    "NationalException",
    "OptOut",
    "OptOutState",
    "Party",
    "Problem",
    "Question",
    "Reading",
    "Representative",
    "Standing",
    "Terms",
    "Use",
    "Withdrawal",
    "WithdrawalLevel",
    "consent_receipt",
    "consent_record",
    "machine_for",
    "national_exception",
    "of_age_on",
    "parse_csv",
    "parse_elements",
    "parse_fhir",
    "question",
    "read_consent_list",
    "read_notice",
    "representative",
    "turtle",
]
