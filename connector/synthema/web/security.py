"""What stands before every handler: the guards of an application, and proof of who calls.

No handler of this connector lets the framework read a body: NaN, duplicate keys
or coerced types would pass, and odd input would become a 500. Bodies are read
by :func:`read_json`, within a size and a time, and errors leave as
:mod:`synthema.web.problems` says.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

from fastapi import FastAPI, Request

from synthema.canonical import MAX_JSON_BYTES
from synthema.clock import Clock
from synthema.config import Peer, Settings
from synthema.dataspace.model import Caller
from synthema.errors import DeniedError, IntegrityError, NotFoundError, SynthemaError
from synthema.identity import tokens
from synthema.identity.did import DidResolver
from synthema.web.bodies import RECEIVE_SECONDS, BodyLimit, read_json
from synthema.web.envelope import Envelope
from synthema.web.problems import install_problems, json_response, status_of

__all__ = ["Security", "install_guards", "json_response", "nothing_here", "read_json", "status_of"]

_log = logging.getLogger(__name__)


def install_guards(
    app: FastAPI,
    *,
    max_bytes: int = MAX_JSON_BYTES,
    larger: Mapping[str, int] | None = None,
    seconds: float = RECEIVE_SECONDS,
    hosts: Collection[str] | None = None,
) -> None:
    """Put all guards before an application; ``larger`` and ``hosts`` as in BodyLimit and Envelope."""
    app.add_middleware(BodyLimit, max_bytes=max_bytes, larger=larger, seconds=seconds)
    app.add_middleware(Envelope, hosts=hosts)
    install_problems(app)


class Security:
    """Finds out who calls on the public protocol: registered peers with a good token, nobody else."""

    def __init__(
        self,
        settings: Settings,
        resolver: DidResolver,
        replay: tokens.ReplayStore,
        clock: Clock,
        admit: Callable[[tokens.Claims], object] | None = None,
        parties: Mapping[str, Peer] | None = None,
    ) -> None:
        """``admit`` raises for a party that does not show what it must, e.g. ``Counterparties.admit``.

        ``parties`` are the partners by DID where they are more than those of the settings; it may change.
        """
        self._did = settings.did
        configured = {peer.did: peer for peer in settings.peers}
        self._peers: Mapping[str, Peer] = configured if parties is None else parties
        self._resolver = resolver
        self._replay = replay
        self._clock = clock
        self._admit = admit

    def caller(self, request: Request) -> Caller:
        """Who sent this request; raises :class:`NotFoundError` for anybody who cannot prove it.

        Unknown and unauthorised are answered alike, so that nothing can be
        learned by asking. May fetch the caller's DID document: call it in a
        thread, not in the event loop.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise nothing_here()
        try:
            claims = tokens.verify(token.strip(), self._did, self._resolver, self._clock, self._replay)
        except SynthemaError as error:
            _log.info("a token was refused: %s", error.message)
            raise nothing_here() from error
        peer = self._peers.get(claims.issuer)
        if peer is None or claims.subject != claims.issuer:
            raise nothing_here()
        self._require_credentials(claims)
        return Caller(peer.did, peer.name, peer.role)

    def _require_credentials(self, claims: tokens.Claims) -> None:
        """Let a peer in that shows what is required. A peer is told what failed: it is no stranger."""
        if self._admit is None:
            return
        try:
            self._admit(claims)
        except IntegrityError as error:
            _log.info("%s is not let in: %s", claims.issuer, error.message)
            raise DeniedError(error.message, fix=error.fix) from error


def nothing_here() -> NotFoundError:
    """The one answer of the public protocol to the unknown and to the unauthorised."""
    return NotFoundError("there is nothing here for this caller", fix="check the address and the token")
