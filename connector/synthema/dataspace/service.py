"""The data-space side of a connector: one object that the web, the hub and the commands talk to."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from synthema.clock import Clock
from synthema.config import Settings
from synthema.dataspace import messages as m
from synthema.dataspace import records, store
from synthema.dataspace.catalogue import Offers
from synthema.dataspace.dataplane import ArtefactPlane, DataFlowStatusMessage, DataPlane, HandOver, Planes, Signaller
from synthema.dataspace.dataplane.fetching import Progress, Wanted, fetch
from synthema.dataspace.dataplane.handing_out import HandingOut
from synthema.dataspace.exchange import Exchange
from synthema.dataspace.model import COMPUTE, PULL, Agreement, Caller, Json, Process
from synthema.dataspace.negotiation import Negotiations
from synthema.dataspace.peer import PeerClient
from synthema.dataspace.ports import Artefacts, Catalogue, CautiousContracts, Contracts, Log, NoArtefacts
from synthema.dataspace.ports import PendingGuard as Guard
from synthema.dataspace.reconciler import Pace, Reconciler
from synthema.dataspace.transfer import Transfers
from synthema.dataspace.transitions import Kind
from synthema.errors import ConflictError, DeniedError, InputError, NotFoundError, PeerError, SynthemaError
from synthema.storage import Database

ARTEFACTS = "/artefacts"
MAX_ARTEFACT_BYTES = 1024**3
SETTLING_SECONDS = 0.5


@dataclass(frozen=True)
class Ports:
    """What other rooms bring in; the defaults agree to nothing new and hand out nothing."""

    catalogue: Catalogue
    contracts: Contracts = field(default_factory=CautiousContracts)
    artefacts: Artefacts = field(default_factory=NoArtefacts)
    planes: Sequence[DataPlane] = ()
    guard: Guard | None = None


class Dataspace:
    """Catalogue, negotiations and transfers of one connector, in both parts.

    :meth:`start` begins the work that waits; :meth:`stop` ends it. Everything
    that a peer asks comes in through the methods named ``…_received``.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        log: Log,
        peers: PeerClient,
        clock: Clock,
        ports: Ports,
        pace: Pace | None = None,
    ) -> None:
        self.did = settings.did
        self.peers = peers
        self._database = database
        self._log = log
        self._clock = clock
        self._bases: dict[str, str] = {}
        callback = settings.public_url + m.BASE
        exchange = Exchange(log, clock, settings.did, guarded=ports.guard is not None)
        self.offers = Offers(ports.catalogue, settings.public_url, settings.did, settings.name, self.caller_of)
        self._negotiations = Negotiations(exchange, self.offers, ports.contracts, callback)
        pull = ArtefactPlane(database, clock, settings.public_url + ARTEFACTS)
        self._planes = Planes(database, log, clock, settings.did, (pull, *ports.planes))
        self._signaller = Signaller(self._planes)
        self._handing_out = HandingOut(database, exchange, ports.artefacts)
        self._transfers = Transfers(exchange, self._planes, ports.contracts, callback)
        exchange.flows = {"negotiation": self._negotiations, "transfer": self._transfers}
        self._exchange = exchange
        self.reconciler = Reconciler(database, exchange, peers, clock, ports.guard, pace)
        self._commits = _Commits(database)
        self._planes.attach(self)

    def start(self) -> None:
        """Take up the work that waits."""
        self.reconciler.start()
        self._signaller.start()

    def stop(self) -> None:
        """Stop working; what waits is kept."""
        self.reconciler.stop()
        self._signaller.stop()

    def caller_of(self, did: str) -> Caller:
        """The registered peer with this did, as a caller."""
        peer = self.peers.peer(did)
        return Caller(peer.did, peer.name, peer.role)

    # --- what peers ask (public protocol)

    def contract_request_received(
        self, caller: Caller, message: m.ContractRequestMessage, key: str | None = None
    ) -> tuple[Process, bool]:
        """A consumer opens a negotiation; False when this is a repetition."""
        callback = self._callback_of(caller, message.callback_address)
        return self._database.write(lambda c: self._negotiations.request_received(c, caller, message, callback, key))

    def contract_offer_received(
        self, caller: Caller, message: m.ContractOfferMessage, key: str | None = None
    ) -> tuple[Process, bool]:
        """A provider opens a negotiation; False when this is a repetition."""
        callback = self._callback_of(caller, message.callback_address)
        return self._database.write(lambda c: self._negotiations.offer_received(c, caller, message, callback, key))

    def transfer_request_received(
        self, caller: Caller, message: m.TransferRequestMessage, key: str | None = None
    ) -> tuple[Process, bool]:
        """A consumer asks for a transfer; False when this is a repetition."""
        callback = self._callback_of(caller, message.callback_address)
        return self._database.write(lambda c: self._transfers.request_received(c, caller, message, callback, key))

    def message_received(
        self, kind: Kind, caller: Caller, identifier: str, message: m.Message, key: str | None = None
    ) -> Process:
        """Any later message of a counterparty about one of our processes."""
        return self._database.write(lambda c: self._exchange.receive(c, kind, caller, identifier, message, key=key))

    def process_seen_by(self, kind: Kind, caller: Caller, identifier: str) -> Process:
        """A process as its counterparty may see it; raises :class:`NotFoundError` for anybody else.

        Who asks right after a message of ours would be told a state that it has
        just ended: its answer to that message is awaited for a moment.
        """
        deadline = time.monotonic() + SETTLING_SECONDS
        while True:
            seen = self._commits.number
            with self._database.read() as connection:
                process = self._exchange.of_caller(connection, kind, caller, identifier)
                ours = store.sending(connection, process.id)
            left = deadline - time.monotonic()
            if ours is None or not ours.in_the_air or left <= 0:
                break
            self._commits.wait(seen, left)
        if process.state is None:
            raise store.unknown(kind)
        return process

    def artefact_asked(self, caller: Caller, token: str, artefact_id: str) -> HandOver:
        """An artefact for the consumer of a started transfer; raises :class:`NotFoundError` for anybody else."""
        return self._handing_out.open(caller, token, artefact_id)

    # --- what data planes say

    def flow_started(self, status: DataFlowStatusMessage) -> None:
        """A data plane has started what it was still starting: the counterparty is told, with the address."""

        def tell(connection: Connection, process: Process) -> None:
            self._planes.reached(connection, process.id, status.state, status.error)
            self._exchange.send(connection, process, self._transfers.started(process, status.data_address))

        self._command("transfer", status.data_flow_id, tell)

    def flow_prepared(self, status: DataFlowStatusMessage) -> None:
        """A consumer's data plane has got ready for what it was still preparing."""
        self._database.write(lambda c: self._planes.reached(c, status.data_flow_id, status.state, status.error))

    def flow_completed(self, flow: str) -> None:
        """A data plane has got everything across; one that says so twice changes nothing."""

        def complete(connection: Connection, process: Process) -> None:
            if not process.ended:
                self._exchange.send(connection, process, self._transfers.completion(process))

        self._command("transfer", flow, complete)

    def flow_errored(self, flow: str, reason: str) -> None:
        """A data plane cannot go on: the transfer ends, and the counterparty is told why."""

        def end(connection: Connection, process: Process) -> None:
            if not process.ended and not store.waits_to_end(connection, process.id):
                self._exchange.end(connection, process, "errored", (reason,))

        self._command("transfer", flow, end)

    def basis_ended(self, connection: Connection, agreement: str, state: str) -> None:
        """An agreement does not count any more: end its transfers, within the transaction that ended it."""
        reason = f"the agreement it rests on has ended ({state})"
        for process in store.transfers_under(connection, agreement):
            if not process.ended and not store.waits_to_end(connection, process.id):
                self._exchange.end(connection, process, "agreement-ended", (reason,))

    # --- what our own people and rooms ask

    def process(self, kind: Kind, identifier: str) -> Process:
        """A process by our identifier."""
        with self._database.read() as connection:
            return store.process(connection, kind, identifier)

    def processes(self, kind: Kind, *, pending: bool | None = None) -> tuple[Process, ...]:
        """All processes of a kind, newest first."""
        with self._database.read() as connection:
            return store.list_processes(connection, kind, pending=pending)

    def agreement(self, identifier: str) -> Agreement:
        """A final agreement by its IRI."""
        with self._database.read() as connection:
            return store.agreement(connection, identifier)

    def agreements(self) -> tuple[Agreement, ...]:
        """All final agreements, newest first."""
        with self._database.read() as connection:
            return store.list_agreements(connection)

    def timeline(self, identifier: str) -> tuple[dict[str, Any], ...]:
        """The messages of a process in order: direction, message, state after it, time."""
        with self._database.read() as connection:
            return store.timeline(connection, identifier)

    def approve(self, kind: Kind, identifier: str, person: str) -> None:
        """Let a held process go on; ``person`` is the IRI of a role account."""
        self._command(kind, identifier, lambda c, process: self._exchange.approve(c, process, person))

    def terminate(self, kind: Kind, identifier: str, reasons: tuple[str, ...]) -> None:
        """End a process and tell the counterparty."""

        def end(connection: Connection, process: Process) -> None:
            if process.ended:
                raise ConflictError(f"this {kind} has ended", fix="look at its state")
            self._exchange.end(connection, process, "ended", reasons)

        self._command(kind, identifier, end)

    def suspend(self, identifier: str, reasons: tuple[str, ...] = ()) -> None:
        """Stop a transfer for now."""
        self._command(
            "transfer", identifier, lambda c, p: self._exchange.send(c, p, self._transfers.suspension(p, reasons))
        )

    def complete(self, identifier: str) -> None:
        """Say that a transfer is done."""
        self._command("transfer", identifier, lambda c, p: self._exchange.send(c, p, self._transfers.completion(p)))

    def resume(self, identifier: str) -> None:
        """Start a suspended transfer again (or, as provider, one that was held); a data plane is asked first."""
        process = self.process("transfer", identifier)
        process.machine.advance(process.state, "TransferStartMessage", process.role)
        start = self._transfers.start(process)

        def again(connection: Connection, process: Process) -> None:
            if start is not None:
                self._exchange.send(connection, process, start.message)
                if start.also is not None:
                    start.also(connection)

        self._command("transfer", identifier, again)

    def offer(self, identifier: str, policy: Mapping[str, Json]) -> None:
        """As provider, answer a request with an offer (wire form)."""
        self._speak(identifier, lambda p: self._negotiations.offer_message(p, policy))

    def counter(self, identifier: str, policy: Mapping[str, Json]) -> None:
        """As consumer, answer an offer with other words (wire form)."""
        self._speak(identifier, lambda p: self._negotiations.counter_request(p, policy))

    def accept(self, identifier: str) -> None:
        """As consumer, accept the offer on the table."""
        self._speak(identifier, lambda p: self._negotiations.event(p, "ACCEPTED"))

    def agree(self, identifier: str) -> None:
        """As provider, make the agreement on the offer in force."""
        self._speak(identifier, self._negotiations.agreement)

    def verify(self, identifier: str) -> None:
        """As consumer, say that the agreement has been checked."""
        self._speak(identifier, self._negotiations.verification)

    def finalise(self, identifier: str) -> None:
        """As provider, make the agreement final."""
        self._speak(identifier, lambda p: self._negotiations.event(p, "FINALIZED"))

    # --- consumer verbs

    def base_of(self, peer: str) -> str:
        """The path of a peer's protocol endpoint, from its version document."""
        if peer not in self._bases:
            document = self.peers.get(peer, "/.well-known/dspace-version")
            versions = document.get("protocolVersions") if isinstance(document, dict) else None
            for version in versions if isinstance(versions, list) else []:
                if (
                    isinstance(version, dict)
                    and version.get("version") == m.VERSION
                    and version.get("binding") == "HTTPS"
                ):
                    path = str(version.get("path", ""))
                    self._bases[peer] = "" if path == "/" else path.rstrip("/")
                    break
            else:
                raise PeerError(f"{peer} does not speak version {m.VERSION}", fix="ask its operator for an update")
        return self._bases[peer]

    def catalogue_of(self, peer: str) -> tuple[Json, ...]:
        """All datasets that a peer shows us, through all pages."""
        path: str | None = f"{self.base_of(peer)}/catalog/request"
        request = m.CatalogRequestMessage().wire()
        datasets: list[Json] = []
        for _ in range(1000):
            if path is None:
                return tuple(datasets)
            page, path = self.peers.post_page(peer, path, request)
            found = page.get("dataset", []) if isinstance(page, dict) else []
            datasets.extend(item for item in found if isinstance(item, dict))
        raise PeerError(f"the catalogue of {peer} has no end", fix="ask its operator")

    def dataset_of(self, peer: str, dataset: str) -> Json:
        """One dataset of a peer, as its catalogue shows it."""
        return self.peers.get(peer, f"{self.base_of(peer)}/catalog/datasets/{m.path_segment(dataset)}")

    def request_contract(self, peer: str, dataset: str, offer: Mapping[str, Json] | None = None) -> Process:
        """Open a negotiation on an offer of the peer's catalogue (default: its only offer); returns at once."""
        chosen = self._only_offer(peer, dataset) if offer is None else offer
        base = self.base_of(peer)
        return self._database.write(lambda c: self._negotiations.request(c, peer, base, dataset, chosen))

    def offer_contract(self, peer: str, dataset: str, offer: Mapping[str, Json]) -> Process:
        """As provider, open a negotiation with an offer of our own accord; returns at once."""
        base = self.base_of(peer)
        return self._database.write(lambda c: self._negotiations.offer(c, peer, base, dataset, offer))

    def negotiate(self, peer: str, dataset: str, timeout: float, offer: Mapping[str, Json] | None = None) -> Agreement:
        """Come to an agreement with a peer, waiting at most ``timeout`` seconds.

        Raises :class:`DeniedError` with the peer's reasons when it ends without
        one, :class:`ConflictError` when it waits for a person, and
        :class:`PeerError` when time runs out (it then goes on by itself).
        """
        process = self.request_contract(peer, dataset, offer)
        ended = self.wait("negotiation", process.id, timeout, lambda p: p.ended)
        if ended.state != "FINALIZED":
            raise _refused("the negotiation", ended)
        with self._database.read() as connection:
            agreement = store.agreement_of(connection, process.id)
        if agreement is None:
            raise NotFoundError("the agreement is missing", fix="run: synthema doctor")
        return agreement

    def request_transfer(
        self, agreement: Agreement, format_: str = PULL, parameters: Mapping[str, Json] | None = None
    ) -> Process:
        """Ask for a transfer under an agreement; returns at once. A data plane of ours for the format gets ready."""
        process = self._transfers.draft(agreement, self.base_of(agreement.provider), format_, parameters)
        self._planes.prepare(process, agreement)
        return self._database.write(lambda c: self._transfers.request(c, process))

    def request_compute(self, agreement: Agreement, parameters: Mapping[str, Json], timeout: float) -> Process:
        """Ask for a computation at the provider and wait until it is taken on; errors as :meth:`negotiate`."""
        process = self.request_transfer(agreement, COMPUTE, parameters)
        started = self.wait("transfer", process.id, timeout, lambda p: p.ended or p.state == "STARTED")
        if started.state == "TERMINATED":
            raise _refused("the computation", started)
        return started

    def pull(
        self,
        peer: str,
        agreement: Agreement,
        artefact: str,
        *,
        timeout: float = 60.0,
        max_bytes: int = MAX_ARTEFACT_BYTES,
        expected_digest: str | None = None,
    ) -> bytes:
        """The bytes of an artefact under an agreement, for those that fit into memory; else as :meth:`fetch`."""
        if agreement.provider != peer:
            raise ConflictError("the agreement is with another provider", fix=f"pull from {agreement.provider}")
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "artefact"
            wanted = Wanted(artefact, max_bytes, expected_digest)
            self.fetch(agreement, wanted, target, timeout=timeout)
            return target.read_bytes()

    def fetch(
        self,
        agreement: Agreement,
        wanted: Wanted,
        target: Path,
        *,
        timeout: float = 60.0,
        progress: Progress | None = None,
    ) -> str:
        """Fetch an artefact under an agreement into a file, by a transfer of its own; returns its digest.

        What an interrupted attempt has fetched into the same place is gone on with. Raises :class:`IntegrityError`
        when the bytes are not those of the provider's digest, or of one known from elsewhere (a certificate, say),
        and the errors of :meth:`negotiate`.
        """
        process = self.request_transfer(agreement)
        started = self.wait("transfer", process.id, timeout, lambda p: p.ended or p.state == "STARTED")
        if started.state != "STARTED":
            raise _refused("the transfer", started)
        with self._ending_on_failure(started):
            digest = fetch(self.peers, started, wanted, target, progress)
        now = self._clock.now()
        activity = records.moved(self._log, started, wanted.artefact, digest, received=True, at=now)
        self._database.write(lambda connection: self._log.append(connection, activity))
        self.complete(started.id)
        return digest

    def wait(self, kind: Kind, identifier: str, timeout: float, until: Callable[[Process], bool]) -> Process:
        """Wait for a process to come into a state; errors as :meth:`negotiate`."""
        deadline = time.monotonic() + timeout
        while True:
            seen = self._commits.number
            process = self.process(kind, identifier)
            if until(process):
                return process
            if process.pending:
                raise ConflictError(
                    f"the {kind} waits for a person: {'; '.join(process.reasons)}", fix="approve or terminate it"
                )
            left = deadline - time.monotonic()
            if left <= 0:
                raise PeerError(
                    f"the {kind} is still {process.state or 'being requested'} after {timeout:g} seconds",
                    fix="it goes on by itself: look at it later, or terminate it",
                    where=identifier,
                )
            self._commits.wait(seen, left)

    # --- inside

    @contextmanager
    def _ending_on_failure(self, process: Process) -> Iterator[None]:
        """A transfer whose fetching failed is ended, unless the provider has ended it already."""
        try:
            yield
        except SynthemaError as error:
            with suppress(ConflictError):
                self.terminate("transfer", process.id, (error.message,))
            raise

    def _only_offer(self, peer: str, dataset: str) -> Json:
        described = self.dataset_of(peer, dataset)
        offers = described.get("hasPolicy") if isinstance(described, dict) else None
        if not isinstance(offers, list) or not offers or not isinstance(offers[0], dict):
            raise PeerError(f"{peer} offers no contract for {dataset}", fix="ask its operator")
        if len(offers) > 1:
            raise ConflictError(f"{dataset} comes with {len(offers)} offers", fix="choose one of them")
        return offers[0]

    def _callback_of(self, caller: Caller, address: str | None) -> str:
        """The path of a callback address, which must lie on the caller's registered origin."""
        if address is None:
            raise InputError("callbackAddress is missing", where="callbackAddress", fix="name where answers are taken")
        try:
            return self.peers.path_of(caller.did, address).rstrip("/")
        except PeerError as error:
            raise InputError(error.message, where="callbackAddress", fix=error.fix) from error

    def _speak(self, identifier: str, message: Callable[[Process], m.Message]) -> None:
        self._command("negotiation", identifier, lambda c, p: self._exchange.send(c, p, message(p)))

    def _command(self, kind: Kind, identifier: str, act: Callable[[Connection, Process], None]) -> None:
        def work(connection: Connection) -> None:
            act(connection, store.process(connection, kind, identifier))

        self._database.write(work)


class _Commits:
    """Counts commits, so that nobody who waits for one misses it."""

    def __init__(self, database: Database) -> None:
        self.number = 0
        self._changed = threading.Condition()
        database.on_commit(self._count)

    def wait(self, seen: int, seconds: float) -> None:
        """Return when there was a commit after the number that was seen, or after some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self.number > seen, seconds)

    def _count(self) -> None:
        with self._changed:
            self.number += 1
            self._changed.notify_all()


def _refused(what: str, process: Process) -> DeniedError:
    reasons = "; ".join(process.reasons) or "no reason was given"
    return DeniedError(f"{what} ended without success: {reasons}", fix="talk to the provider about these reasons")
