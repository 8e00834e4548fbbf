"""A coordinator's FLARE: its server, the account that submits, and one long-lived job for each set of agreements."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from synthema.clock import Clock
from synthema.errors import DeniedError, NotFoundError, PeerError
from synthema.federation.coordinator import Coordinator
from synthema.federation.flare.desk import Desk
from synthema.federation.flare.enrolment import ADMINISTRATOR as ROLE
from synthema.federation.flare.enrolment import (
    Authority,
    flare_name,
    key_pem,
    opened_key,
    private_key,
)
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
_IDLE_SECONDS = 900.0
_SECONDS_BETWEEN_JOBS = 10.0
_MOST_RESUMPTIONS = 5
_UNDER_WAY = ("SUBMITTED", "APPROVED", "DISPATCHED", "RUNNING")


@dataclass
class Session:
    """One job of FLARE and its studies; when the job crashes, or lacks a site that is there, another takes its place.

    ``submitted`` is when the job was (seconds since 1970), ``absent`` the sites that were not connected then.
    """

    agreements: Mapping[str, str]
    enough: int
    relay: HubRelay
    job: str = ""
    submitted: float = 0.0
    absent: frozenset[str] = frozenset()
    resumed: int = 0
    failure: str | None = None
    ending: bool = False
    idle_since: float = field(default_factory=time.monotonic)
    turn: threading.RLock = field(default_factory=threading.RLock)


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
        self._arrivals: dict[str, float] = {}
        self._begun = clock.now()
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

    @property
    def begun(self) -> datetime:
        """When its processes were started."""
        return self._begun

    @property
    def alive(self) -> bool:
        """Whether the server and the account run."""
        return self._server.alive() and self._account.process.alive()

    @property
    def busy(self) -> bool:
        """Whether any study is carried."""
        return any(session.relay.busy for session in self.jobs())

    def arrives(self, did: str) -> None:
        """A site is about to start FLARE anew: whatever was connected of it before does not count any more."""
        with self._lock:
            self._arrivals[flare_name(did)] = time.time()

    def session(self, agreements: Mapping[str, str], *, enough: int) -> HubRelay:
        """The running session with these sites (did → agreement), begun when there is none; see :meth:`begin`."""
        with self._lock:
            known = self._sessions.get(tuple(sorted(agreements.items())))
        if known is None or known.failure is not None or known.ending:
            return self.begin(agreements, enough=enough)
        if self._lacks(known):
            self._await(known.agreements, enough=enough)
            with known.turn:
                if self._lacks(known) & self._there():
                    self._replace(known)
            self._await_start(known)
        return known.relay

    def begin(self, agreements: Mapping[str, str], *, enough: int) -> HubRelay:
        """Begin a session, in the place of the one there may be.

        Raises :class:`PeerError` when fewer than ``enough`` sites connect in time, :class:`DeniedError`
        when too many refuse; the refused job is deleted.
        """
        key = tuple(sorted(agreements.items()))
        self.await_sites(agreements, enough=enough)
        named = {flare_name(did): agreement for did, agreement in agreements.items()}
        session = Session(named, enough, HubRelay(self._coordinator, self._clock))
        self._submit(session)
        with self._lock:
            self._sessions[key] = session
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
        """The kit of a process, afresh but for its key: by that FLARE's clients know their server after a restart."""
        folder = self._folder / ("server" if role is None else "account")
        kept = folder / f"startup/{kind}.key"
        key = opened_key(kept.read_bytes()) if kept.is_file() else private_key()
        shutil.rmtree(folder, ignore_errors=True)  # jobs of a former life are not taken up, studies are
        certificate = authority.issue(name, key.public_key(), self._clock.now(), role=role)
        secret = {
            f"startup/{kind}.key": key_pem(key), f"startup/{kind}.crt": certificate,
            "startup/rootCA.pem": authority.pem,
        }  # fmt: skip
        return write_files(folder, {**files, **secret})

    def await_sites(self, dids: Iterable[str], *, enough: int) -> None:
        """Wait until all have connected, or, when a minute is over, enough; raises :class:`PeerError`."""
        self._await([flare_name(did) for did in dids], enough=enough)

    def _await(self, sites: Iterable[str], *, enough: int) -> None:
        names = set(sites)
        end = time.monotonic() + _CONNECT_SECONDS
        while not names <= (there := self._there()):
            if time.monotonic() > end:
                if len(names & there) >= enough:
                    return
                raise PeerError(
                    f"{len(names & there)} of {len(names)} sites have connected to FLARE, {enough} are needed",
                    fix="see at the other sites that FLARE runs and reaches this hub: synthema doctor",
                )
            time.sleep(0.5)

    def _there(self) -> set[str]:
        """The sites whose present process has been heard."""
        seen: dict[str, float] = self.ask("sites")
        with self._lock:
            return {name for name, at in seen.items() if at > self._arrivals.get(name, 0.0)}

    def _lacks(self, session: Session) -> set[str]:
        """The sites of a session whose present process is not in its job."""
        with self._lock:
            later = {name for name in session.agreements if self._arrivals.get(name, 0.0) > session.submitted}
        return later | session.absent

    def _submit(self, session: Session) -> None:
        session.submitted, session.absent = time.time(), frozenset(session.agreements) - self._there()
        folder = self._folder / "submitted" / f"session-{time.monotonic_ns()}"
        write_files(folder, session_job(session.agreements, enough=session.enough))
        session.job = str(self.ask("submit", str(folder)))

    def _replace(self, session: Session) -> None:
        """Put a job in the place of one that runs; its studies go on with the exchange they had come to."""
        with contextlib.suppress(PeerError):
            self.ask("abort", session.job)
        self._submit(session)

    def _await_start(self, session: Session) -> None:
        end = time.monotonic() + _START_SECONDS
        while True:
            meta = self.ask("meta", session.job)
            if meta["status"] == "RUNNING":
                return
            if self._closed.is_set():
                raise PeerError("this connector stops", fix="start it again")
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
        """Put a new job in the place of one that crashed or lacks a site; end the sessions that nobody needs."""
        while not self._closed.wait(_WATCH_SECONDS):
            for session in self.jobs():
                with contextlib.suppress(PeerError), session.turn:
                    if not session.ending and session.job:
                        self._look_after(session)

    def _look_after(self, session: Session) -> None:
        if session.relay.busy:
            session.idle_since = time.monotonic()
        elif time.monotonic() - session.idle_since > _IDLE_SECONDS:
            session.ending = True
            session.relay.end_session()
            return
        if self._status(session) not in _UNDER_WAY:
            if session.resumed >= _MOST_RESUMPTIONS:
                self._delete(session, "FLARE's job crashed again and again")
                return
            session.resumed += 1
            self._submit(session)
        elif session.relay.busy and self._can_be_completed(session):
            self._replace(session)

    def _can_be_completed(self, session: Session) -> bool:
        """Whether a site that the job lacks is there; a site that comes and goes does not disturb the others often."""
        lacking = self._lacks(session)
        if not lacking or time.time() - session.submitted < _SECONDS_BETWEEN_JOBS:
            return False
        return bool(lacking & self._there())

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
