"""What the target holds from the start: datasets, offers and agreements under the ids that the kit asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from synthema.clock import Clock, to_text
from synthema.dataspace import PULL, Agreement, Caller, CatalogueEntry, Offered, policy_text, store
from tests.conformance.dsp.script import SCRIPT

KIT = "TCK_PARTICIPANT"
FORMAT = PULL
POLICY: dict[str, Any] = {"permission": [{"action": "use"}]}

DATASETS = ("CAT0101", "CAT0102", *(name for name in SCRIPT if name.startswith("ACN0")))
PROVIDED = tuple(name for name in SCRIPT if name.startswith("ATP0"))
CONSUMED = tuple(name for name in SCRIPT if name.startswith("ATPC"))


def offer_ids(dataset: str) -> tuple[str, str]:
    """The ids under which a dataset is offered: the kit's own convention, and that of the Eclipse connector."""
    return f"offer{dataset}", f"CD123:{dataset}:456"


class Shop:
    """A catalogue port with the kit's datasets. CAT0103 is not among them: the kit asks for what does not exist."""

    def visible(
        self, caller: Caller, *, dataset: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[CatalogueEntry]:
        names = [name for name in sorted(DATASETS) if dataset in (None, name) and (after is None or name > after)]
        return [_entry(name) for name in names[:limit]]


def add_agreements(connection: Connection, own: str, clock: Clock) -> None:
    """Final agreements with the kit: under ATP… we provide, under ATPC… the kit does."""
    for name in PROVIDED:
        store.add_agreement(connection, _agreement(name, own, KIT, "provider", clock))
    for name in CONSUMED:
        store.add_agreement(connection, _agreement(name, KIT, own, "consumer", clock))


def _entry(dataset: str) -> CatalogueEntry:
    offers = tuple(Offered(offer, POLICY) for offer in offer_ids(dataset))
    return CatalogueEntry(dataset, {"http://purl.org/dc/terms/title": dataset}, (FORMAT,), offers)


def _agreement(name: str, provider: str, consumer: str, role: Any, clock: Clock) -> Agreement:
    now, dataset = clock.now(), f"dataset-{name}"
    text = policy_text.agreement(name, dataset, provider, consumer, to_text(now), POLICY)
    return Agreement(name, f"negotiation-{name}", dataset, provider, consumer, text, now, role)
