"""The catalogue as the protocol shows it: datasets with offers and distributions, page by page.

Listing, single read and the check of an offer go through the one method
:meth:`ports.Catalogue.visible`, so that what is hidden in one is hidden in all.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from synthema.dataspace import policy_text
from synthema.dataspace.messages import BASE, CONTEXT
from synthema.dataspace.model import Caller, CatalogueEntry, Offered
from synthema.dataspace.ports import Catalogue
from synthema.errors import InputError, NotFoundError

PAGE = 100
Json = dict[str, Any]

_OWN_KEYS = frozenset({"@context", "@id", "@type", "hasPolicy", "distribution"})


class Offers:
    """What callers may see of our datasets. ``caller_of`` finds a registered peer by its did."""

    def __init__(
        self, catalogue: Catalogue, public_url: str, did: str, name: str, caller_of: Callable[[str], Caller]
    ) -> None:
        self._catalogue = catalogue
        self._service = {
            "@id": f"{public_url}/id/service/dsp",
            "@type": "DataService",
            "endpointURL": f"{public_url}{BASE}",
        }
        self._id = f"{public_url}/id/catalogue/main"
        self._did = did
        self._name = name
        self._caller_of = caller_of

    def page(self, caller: Caller, cursor: str | None = None) -> tuple[Json, str | None]:
        """One page of the catalogue, and the cursor of the next page if there is one."""
        after = None if cursor is None else _after(cursor)
        entries = list(self._catalogue.visible(caller, after=after, limit=PAGE + 1))
        shown = [self._dataset(entry) for entry in entries[:PAGE]]
        catalogue: Json = {
            "@context": [CONTEXT],
            "@id": self._id,
            "@type": "Catalog",
            "participantId": self._did,
            "http://purl.org/dc/terms/title": self._name,
            "service": [self._service],
        }
        if listed := [dataset for dataset in shown if dataset is not None]:
            catalogue["dataset"] = listed
        return catalogue, _cursor(entries[PAGE - 1].id) if len(entries) > PAGE else None

    def dataset(self, caller: Caller, identifier: str) -> Json:
        """One dataset; raises :class:`NotFoundError` when there is none that this caller may see."""
        shown = self._dataset(self.entry(caller, identifier))
        if shown is None:
            raise _no_dataset()
        return {"@context": [CONTEXT], **shown}

    def entry(self, caller: Caller, identifier: str) -> CatalogueEntry:
        """The catalogue's entry; raises like :meth:`dataset`."""
        found = [e for e in self._catalogue.visible(caller, dataset=identifier, limit=1) if e.id == identifier]
        if not found:
            raise _no_dataset()
        return found[0]

    def offer(self, caller: Caller, dataset: str, offer_id: str) -> Offered:
        """One offer of a dataset that the caller may see; raises :class:`NotFoundError`."""
        for offered in self.entry(caller, dataset).offers:
            if offered.id == offer_id:
                return offered
        raise NotFoundError("there is no such offer", fix="take an offer from the catalogue as it is now")

    def offer_for(self, did: str, dataset: str, offer_id: str, made: Json | None = None) -> Offered:
        """As :meth:`offer`, for a registered peer named by its did.

        ``made`` is an offer that we made within the negotiation; it counts as
        long as the peer may still see the dataset.
        """
        caller = self._caller_of(did)
        if made is not None and made["@id"] == offer_id:
            self.entry(caller, dataset)
            return Offered(offer_id, made)
        return self.offer(caller, dataset, offer_id)

    def _dataset(self, entry: CatalogueEntry) -> Json | None:
        """A dataset in wire form; None when it has no offer, since the protocol cannot show it then."""
        offers = [policy_text.offer_in_dataset(offer.id, offer.policy) for offer in entry.offers]
        if not offers or not entry.formats:
            return None
        return {
            **{key: value for key, value in entry.record.items() if key not in _OWN_KEYS},
            "@id": entry.id,
            "@type": "Dataset",
            "hasPolicy": offers,
            "distribution": [
                {"@type": "Distribution", "format": format_, "accessService": self._service}
                for format_ in entry.formats
            ],
        }


def _cursor(identifier: str) -> str:
    return base64.urlsafe_b64encode(identifier.encode()).decode().rstrip("=")


def _after(cursor: str) -> str:
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise InputError(
            "this is not a page of the catalogue", fix="follow the Link header of the page before"
        ) from error


def _no_dataset() -> NotFoundError:
    return NotFoundError("there is no such dataset", fix="take the identifier from the catalogue")
