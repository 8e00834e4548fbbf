"""How a hub finds sites in the catalogues of its partners, and orders them to take part in a study's rounds.

An order is a transfer of the format ``Synthema-Compute`` under the agreement with the site, with the study's plan
as its parameters. It is asked for once: after a restart the transfer that was begun is the one that counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from synthema.dataspace import COMPUTE, Dataspace, PeerClient, Process
from synthema.errors import InputError, NotFoundError, PeerError, SynthemaError
from synthema.federation import PlanMember, StudyPlan
from synthema.federation.form import CatalogueQuery, SiteChoice

ANSWER_SECONDS: Final = 60.0
PERMITTED: Final = ("STARTED", "COMPLETED")


class Orders:
    """Orders of one hub."""

    def __init__(self, dataspace: Dataspace, peers: PeerClient) -> None:
        self._dataspace = dataspace
        self._peers = peers

    def place(self, plan: StudyPlan, sites: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Order these members to compute and wait for their answers; site → effect, sentences and transfer.

        The effect is ``permit``, ``deny`` or ``silent``: a silent site may still permit later, and then comes late.
        """
        begun: dict[str, Process | SynthemaError] = {}
        for member in plan.members:
            if member.did in sites:
                try:
                    begun[member.did] = self._transfer(plan, member)
                except SynthemaError as error:
                    begun[member.did] = error
        end = time.monotonic() + ANSWER_SECONDS
        return {site: self._answer(order, end) for site, order in begun.items()}

    def withdraw(self, plan: StudyPlan, reason: str) -> None:
        """End the orders of a study that have not ended: the sites stop what they began."""
        for order in self._dataspace.processes("transfer"):
            if _ordered(order) == plan.id and not order.ended:
                with suppress(SynthemaError):  # it ends by itself meanwhile
                    self._dataspace.terminate("transfer", order.id, (reason[:500],))

    def sites_for(self, query: CatalogueQuery) -> tuple[SiteChoice, ...]:
        """The sites that offer one dataset to compute on which the query fits.

        Raises :class:`NotFoundError` where there is none, :class:`InputError` where a site offers several.
        """
        found: list[SiteChoice] = []
        for partner in sorted(self._peers.partners(), key=lambda peer: peer.did):
            if partner.role != "site" or (query.sites and partner.did not in query.sites):
                continue
            try:
                fitting = [each for each in self._dataspace.catalogue_of(partner.did) if _fits(each, query)]
            except PeerError:
                continue  # its catalogue cannot be read now: it is not asked
            if len(fitting) > 1:
                names = ", ".join(str(each["@id"]) for each in fitting)
                raise InputError(f"{partner.did} offers several datasets that fit: {names}", fix="ask for more words")
            found += [SiteChoice(did=partner.did, dataset=str(each["@id"]).rpartition("/")[2]) for each in fitting]
        if not found:
            raise NotFoundError("no partner offers such a dataset", fix="see what they offer: synthema offer browse")
        return tuple(found)

    def _transfer(self, plan: StudyPlan, member: PlanMember) -> Process:
        """The transfer that orders this study of a site: the one there is, or a new one."""
        for known in self._dataspace.processes("transfer"):
            if known.subject == member.agreement and _ordered(known) == plan.id:
                return known
        agreement = self._dataspace.agreement(member.agreement)
        order = {"title": plan.title, "plan": plan.model_dump(mode="json")}
        return self._dataspace.request_transfer(agreement, COMPUTE, order)

    def _answer(self, order: Process | SynthemaError, end: float) -> dict[str, Any]:
        if isinstance(order, SynthemaError):
            return {"effect": "silent", "sentences": [order.message]}
        try:
            seen = self._dataspace.wait(
                "transfer", order.id, max(end - time.monotonic(), 0.0), lambda p: p.ended or p.state in PERMITTED
            )
        except SynthemaError as error:
            return {"effect": "silent", "sentences": [error.message], "transfer": order.id}
        effect = "permit" if seen.state in PERMITTED else "deny"
        return {"effect": effect, "sentences": list(seen.reasons), "transfer": order.id}


def _ordered(transfer: Process) -> str | None:
    """The study that a transfer orders, if it does."""
    plan = (transfer.details.get("parameters") or {}).get("plan") or {}
    identifier: str | None = plan.get("id")
    return identifier


def _fits(dataset: Mapping[str, Any], query: CatalogueQuery) -> bool:
    """Whether a dataset can be computed on, and its record holds all words of a query."""
    formats = {each.get("format") for each in dataset.get("distribution", []) if isinstance(each, dict)}
    record = {key: value for key, value in dataset.items() if key not in ("hasPolicy", "distribution")}
    text = " ".join(_texts(record)).casefold()
    return COMPUTE in formats and all(word.casefold() in text for word in query.words)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a record."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
