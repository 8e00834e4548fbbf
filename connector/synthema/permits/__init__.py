"""What a use rests on: data permits (EHDS Art. 68) and agreements of the data space."""

from synthema.permits.model import (
    TRANSITIONS,
    Agreement,
    AgreementState,
    DataDescription,
    Permit,
    PermitContent,
    PermitState,
)
from synthema.permits.store import PermitStore

__all__ = [
    "TRANSITIONS",
    "Agreement",
    "AgreementState",
    "DataDescription",
    "Permit",
    "PermitContent",
    "PermitState",
    "PermitStore",
]
