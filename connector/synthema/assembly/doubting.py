"""Post-release gates that fail reach the certificates that rest on them, without anybody asking."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from synthema.assembly.asking import ask
from synthema.assembly.trust import DOUBTS_PATH
from synthema.certification.doubts import DoubtBook, Doubted
from synthema.certification.evidence import CANDIDATE_URN
from synthema.clock import Clock
from synthema.dataspace import PeerClient
from synthema.dpia import DpiaStore
from synthema.dpia.conformance import Finding
from synthema.errors import NotFoundError, StorageError
from synthema.runs.governor import Governor

_logger = logging.getLogger(__name__)


class Doubting:
    """Looks at what this site's assessments ask to be measured again, and tells the issuers what no longer holds."""

    def __init__(self, dpias: DpiaStore, governor: Governor, book: DoubtBook, peers: PeerClient, clock: Clock) -> None:
        self._dpias = dpias
        self._governor = governor
        self._book = book
        self._peers = peers
        self._clock = clock

    def watch(self) -> None:
        """Note each gate that fails for a candidate, once, and tell its issuer; what fails is tried again next time."""
        for finding in self._dpias.failing_releases():
            doubt = self._doubt(finding)
            if doubt is not None:
                self._book.raise_once(doubt)
        problems = self._book.deliver(self._send)
        if problems:
            raise StorageError("; ".join(problems), fix="it is tried again within a minute")

    def _doubt(self, finding: Finding) -> Doubted | None:
        """What is to be told about a finding; None for what carries no certificate, such as a site's own release."""
        thing = finding.release or ""
        issuer = self._issuer_of(thing)
        if issuer is None:
            return None
        return Doubted(
            issuer=issuer,
            candidate=f"sha256:{thing.removeprefix(CANDIDATE_URN)}",
            gate=finding.subject,
            sentence=finding.sentence,
            since=_since(finding, self._clock.now()),
        )

    def _issuer_of(self, thing: str) -> str | None:
        """Who asked for the evaluation of a candidate: the study's coordinator, which certifies it."""
        if not thing.startswith(CANDIDATE_URN):
            return None
        start = self._governor.rooms.log.iri("run", "")
        for source in self._dpias.measured_in(thing):
            try:
                request = self._governor.run(source.removeprefix(start)).request
            except NotFoundError:
                continue
            if request.study is not None:
                return request.requester
        _logger.warning("a gate fails for %s, but nobody is known who certified it", thing)
        return None

    def _send(self, did: str, document: dict[str, Any]) -> None:
        if did == self._governor.rooms.settings.did:
            self._book.take(document, did)
        else:
            ask(self._peers, did, DOUBTS_PATH, {"doubt": document})


def _since(finding: Finding, now: datetime) -> datetime:
    """When the gate began to fail: when the new figure was due, or with the bad one."""
    if finding.due is not None and finding.due < now:
        return finding.due
    return finding.measured_at or now
