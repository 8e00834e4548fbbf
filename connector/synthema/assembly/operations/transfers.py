"""Operations on what is exchanged with partners: offers to look at, agreements, transfers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import Field

from synthema.assembly.computing import read_order
from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.clock import to_text
from synthema.config import Peer
from synthema.dataspace import COMPUTE, Agreement, Process
from synthema.dataspace import store as dataspace_store
from synthema.dataspace.dataplane import store as flow_store
from synthema.dataspace.policy_wire import from_wire
from synthema.errors import ConflictError, NotFoundError, PeerError, SynthemaError
from synthema.permits import Agreement as KeptAgreement
from synthema.policy import explain_policy, from_odrl
from synthema.provenance import Agent

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from synthema.assembly.connector import Connector

NEGOTIATION_SECONDS = 60.0
START_SECONDS = 60.0
_TITLE = "http://purl.org/dc/terms/title"

# offers of partners ----------------------------------------------------------------------


class OnePartner(Input):
    """A partner, by its did, its address or its name."""

    partner: str


@operation("offer/browse")
def browse_offers(connector: Connector, given: OnePartner) -> list[dict[str, Any]]:
    """The datasets a partner offers this connector: what they are, in which formats, and under which terms."""
    partner = _partner(connector, given.partner)
    return [_dataset_json(connector, partner, found) for found in connector.dataspace.catalogue_of(partner.did)]


def _dataset_json(connector: Connector, partner: Peer, found: Mapping[str, Any]) -> dict[str, Any]:
    # In a catalogue an offer is about the dataset it stands with, and does not say so itself.
    offers = [{**offer, "target": found["@id"]} for offer in found.get("hasPolicy", []) if isinstance(offer, dict)]
    return {
        "partner": partner.did,
        "dataset": found["@id"],
        "title": _text(found.get(_TITLE)),
        "formats": sorted({str(each.get("format")) for each in found.get("distribution", [])}),
        "offers": [{"offer": offer.get("@id"), "sentences": sentences_of(connector, offer)} for offer in offers],
    }


def sentences_of(connector: Connector, offer: Mapping[str, Any]) -> list[str]:
    """What an offer or agreement says, as far as this house has words for it."""
    try:
        policy = from_odrl(from_wire({"target": "urn:dataset:of-this-offer", **offer}), connector.vocabulary)
        return list(explain_policy(policy, connector.vocabulary))
    except SynthemaError as error:
        return [f"This offer is not understood in full here, and would permit nothing: {error.message}"]


def _text(value: Any) -> str:
    if isinstance(value, list):
        return _text(value[0]) if value else ""
    return str(value.get("@value", "")) if isinstance(value, dict) else str(value or "")


# agreements ------------------------------------------------------------------------------


class Negotiate(OnePartner):
    """Which dataset of which partner; the offer by its identifier where there are several."""

    dataset: str
    offer: str | None = None
    seconds: float = Field(default=NEGOTIATION_SECONDS, gt=0, le=600)


@operation("agreement/negotiate")
def negotiate(connector: Connector, given: Negotiate) -> dict[str, Any]:
    """Come to an agreement with a partner on its offer, word for word."""
    partner = _partner(connector, given.partner)
    offer = None if given.offer is None else _offer(connector, partner, given.dataset, given.offer)
    agreement = connector.dataspace.negotiate(partner.did, given.dataset, given.seconds, offer)
    return _agreement_json(connector, agreement)


def _offer(connector: Connector, partner: Peer, dataset: str, identifier: str) -> Mapping[str, Any]:
    for found in connector.dataspace.dataset_of(partner.did, dataset).get("hasPolicy", []):
        if isinstance(found, dict) and found.get("@id") == identifier:
            return found
    raise NotFoundError("the partner makes no such offer", fix="see its offers with: synthema offer browse")


class OneAgreement(Input):
    """An agreement by its identifier."""

    agreement: str


@operation("agreement/list")
def list_agreements(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The agreements with partners, newest first: about what, in which part, and whether they are in force."""
    return [_agreement_json(connector, agreement) for agreement in connector.dataspace.agreements()]


@operation("agreement/show")
def show_agreement(connector: Connector, given: OneAgreement) -> dict[str, Any]:
    """An agreement in sentences, with its transfers."""
    agreement = connector.dataspace.agreement(given.agreement)
    with connector.database.read() as connection:
        transfers = dataspace_store.transfers_under(connection, agreement.id)
    return _agreement_json(connector, agreement) | {
        "sentences": sentences_of(connector, agreement.policy),
        "policy": dict(agreement.policy),
        "transfers": [_transfer_json(connector, process) for process in transfers],
    }


class EndAgreement(OneAgreement):
    """Which agreement ends, why, and by whom."""

    reason: str = Field(min_length=3)
    person: str | None = Field(default=None, description="role account of the person who ends it")


@operation("agreement/end")
def end_agreement(connector: Connector, given: EndAgreement) -> dict[str, Any]:
    """End an agreement from now on: its policy goes out of force, its transfers and computations end at once."""
    agreement = connector.dataspace.agreement(given.agreement)
    by = None if given.person is None else Agent(connector.log.iri("person", given.person), "Person")

    def end(connection: Connection) -> KeptAgreement:
        connector.policies.end_agreement(connection, agreement.id)
        return connector.permits.terminate_agreement(connection, agreement.id, given.reason, by=by)

    connector.database.write(end)
    return _agreement_json(connector, agreement)


def _agreement_json(connector: Connector, agreement: Agreement) -> dict[str, Any]:
    now = connector.clock.now()
    try:
        until = connector.permits.agreement(agreement.id).valid_to
    except NotFoundError:
        until = None
    return {
        "agreement": agreement.id,
        "role": agreement.role,
        "partner": agreement.peer,
        "dataset": agreement.dataset,
        "agreed": to_text(agreement.agreed),
        "until": None if until is None else to_text(until),
        "ended": connector.permits.ended(agreement.id, now),
        "digest": agreement.digest,
    }


# transfers -------------------------------------------------------------------------------


class OneTransfer(Input):
    """A transfer by its identifier here."""

    transfer: str


class StopTransfer(OneTransfer):
    """A transfer, and why it stops; the partner reads the reason."""

    reason: str = Field(min_length=3)


@operation("transfer/list")
def list_transfers(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The transfers with partners, newest first."""
    return [_transfer_json(connector, process) for process in connector.dataspace.processes("transfer")]


@operation("transfer/show")
def show_transfer(connector: Connector, given: OneTransfer) -> dict[str, Any]:
    """One transfer: its state, its messages, and for a computation what became of it."""
    process = connector.dataspace.process("transfer", given.transfer)
    messages = connector.dataspace.timeline(process.id)
    told = {"messages": [{**message, "at": to_text(message["at"])} for message in messages]}
    return _transfer_json(connector, process) | told | {"computation": _computation(connector, process)}


@operation("transfer/suspend")
def suspend_transfer(connector: Connector, given: StopTransfer) -> dict[str, Any]:
    """Stop a transfer for now: no byte more, and a computation under way ends."""
    connector.dataspace.suspend(given.transfer, (given.reason,))
    return _transfer_json(connector, connector.dataspace.process("transfer", given.transfer))


@operation("transfer/resume")
def resume_transfer(connector: Connector, given: OneTransfer) -> dict[str, Any]:
    """Let a suspended transfer go on; a computation is asked of the policies anew."""
    connector.dataspace.resume(given.transfer)
    return _transfer_json(connector, connector.dataspace.process("transfer", given.transfer))


@operation("transfer/end")
def end_transfer(connector: Connector, given: StopTransfer) -> dict[str, Any]:
    """End a transfer for good."""
    connector.dataspace.terminate("transfer", given.transfer, (given.reason,))
    return _transfer_json(connector, connector.dataspace.process("transfer", given.transfer))


class FetchArtefact(OneAgreement):
    """What to fetch under an agreement: the artefact it is about, or a result that was ordered under it."""

    artefact: str | None = Field(default=None, description="digest of the artefact; the agreement's own if left out")
    digest: str | None = Field(default=None, description="digest known from elsewhere, e.g. from a certificate")


@operation("transfer/fetch")
def fetch_artefact(connector: Connector, given: FetchArtefact) -> dict[str, Any]:
    """Begin to fetch an artefact, or go on with what an interrupted download has left."""
    agreement = connector.dataspace.agreement(given.agreement)
    if agreement.role != "consumer":
        raise ConflictError("this connector provides under that agreement", fix="let the partner fetch")
    return connector.flows.fetches.begin(agreement, given.artefact, given.digest).as_dict()


class OneFetch(Input):
    """A download by its identifier."""

    fetch: str


@operation("transfer/progress")
def show_progress(connector: Connector, given: OneFetch) -> dict[str, Any]:
    """How far a download has come, and where its bytes lie once all are there."""
    return connector.flows.fetches.find(given.fetch).as_dict()


class Compute(OneAgreement):
    """A named study to be run at the provider of an agreement."""

    order: dict[str, Any]


@operation("transfer/compute")
def order_computation(connector: Connector, given: Compute) -> dict[str, Any]:
    """Order a named study under an agreement; the provider's policies decide, and the answer says how."""
    read_order(given.order)
    agreement = connector.dataspace.agreement(given.agreement)
    process = connector.dataspace.request_compute(agreement, given.order, START_SECONDS)
    return _transfer_json(connector, process)


def _transfer_json(connector: Connector, process: Process) -> dict[str, Any]:
    with connector.database.read() as connection:
        flow = flow_store.find(connection, process.id)
    return {
        "transfer": process.id,
        "role": process.role,
        "partner": process.peer,
        "agreement": process.subject,
        "format": process.details.get("format"),
        "state": process.state or "REQUESTING",
        "pending": process.pending,
        "reasons": list(process.reasons),
        "flow": None if flow is None else str(flow.state),
        "problem": None if flow is None else flow.problem,
        "changed": to_text(process.changed),
    }


def _computation(connector: Connector, process: Process) -> dict[str, Any] | None:
    """What became of a computation: from our own book where it runs here, else asked of the provider."""
    if process.details.get("format") != COMPUTE or process.peer_pid is None:
        return None
    if process.role == "provider":
        with suppress(NotFoundError):
            return connector.flows.computing.shown_to(process.peer, process.id)
        return None
    try:
        found: dict[str, Any] = connector.peers.get(process.peer, f"/computations/{process.peer_pid}")
    except PeerError:
        return None
    return found


def _partner(connector: Connector, text: str) -> Peer:
    """A registered peer by did, address or name; raises :class:`NotFoundError`."""
    wanted = text.strip().rstrip("/")
    for peer in connector.parties.values():
        if wanted in (peer.did, peer.url) or wanted.casefold() == peer.name.casefold():
            return peer
    names = ", ".join(peer.name for peer in connector.parties.values()) or "none"
    raise NotFoundError(f"'{wanted[:80]}' is no partner of this connector", fix=f"name one of them: {names}")
