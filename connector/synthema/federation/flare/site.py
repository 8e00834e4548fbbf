"""A site's side of FLARE: the channel of its studies, and what the connector says to all that comes in or leaves."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError, InputError, PeerError, SynthemaError
from synthema.federation.engine import LARGEST_PARCEL
from synthema.federation.flare.enrolment import flare_name
from synthema.federation.flare.kit import AGREEMENTS
from synthema.federation.flare.synthema_relay.frames import join
from synthema.federation.messages import Parcel
from synthema.federation.ports import ActivityLog
from synthema.ids import new_id
from synthema.provenance.model import Activity, Agent, Value
from synthema.storage import Database

_COMMANDS = ("abort", "abort_job", "cancel_resources")
_STARTING = ("check_resources", "submit_job")
_FIRST_WAIT = 5.0
_WORD_WAIT = 15.0
_FETCH_WAIT = 300.0
_MOST_SESSIONS = 64
_MOST_ENDED = 64


class FlareChannel:
    """One study's way to its coordinator through FLARE: what the site hands in waits for FLARE to fetch it.

    There is one exchange at a time, so no more than one answer waits, and the coordinator's next parcel
    comes after it was fetched: a slow coordinator slows its sites down and fills nobody's memory.
    """

    def __init__(self, study: str, *, wait_seconds: float = 1.0) -> None:
        self.study = study
        self._wait_seconds = wait_seconds
        self._changed = threading.Condition()
        self._incoming: bytes | None = None
        self._outgoing: list[bytes] = []
        self._after = 0
        self._waiting = False
        self._ended = False
        self._refused: str | None = None
        self._stopped: DeniedError | None = None
        self._exchange = 0
        self._said: list[bytes] = []
        self._answered: tuple[dict[str, Any], bytes] = ({}, b"")

    def post(self, study_id: str, data: bytes) -> None:
        """Lay one parcel ready; raises :class:`PeerError` when the last one was not fetched in five minutes.

        A site that has to leave the study can say no more than that it does: else :class:`DeniedError`.
        """
        self._require(study_id)
        if len(data) > LARGEST_PARCEL:
            raise InputError(f"a parcel of {len(data)} bytes is too large", fix="use shorter vectors")
        with self._changed:
            if not self._changed.wait_for(lambda: not self._outgoing or self.stopped, _FETCH_WAIT):
                raise PeerError("the last parcel was not fetched", fix="look at the state of FLARE at this site")
            if self._stopped is not None and not _is_refusal(data):
                raise self._stopped
            self._outgoing.append(data)
            self._changed.notify_all()

    def poll(self, study_id: str, after: int) -> bytes | None:
        """The coordinator's next parcel, if it comes in time.

        Raises :class:`PeerError` when the coordinator refused our last, :class:`DeniedError` when this site
        has to stop (:meth:`stop`).
        """
        self._require(study_id)
        with self._changed:
            self._after, self._waiting = after, True
            self._changed.notify_all()
            self._changed.wait_for(self._has_heard, self._wait_seconds)
            if self._stopped is not None:
                raise self._stopped
            data, self._incoming = self._incoming, None
            refused, self._refused = self._refused, None
            if data is not None:
                self._waiting = False
            elif refused is not None:
                raise PeerError(f"the coordinator did not take this site's message: {refused}", fix="see the study")
            return data

    @property
    def ended(self) -> bool:
        """Whether the site has left the study."""
        return self._ended

    @property
    def stopped(self) -> bool:
        """Whether the site has to leave the study: of what it says, only a refusal goes out."""
        return self._stopped is not None

    def stop(self, why: DeniedError) -> None:
        """Have the site leave the study: whoever waits for the coordinator hears why instead."""
        with self._changed:
            self._stopped = self._stopped or why
            self._outgoing = [parcel for parcel in self._outgoing if _is_refusal(parcel)]
            self._said = [parcel for parcel in self._said if _is_refusal(parcel)]
            self._incoming = None
            self._changed.notify_all()

    def end(self) -> None:
        """The site has left the study; what it said last may still be fetched."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def exchange(
        self, number: int, parcel: bytes, refused: str | None, *, again: bool = False
    ) -> tuple[dict[str, Any], bytes]:
        """Give the site a parcel (or none) and take what it says to it.

        The same exchange asked for again, as after a crash of FLARE's job, gets the same answer and
        changes nothing; an older one is refused. A coordinator that was restarted asks ``again``: what
        the site said last comes once more, since it may never have arrived.
        """
        with self._changed:
            if number == self._exchange:
                return self._answered
            if number < self._exchange:
                raise ConflictError("this exchange is over", fix="go on with the next one")
            if parcel:
                self._incoming, self._waiting = parcel, False
            self._refused = None if parcel else refused
            self._changed.notify_all()
            first = self._exchange == 0
            self._changed.wait_for(self._has_spoken, _FIRST_WAIT if first else _WORD_WAIT)
            said, self._outgoing = self._outgoing, []
            about: dict[str, Any] = {"ended": self._ended, "waits": self._waits(), "taken": self._incoming is None}
            if self._waiting:
                about["after"] = self._after
            self._said = [*self._said, *said] if again else said
            self._exchange, self._answered = number, (about, join(self._said))
            self._changed.notify_all()
            return self._answered

    def _has_heard(self) -> bool:
        return any(each is not None for each in (self._incoming, self._refused, self._stopped))

    def _has_spoken(self) -> bool:
        return bool(self._outgoing) or self._ended or self._waits()

    def _waits(self) -> bool:
        """Whether the site will say nothing before it has heard something."""
        return self._waiting and self._incoming is None and self._refused is None

    def _require(self, study_id: str) -> None:
        if study_id != self.study:
            raise InputError("this channel belongs to another study", fix="open a channel for each study")


def _is_refusal(parcel: bytes) -> bool:
    return Parcel.from_bytes(parcel).message.kind == "refusal"


@dataclass(frozen=True, slots=True)
class _Open:
    """A study that is open at this site: under which agreement, and what raises while it must not go on."""

    agreement: str
    channel: FlareChannel
    permitted: Callable[[], None]

    def require_permitted(self) -> None:
        """Raise :class:`DeniedError` where the site's policies do not permit the study any more, and end it."""
        if self.channel.stopped:
            return
        try:
            self.permitted()
        except SynthemaError as error:
            refusal = DeniedError(error.message, fix=error.fix)
            self.channel.stop(refusal)
            raise refusal from error


@dataclass
class _Session:
    """A job this site permitted: under which agreement, and what was made for it, by the digest of its bytes."""

    agreement: str
    made: dict[str, list[_Open]] = field(default_factory=dict)


class SiteGate:
    """What a site's connector says to FLARE: no, unless a permitted session carries a study that is open here.

    ``in_force`` says why an agreement does not hold now, or None. Every answer is written into the log
    before it is given; if it cannot be written, the answer is no.
    """

    def __init__(
        self, me: str, database: Database, log: ActivityLog, clock: Clock, in_force: Callable[[str], str | None]
    ) -> None:
        self.me = me
        self._name = flare_name(me)
        self._database = database
        self._log = log
        self._clock = clock
        self._in_force = in_force
        self._sessions: dict[str, _Session] = {}
        self._studies: dict[str, _Open] = {}
        self._lock = threading.Lock()

    def open(self, study: str, agreement: str, permitted: Callable[[], None] = lambda: None) -> FlareChannel:
        """Let a study's parcels pass, under this agreement; raises :class:`ConflictError` when it is open already.

        ``permitted`` is asked before each task and each result, and raises the :class:`SynthemaError` that
        ends this site's part.
        """
        with self._lock:
            if study in self._studies and not self._studies[study].channel.ended:
                raise ConflictError("this study is open already", fix="let it end first")
            over = [name for name, known in self._studies.items() if known.channel.ended]
            for name in over[: max(0, len(over) - _MOST_ENDED)]:
                del self._studies[name]
            channel = FlareChannel(study)
            self._studies[study] = _Open(agreement, channel, permitted)
            return channel

    def close(self, study: str) -> None:
        """Let nothing more of a study pass in; what the site said last can still be fetched."""
        with self._lock:
            known = self._studies.get(study)
        if known is not None:
            known.channel.end()

    @property
    def busy(self) -> bool:
        """Whether any study is open here."""
        with self._lock:
            return any(not known.channel.ended for known in self._studies.values())

    def answer(self, question: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """Answer one question of FLARE's processes; raises a :class:`SynthemaError` for a no."""
        asked = question.get("ask")
        if asked == "exchange":
            return self._exchange(question, payload)
        questions: Mapping[Any, Callable[[dict[str, Any]], str]] = {
            "command": self._command, "task": self._task, "result": self._result,
        }  # fmt: skip
        handler = questions.get(asked)
        if handler is None:
            raise InputError("this is not a question for this connector", fix="use the relay of this release")
        try:
            agreement = handler(question)
        except SynthemaError as error:
            self._write(question, error.message)
            raise
        except Exception:
            self._write(question, "the connector failed within")
            raise
        self._write(question, None, agreement)
        if asked == "command" and agreement:
            self._begin(str(question["meta"]["job_id"]), agreement)
        return {"permit": True}, b""

    def _begin(self, job: str, agreement: str) -> None:
        """Remember a job that was permitted, once that is written."""
        with self._lock:
            self._sessions.setdefault(job, _Session(agreement))
            while len(self._sessions) > _MOST_SESSIONS:  # a coordinator that asks for ever fills nobody's memory
                del self._sessions[next(iter(self._sessions))]

    def _command(self, question: dict[str, Any]) -> str:
        command, meta = str(question.get("command")), question.get("meta")
        if command in _COMMANDS:
            return ""
        if command not in _STARTING or not isinstance(meta, dict):
            raise DeniedError(f"'{command[:40]}' is not done at this site", fix="ask this site's administrator")
        agreements, job = meta.get(AGREEMENTS), meta.get("job_id")
        agreement = agreements.get(self._name) if isinstance(agreements, dict) else None
        self._demand(isinstance(agreement, str) and isinstance(job, str), "the job names no agreement with this site")
        self._demand(not meta.get("byoc"), "the job brings code of its own")
        self._require_force(str(agreement))
        return str(agreement)

    def _task(self, question: dict[str, Any]) -> str:
        session, about, size = self._session(question), question.get("about"), question.get("size")
        self._demand(question.get("task") == "parcel", "the coordinator may send parcels, and nothing else")
        self._demand(isinstance(size, int) and size <= LARGEST_PARCEL, "the parcel is too large")
        study = self._study(about)
        self._demand(study.agreement == session.agreement, "the study is under another agreement than the session")
        self._require_force(study.agreement)
        study.require_permitted()
        return study.agreement

    def _result(self, question: dict[str, Any]) -> str:
        session, digest = self._session(question), question.get("digest")
        self._require_force(session.agreement)
        with self._lock:
            made = session.made.get(str(digest), [])
            study = made.pop() if made else None
            if not made:
                session.made.pop(str(digest), None)
        if study is None:
            raise DeniedError(
                "these bytes were not made by this connector for this session, or have left before",
                fix="the coordinator must keep to the agreement",
            )
        study.require_permitted()
        return session.agreement

    def _exchange(self, question: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        session = self._session(question)
        study, number, refused = self._study(question), question.get("exchange"), question.get("refused")
        self._demand(study.agreement == session.agreement, "the study is under another agreement than the session")
        if not (isinstance(number, int) and (refused is None or isinstance(refused, str))):
            raise InputError("an exchange has a number", fix="use the relay of this release")
        about, said = study.channel.exchange(number, payload, refused, again=question.get("again") is True)
        with self._lock:
            session.made.setdefault(f"sha256:{hashlib.sha256(said).hexdigest()}", []).append(study)
        return about, said

    def _session(self, question: dict[str, Any]) -> _Session:
        with self._lock:
            session = self._sessions.get(str(question.get("job")))
        self._demand(session is not None, "this site did not permit this job")
        assert session is not None  # noqa: S101 - demanded just above
        return session

    def _study(self, about: Any) -> _Open:
        study = about.get("study") if isinstance(about, dict) else None
        with self._lock:
            known = self._studies.get(str(study))
        if known is None:
            raise DeniedError("the study is not open at this site", fix="accept the invitation to it first")
        return known

    def _require_force(self, agreement: str) -> None:
        refusal = self._in_force(agreement)
        if refusal is not None:
            raise DeniedError(refusal, fix="negotiate an agreement that holds")

    @staticmethod
    def _demand(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
        if not holds:
            raise DeniedError(otherwise, fix="the coordinator must keep to the agreement")

    def _write(self, question: Mapping[str, Any], refusal: str | None, agreement: str = "") -> None:
        now = self._clock.now()
        said: dict[str, Value] = {"question": str(question["ask"]), "permitted": refusal is None}
        meta = question.get("meta")
        job = question.get("job") or (meta.get("job_id") if isinstance(meta, dict) else None)
        if isinstance(job, str):
            said["engineJob"] = job[:80]
        if refusal is not None:
            said["reason"] = refusal
        if agreement:
            said["underAgreement"] = agreement
        if isinstance(question.get("digest"), str):
            said["carriedDigest"] = str(question["digest"])[:80]
        activity = Activity(
            self._log.iri("activity", new_id("activity")), "EngineAnswer", "the engine's question answered", now, now,
            agents=(Agent(self.me, "Organization"),), attributes=said,
        )  # fmt: skip
        self._database.write(lambda connection: self._log.append(connection, activity))
