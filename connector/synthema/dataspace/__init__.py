"""The data space: Dataspace Protocol 2025-1 as provider and as consumer.

Start with :class:`Dataspace`; :mod:`transitions` holds the two state machines,
:mod:`ports` the doors for other rooms, :mod:`peer` the only way to call out.
"""

from synthema.dataspace.model import (
    COMPUTE,
    PULL,
    Accept,
    Agreement,
    Artefact,
    Caller,
    CatalogueEntry,
    Counter,
    Hold,
    Offered,
    OfferQuestion,
    Process,
    Refuse,
    Verdict,
)
from synthema.dataspace.peer import PeerClient, fetch_did_document
from synthema.dataspace.reconciler import Pace
from synthema.dataspace.service import Dataspace, Ports

__all__ = [
    "COMPUTE",
    "PULL",
    "Accept",
    "Agreement",
    "Artefact",
    "Caller",
    "CatalogueEntry",
    "Counter",
    "Dataspace",
    "Hold",
    "OfferQuestion",
    "Offered",
    "Pace",
    "PeerClient",
    "Ports",
    "Process",
    "Refuse",
    "Verdict",
    "fetch_did_document",
]
