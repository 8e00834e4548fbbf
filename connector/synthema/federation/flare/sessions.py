"""A coordinator's FLARE: its server, the account that submits, and one long-lived job for each set of agreements."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthema.clock import Clock
from synthema.errors import DeniedError, NotFoundError, PeerError
from synthema.federation.coordinator import Coordinator
from synthema.federation.flare.desk import Desk
from synthema.federation.flare.enrolment import ADMINISTRATOR as ROLE
from synthema.federation.flare.enrolment import Authority, flare_name, key_pem, private_key
from synthema.federation.flare.environment import FlareEnvironment, FlareProcess, server_arguments
from synthema.federation.flare.hub import HubRelay
from synthema.federation.flare.kit import (
    ADMINISTRATOR,
    administrator_files,
    lay_out_relay,
    server_files,
    session_job,
    write_files,
)

_CONNECT_SECONDS = 60.0
_START_SECONDS = 60.0
_WATCH_SECONDS = 1.0
_MOST_RESUMPTIONS = 5
_UNDER_WAY = ("SUBMITTED", "APPROVED", "DISPATCHED", "RUNNING")


@dataclass
class Session:
    """One job of FLARE and its studies; when the job crashes, another takes its place."""

    agreements: Mapping[str, str]
    enough: int
    relay: HubRelay
    job: str = ""
    resumed: int = 0
    failure: str | None = None
    ending: bool = field(default=False)


class FlareHub:
    """Starts FLARE's server on ``host`` and ``port`` and keeps its sessions; :meth:`close` ends all of it."""

    def __init__(
        self, folder: Path, environment: FlareEnvironment, authority: Authority, coordinator: Coordinator, clock: Clock,
        *, host: str, port: int,
    ) -> None:  # fmt: skip
        self._folder = folder
        self._coordinator = coordinator
        self._clock = clock
        self._sessions: dict[tuple[tuple[str, str], ...], Session] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._desk = Desk(self._answer)
        code = lay_out_relay(folder / "code")
        server = self._kit("server", host, authority, server_files(host, port, folder / "server"))
        self._server = FlareProcess(environment, code, server, self._desk.path, server_arguments(server))
        account = self._kit("client", ADMINISTRATOR, authority, administrator_files(host, port), role=ROLE)
        self._account = _Account(
            FlareProcess(environment, code, account, self._desk.path, ["admin", ADMINISTRATOR, str(account)])
        )
        threading.Thread(target=self._watch, name="flare-sessions", daemon=True).start()

    def session(self, agreements: Mapping[str, str], *, enough: int) -> HubRelay:
        """The running session with these sites (did → agreement), begun when there is none; see :meth:`begin`."""
        with self._lock:
            known = self._sessions.get(tuple(sorted(agreements.items())))
        return known.relay if known is not None and known.failure is None else self.begin(agreements, enough=enough)

    def begin(self, agreements: Mapping[str, str], *, enough: int) -> HubRelay:
        """Begin a session, in the place of the one there may be.

        Raises :class:`PeerError` when fewer than ``enough`` sites connect in time, :class:`DeniedError`
        when too many refuse; the refused job is deleted.
        """
        key = tuple(sorted(agreements.items()))
        self.await_sites(agreements, enough=enough)
        named = {flare_name(did): agreement for did, agreement in agreements.items()}
        session = Session(named, enough, HubRelay(self._coordinator, self._clock))
        with self._lock:
            self._sessions[key] = session
        self._submit(session)
        self._await_start(session)
        return session.relay

    def jobs(self) -> tuple[Session, ...]:
        """The sessions there are."""
        with self._lock:
            return tuple(self._sessions.values())

    @property
    def processes(self) -> tuple[int, ...]:
        """The process ids of the server and of the account."""
        return self._server.pid, self._account.process.pid

    def close(self) -> None:
        """End all sessions and processes."""
        self._closed.set()
        for session in self.jobs():
            session.ending = True
            session.relay.end_session()
        self._account.process.kill()
        self._server.kill()
        self._desk.close()

    def ask(self, command: str, argument: str = "") -> Any:
        """One command of FLARE's account (``sites``, ``submit``, ``meta``, ``abort``, ``delete``) and its answer."""
        return self._account.ask(command, argument)

    def _answer(self, question: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        with self._lock:
            session = next((one for one in self._sessions.values() if one.job == question.get("job")), None)
        if session is None:
            raise NotFoundError("this job is not a session of this connector", fix="wait until it was submitted")
        return session.relay.answer(question, payload)

    def _kit(
        self, kind: str, name: str, authority: Authority, files: Mapping[str, Any], role: str | None = None
    ) -> Path:
        key = private_key()
        certificate = authority.issue(name, key.public_key(), self._clock.now(), role=role)
        secret = {
            f"startup/{kind}.key": key_pem(key), f"startup/{kind}.crt": certificate,
            "startup/rootCA.pem": authority.pem,
        }  # fmt: skip
        return write_files(self._folder / ("server" if role is None else "account"), {**files, **secret})

    def await_sites(self, dids: Iterable[str], *, enough: int) -> None:
        """Wait until all have connected, or, when a minute is over, enough; raises :class:`PeerError`."""
        names = {flare_name(did) for did in dids}
        end = time.monotonic() + _CONNECT_SECONDS
        while not names <= (there := set(self.ask("sites"))):
            if time.monotonic() > end:
                if len(names & there) >= enough:
                    return
                raise PeerError(
                    f"{len(names & there)} of {len(names)} sites have connected to FLARE, {enough} are needed",
                    fix="start FLARE at the other sites",
                )
            time.sleep(0.5)

    def _submit(self, session: Session) -> None:
        folder = self._folder / "submitted" / f"session-{time.monotonic_ns()}"
        write_files(folder, session_job(session.agreements, enough=session.enough))
        session.job = str(self.ask("submit", str(folder)))

    def _await_start(self, session: Session) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            meta = self.ask("meta", session.job)
            if meta["status"] == "RUNNING":
                return
            history = "; ".join([*meta.get("schedule_history", ()), *meta.get("job_deploy_detail", ())])
            tried = int(meta.get("schedule_count", 0)) > 0 and meta["status"] == "SUBMITTED"
            if tried or meta["status"] not in _UNDER_WAY or time.monotonic() > end:
                self._delete(session, f"the session did not begin: {history or meta['status']}"[:600])
                raise DeniedError(str(session.failure), fix="read the reasons in the logs of the sites that refused")
            time.sleep(0.2)

    def _delete(self, session: Session, reason: str) -> None:
        """A refused job is deleted: FLARE would ask the sites about it for ever."""
        session.ending, session.failure = True, reason
        for command in ("abort", "delete"):
            with contextlib.suppress(PeerError):
                self.ask(command, session.job)

    def _watch(self) -> None:
        """Put a new job in the place of one that crashed; its studies go on with the exchange they had come to."""
        while not self._closed.wait(_WATCH_SECONDS):
            for session in self.jobs():
                if session.ending or not session.job or self._status(session) in _UNDER_WAY:
                    continue
                if session.resumed >= _MOST_RESUMPTIONS:
                    self._delete(session, "FLARE's job crashed again and again")
                    continue
                session.resumed += 1
                with contextlib.suppress(PeerError):
                    self._submit(session)

    def _status(self, session: Session) -> str:
        try:
            return str(self.ask("meta", session.job)["status"])
        except PeerError:
            return "RUNNING"  # nobody can tell: nothing is begun twice


class _Account:
    """The process that speaks to FLARE's server for the connector; one command at a time."""

    def __init__(self, process: FlareProcess) -> None:
        self.process = process
        self._lock = threading.Lock()

    def ask(self, command: str, argument: str) -> Any:
        """Raises :class:`PeerError` with what FLARE said."""
        line = json.dumps({"command": command, "argument": argument}).encode() + b"\n"
        pipes = self.process.pipes
        with self._lock:
            try:
                assert pipes.stdin is not None  # noqa: S101 - both are pipes, see FlareProcess
                assert pipes.stdout is not None  # noqa: S101
                pipes.stdin.write(line)
                pipes.stdin.flush()
                text = pipes.stdout.readline()
            except (OSError, ValueError) as error:
                raise PeerError("FLARE's account has ended", fix="look at its log, start FLARE again") from error
        answer = json.loads(text) if text else {"error": "FLARE's account has ended"}
        if "error" in answer:
            raise PeerError(f"FLARE refused '{command}': {answer['error']}"[:600], fix="look at FLARE's log")
        return answer["value"]
