"""What a connector does by itself from time to time: sign and witness heads, expire permits, watch over duties."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from synthema.assembly.duties import StandingDuties
from synthema.assembly.trust import Trust
from synthema.dataspace import PeerClient
from synthema.errors import SynthemaError
from synthema.identity import DidResolver
from synthema.identity.parties import Parties
from synthema.permits import PermitStore
from synthema.provenance import COSIGNATURE, Answer, ProvenanceLog, VerifierKey, witness_name
from synthema.provenance.witnessing import obtain_cosignature
from synthema.runs.governor import Governor

SECONDS = 60.0
_logger = logging.getLogger(__name__)


class Housekeeping:
    """A thread that wakes once a minute; each task may fail without keeping the others from being done."""

    def __init__(
        self,
        parties: Parties,
        log: ProvenanceLog,
        permits: PermitStore,
        governor: Governor,
        trust: Trust,
        peers: PeerClient,
        resolver: DidResolver,
        duties: StandingDuties,
    ) -> None:
        self._parties = parties
        self._log = log
        self._permits = permits
        self._governor = governor
        self._trust = trust
        self._peers = peers
        self._resolver = resolver
        self._duties = duties
        self._more: list[Callable[[], object]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._keep_house, name="housekeeping", daemon=True)

    def also(self, task: Callable[[], object]) -> None:
        """Do this too, each time."""
        self._more.append(task)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the task at hand."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def witness(self) -> dict[str, datetime]:
        """Have every peer cosign the present head of the log; returns did → time at which the peer saw it.

        Raises :class:`IntegrityError` when a peer has seen another history than ours.
        """
        return {peer.did: self._witnessed_by(peer.did, peer.url) for peer in tuple(self._parties.values())}

    def _witnessed_by(self, did: str, url: str) -> datetime:
        key = VerifierKey(witness_name(url), self._resolver.verification_key(f"{did}#witness"), COSIGNATURE)

        def send(request: bytes) -> Answer:
            return Answer(*self._peers.post_text(did, "/witness/add-checkpoint", request))

        return obtain_cosignature(self._log, key, send)

    def _keep_house(self) -> None:
        while not self._ending.wait(SECONDS):
            expiring = (self._permits.expire_due, self._governor.expire_due)
            for task in (
                self._log.checkpoint,
                *expiring,
                self._duties.watch,
                *self._more,
                self._trust.keep_registry,
                self.witness_quietly,
            ):
                try:
                    task()
                except SynthemaError as error:
                    _logger.warning("housekeeping: %s", error.message)

    def witness_quietly(self) -> None:
        """Have every peer that answers cosign the present head of the log."""
        for peer in tuple(self._parties.values()):
            try:
                self._witnessed_by(peer.did, peer.url)
            except SynthemaError as error:
                _logger.warning("housekeeping: %s did not witness our log: %s", peer.name, error.message)
