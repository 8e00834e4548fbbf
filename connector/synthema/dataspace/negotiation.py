"""Contract negotiation, both parts.

The provider never signs the consumer's text: an agreement is made from the
offer in the provider's own catalogue (or from its own counter-offer), and a
request with other words is answered with an offer. The consumer verifies that
the agreement says what it asked for or accepted, names the right parties and
the right dataset, and ends the negotiation otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from synthema.clock import to_text
from synthema.dataspace import messages as m
from synthema.dataspace import policy_text, records, store
from synthema.dataspace import transitions as t
from synthema.dataspace.catalogue import Offers
from synthema.dataspace.exchange import Exchange, Send, Wait, new_process
from synthema.dataspace.model import (
    Accept,
    Agreement,
    Caller,
    Counter,
    Hold,
    OfferQuestion,
    Process,
    Refuse,
    Verdict,
)
from synthema.dataspace.ports import Contracts
from synthema.errors import InputError, NotFoundError
from synthema.ids import new_id

_PATHS = {
    t.CONTRACT_OFFER: "offers",
    t.CONTRACT_AGREEMENT: "agreement",
    t.CONTRACT_ACCEPTED: "events",
    t.CONTRACT_FINALIZED: "events",
    t.CONTRACT_VERIFICATION: "agreement/verification",
    t.CONTRACT_TERMINATION: "termination",
    t.CONTRACT_REQUEST: "request",
}
_ACTS = frozenset(
    {
        ("provider", "REQUESTED"),
        ("provider", "ACCEPTED"),
        ("provider", "VERIFIED"),
        ("consumer", "OFFERED"),
        ("consumer", "AGREED"),
    }
)


class Negotiations:
    """The flow of a contract negotiation. ``callback`` is the address below which we take messages."""

    def __init__(self, exchange: Exchange, offers: Offers, contracts: Contracts, callback: str) -> None:
        self._exchange = exchange
        self._offers = offers
        self._contracts = contracts
        self._callback = callback

    # --- first messages

    def request_received(
        self, connection: Connection, caller: Caller, message: m.ContractRequestMessage, callback: str, key: str | None
    ) -> tuple[Process, bool]:
        """A consumer opens a negotiation about one of our offers; raises :class:`NotFoundError` on any other."""
        dataset = message.offer.get("target")
        if not isinstance(dataset, str):
            raise InputError("offer.target is missing", where="offer.target", fix="name the dataset of the offer")
        self._offers.offer(caller, dataset, str(message.offer["@id"]))
        process = self._new("provider", caller.did, message.consumer_pid, callback, dataset, {})
        return self._exchange.open_received(connection, process, message, key=key)

    def offer_received(
        self, connection: Connection, caller: Caller, message: m.ContractOfferMessage, callback: str, key: str | None
    ) -> tuple[Process, bool]:
        """A provider opens a negotiation with an offer of its own accord."""
        dataset = str(message.offer["target"])
        process = self._new("consumer", caller.did, message.provider_pid, callback, dataset, {})
        return self._exchange.open_received(connection, process, message, key=key)

    def request(self, connection: Connection, peer: str, base: str, dataset: str, offer: Mapping[str, Any]) -> Process:
        """Ask a provider for a contract on its offer (wire form, from its catalogue)."""
        text = policy_text.offer_message(str(offer["@id"]), dataset, offer)
        process = self._new("consumer", peer, None, base, dataset, {"ours": text})
        message = m.ContractRequestMessage(consumer_pid=process.id, offer=text, callback_address=self._callback)
        self._exchange.open_sent(connection, process, message)
        return process

    def offer(self, connection: Connection, peer: str, base: str, dataset: str, offer: Mapping[str, Any]) -> Process:
        """Offer a contract to a consumer of our own accord."""
        text = policy_text.offer_message(str(offer["@id"]), dataset, offer)
        process = self._new("provider", peer, None, base, dataset, {})
        message = m.ContractOfferMessage(provider_pid=process.id, offer=text, callback_address=self._callback)
        self._exchange.open_sent(connection, process, message)
        return process

    # --- the flow

    def acts(self, process: Process) -> bool:
        return (process.role, process.state) in _ACTS

    def next_step(self, process: Process, *, approved: bool) -> Send | Wait | None:
        match process.role, process.state:
            case "provider", "REQUESTED":
                return self._answer_request(process, approved=approved)
            case "provider", "ACCEPTED":
                return Send(self.agreement(process))
            case "provider", "VERIFIED":
                return Send(self.event(process, "FINALIZED"))
            case "consumer", "OFFERED":
                return self._answer_offer(process, approved=approved)
            case "consumer", "AGREED":
                return self._verify(process)
            case _:
                return None

    def absorb(self, process: Process, message: str, body: Mapping[str, Any]) -> Process:
        added: dict[str, Any] = {}
        if message in (t.CONTRACT_REQUEST, t.CONTRACT_OFFER):
            offer = added["offer"] = body["offer"]
            if offer.get("target", process.subject) != process.subject:
                raise InputError(
                    "the offer is about another dataset", where="offer.target", fix="open a new negotiation"
                )
            if (message == t.CONTRACT_REQUEST) == (process.role == "consumer"):
                added["ours"] = offer
        elif message == t.CONTRACT_AGREEMENT:
            added["agreement"] = body["agreement"]
        return replace(process, details={**process.details, **added})

    def entered(self, connection: Connection, process: Process) -> None:
        if process.state != "FINALIZED":
            return
        agreement = agreement_in(process)
        store.add_agreement(connection, agreement)
        log = self._exchange.log
        log.append(connection, records.agreed(log, agreement, process.changed))
        self._contracts.on_agreement(connection, agreement)

    def path(self, process: Process, message: str) -> str:
        if process.peer_pid is None:
            return "/negotiations/request" if process.role == "consumer" else "/negotiations/offers"
        return f"/negotiations/{m.path_segment(process.peer_pid)}/{_PATHS[message]}"

    # --- the messages

    def termination(self, process: Process, code: str, reasons: tuple[str, ...]) -> m.Message:
        return m.ContractNegotiationTerminationMessage(
            provider_pid=process.provider_pid,
            consumer_pid=process.consumer_pid,
            code=code,
            reason=list(reasons) or [code],
        )

    def event(self, process: Process, event: str) -> m.Message:
        """The message that accepts an offer or finalises an agreement."""
        return m.ContractNegotiationEventMessage.model_validate(
            {"providerPid": process.provider_pid, "consumerPid": process.consumer_pid, "eventType": event}
        )

    def verification(self, process: Process) -> m.Message:
        """The message that says the agreement has been checked."""
        return m.ContractAgreementVerificationMessage(
            provider_pid=process.provider_pid, consumer_pid=process.consumer_pid
        )

    def agreement(self, process: Process) -> m.Message:
        """The agreement on the offer in force."""
        exchange = self._exchange
        text = policy_text.agreement(
            exchange.log.iri("agreement", new_id("agreement")),
            process.subject,
            exchange.did,
            process.peer,
            to_text(exchange.clock.now()),
            process.details["offer"],
        )
        return m.ContractAgreementMessage(
            provider_pid=process.provider_pid, consumer_pid=process.consumer_pid, agreement=text
        )

    def offer_message(self, process: Process, offer: Mapping[str, Any]) -> m.Message:
        """An offer of ours within a negotiation (wire form; it may be one of the catalogue's)."""
        text = policy_text.offer_message(
            str(offer.get("@id") or self._exchange.log.iri("offer", new_id("offer"))), process.subject, offer
        )
        return m.ContractOfferMessage(provider_pid=process.provider_pid, consumer_pid=process.consumer_pid, offer=text)

    def counter_request(self, process: Process, offer: Mapping[str, Any]) -> m.Message:
        """Our other words to a provider's offer."""
        identifier = str(offer.get("@id") or process.details["offer"]["@id"])
        text = policy_text.offer_message(identifier, process.subject, offer)
        return m.ContractRequestMessage(
            provider_pid=process.provider_pid, consumer_pid=process.consumer_pid, offer=text
        )

    # --- decisions

    def _answer_request(self, process: Process, *, approved: bool) -> Send | Wait:
        asked = process.details["offer"]
        try:
            ours = self._offers.offer_for(process.peer, process.subject, str(asked["@id"]), process.details.get("ours"))
        except NotFoundError:
            return self._refuse(process, ("the offer is no longer available",))
        same = policy_text.meaning(asked) == policy_text.meaning({**ours.policy, "target": process.subject})
        verdict = self._contracts.decide_offer(self._question(process, asked, ours.policy, same=same))
        match self._settle(verdict, approved=approved):
            case Accept() if same:
                return Send(self.agreement(process))
            case Accept():
                return Send(self.offer_message(process, {**ours.policy, "@id": ours.id}))
            case Counter(offer):
                return Send(self.offer_message(process, offer))
            case other:
                return self._refuse_or_wait(process, other)

    def _answer_offer(self, process: Process, *, approved: bool) -> Send | Wait:
        offered, requested = process.details["offer"], process.details.get("ours")
        same = requested is not None and policy_text.meaning(offered) == policy_text.meaning(requested)
        verdict = self._contracts.decide_offer(self._question(process, offered, requested, same=same))
        match self._settle(verdict, approved=approved):
            case Accept():
                return Send(self.event(process, "ACCEPTED"))
            case Counter(offer):
                return Send(self.counter_request(process, offer))
            case other:
                return self._refuse_or_wait(process, other)

    def _verify(self, process: Process) -> Send:
        problems = self.problems(process)
        return self._refuse(process, problems) if problems else Send(self.verification(process))

    def problems(self, process: Process) -> tuple[str, ...]:
        """What is wrong with the agreement a provider sent; empty when it is the one we stand by."""
        agreement, offer = process.details["agreement"], process.details["offer"]
        parties = {"assigner": process.peer, "assignee": self._exchange.did, "target": process.subject}
        wrong = [f"the agreement's {key} is not {value}" for key, value in parties.items() if agreement[key] != value]
        if policy_text.meaning(agreement) != policy_text.meaning(offer):
            wrong.append("the agreement says something else than the offer")
        return tuple(wrong)

    def _question(
        self, process: Process, offer: Mapping[str, Any], reference: Mapping[str, Any] | None, *, same: bool
    ) -> OfferQuestion:
        return OfferQuestion(process.id, process.role, process.peer, process.subject, offer, reference, same)

    @staticmethod
    def _settle(verdict: Verdict, *, approved: bool) -> Verdict:
        """A person's approval answers what the machine left open, and nothing else."""
        return Accept() if approved and isinstance(verdict, Hold) else verdict

    def _refuse_or_wait(self, process: Process, verdict: Verdict) -> Send | Wait:
        if isinstance(verdict, Hold):
            return Wait(verdict.reason)
        return self._refuse(process, verdict.reasons if isinstance(verdict, Refuse) else ("not acceptable",))

    def _refuse(self, process: Process, reasons: tuple[str, ...]) -> Send:
        return Send(self.termination(process, "refused", reasons))

    def _new(
        self,
        role: t.Party,
        peer: str,
        peer_pid: str | None,
        callback: str,
        dataset: str,
        details: Mapping[str, Any],
    ) -> Process:
        return new_process("negotiation", role, peer, peer_pid, callback, dataset, details, self._exchange.clock)


def agreement_in(process: Process) -> Agreement:
    """The agreement that a negotiation has reached, as a value."""
    text = process.details["agreement"]
    return Agreement(
        id=str(text["@id"]),
        negotiation=process.id,
        dataset=str(text["target"]),
        provider=str(text["assigner"]),
        consumer=str(text["assignee"]),
        policy=text,
        agreed=policy_text.moment(str(text["timestamp"])) if "timestamp" in text else process.changed,
        role=process.role,
    )
