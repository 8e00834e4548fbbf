"""A site's connector says no to FLARE unless all is as agreed, writes each answer down, and repeats nothing."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, InputError, PeerError
from synthema.federation.flare import FlareChannel, SiteGate, flare_name
from synthema.federation.flare.desk import Desk
from synthema.federation.flare.synthema_relay.frames import ask, split
from synthema.federation.messages import Message, Parcel
from synthema.storage import Database
from tests.unit.federation.world import Log, site

ME = site(0)
JOB = "11b89e2e-bb11-4bfd-b12b-d84accfecf6f"
STUDY = "study-1"


class Gate(SiteGate):
    """With an agreement that can be broken."""

    def __init__(self, database: Database, clock: FixedClock) -> None:
        self.broken: str | None = None
        self.log = Log("https://site.example")
        super().__init__(ME, database, self.log, clock, lambda agreement: self.broken)

    def says(self, ask: str, payload: bytes = b"", **details: Any) -> tuple[dict[str, Any], bytes]:
        return self.answer({"ask": ask, "job": JOB, **details}, payload)

    def answers(self) -> list[dict[str, Any]]:
        return [dict(activity.attributes) for activity in self.log.activities]


@pytest.fixture
def gate(database: Database, clock: FixedClock) -> Gate:
    return Gate(database, clock)


def meta(**changes: Any) -> dict[str, Any]:
    return {"job_id": JOB, "agreements": {flare_name(ME): "agreement-1"}} | changes


def permitted(gate: Gate) -> Gate:
    gate.says("command", command="check_resources", meta=meta())
    return gate


def test_a_job_under_an_agreement_in_force_is_permitted_and_that_is_written(gate: Gate) -> None:
    assert gate.says("command", command="check_resources", meta=meta()) == ({"permit": True}, b"")
    assert gate.answers() == [
        {"question": "command", "permitted": True, "engineJob": JOB, "underAgreement": "agreement-1"}
    ]


@pytest.mark.parametrize(
    ("command", "described", "reason"),
    [
        ("check_resources", {}, "names no agreement with this site"),
        ("check_resources", meta(agreements={flare_name(site(1)): "agreement-1"}), "names no agreement with this site"),
        ("submit_job", meta(agreements=[flare_name(ME)]), "names no agreement with this site"),
        ("submit_job", meta(byoc=True), "brings code of its own"),
        ("sys_info", meta(), "'sys_info' is not done at this site"),
        ("shutdown", meta(), "'shutdown' is not done at this site"),
        ("cat", meta(), "'cat' is not done at this site"),
    ],
)
def test_any_other_command_is_refused_and_that_is_written(
    gate: Gate, command: str, described: dict[str, Any], reason: str
) -> None:
    with pytest.raises(DeniedError, match=reason):
        gate.says("command", command=command, meta=described)
    assert gate.answers()[0]["permitted"] is False
    assert reason in gate.answers()[0]["reason"]


def test_a_command_that_only_ends_something_is_permitted(gate: Gate) -> None:
    assert gate.says("command", command="abort_job", meta={})[0] == {"permit": True}


def test_a_job_that_was_not_permitted_gets_no_task_done(gate: Gate) -> None:
    gate.open(STUDY, "agreement-1")
    with pytest.raises(DeniedError, match="did not permit this job"):
        gate.says("task", task="parcel", about={"study": STUDY}, size=1, digest="sha256:0")
    with pytest.raises(DeniedError, match="did not permit this job"):
        gate.says("exchange", study=STUDY, exchange=1)


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"task": "train"}, "parcels, and nothing else"),
        ({"size": 10**12}, "too large"),
        ({"about": {"study": "study-2"}}, "not open at this site"),
        ({"about": "study-1"}, "not open at this site"),
    ],
)
def test_a_task_is_refused_unless_it_is_a_parcel_of_an_open_study(
    gate: Gate, details: dict[str, Any], reason: str
) -> None:
    permitted(gate).open(STUDY, "agreement-1")
    asked = {"task": "parcel", "about": {"study": STUDY}, "size": 1, "digest": "sha256:0"}
    assert gate.says("task", **asked) == ({"permit": True}, b"")
    with pytest.raises(DeniedError, match=reason):
        gate.says("task", **(asked | details))


def test_a_study_under_another_agreement_than_the_session_is_refused(gate: Gate) -> None:
    permitted(gate).open(STUDY, "agreement-2")
    with pytest.raises(DeniedError, match="another agreement"):
        gate.says("task", task="parcel", about={"study": STUDY}, size=1)
    with pytest.raises(DeniedError, match="another agreement"):
        gate.says("exchange", study=STUDY, exchange=1)


@pytest.mark.article("GDPR 7(3)")
def test_an_agreement_that_ends_within_a_session_ends_tasks_and_results(gate: Gate) -> None:
    permitted(gate).open(STUDY, "agreement-1")
    gate.broken = "the agreement was terminated"
    with pytest.raises(DeniedError, match="was terminated"):
        gate.says("task", task="parcel", about={"study": STUDY}, size=1)
    with pytest.raises(DeniedError, match="was terminated"):
        gate.says("result", digest="sha256:0")
    assert [answer["permitted"] for answer in gate.answers()] == [True, False, False]


def test_only_bytes_made_here_leave_and_each_only_once(gate: Gate) -> None:
    permitted(gate).open(STUDY, "agreement-1").post(STUDY, b"masked")
    _, said = gate.says("exchange", study=STUDY, exchange=7)
    assert split(said) == [b"masked"]
    digest = f"sha256:{hashlib.sha256(said).hexdigest()}"
    with pytest.raises(DeniedError, match="not made by this connector"):
        gate.says("result", digest="sha256:" + "0" * 64)
    assert gate.says("result", digest=digest) == ({"permit": True}, b"")
    with pytest.raises(DeniedError, match="have left before"):
        gate.says("result", digest=digest)


@pytest.mark.article("GDPR 7(3)")
def test_policies_that_deny_a_study_later_let_nothing_in_and_only_the_refusal_out(gate: Gate) -> None:
    broken: list[DeniedError] = []

    def still_permitted() -> None:
        if broken:
            raise broken[0]

    channel = permitted(gate).open(STUDY, "agreement-1", still_permitted)
    channel.post(STUDY, parcel("keys"))
    asked = {"task": "parcel", "about": {"study": STUDY}, "size": 1, "digest": "sha256:0"}
    assert gate.says("task", **asked) == ({"permit": True}, b"")
    gate.says("exchange", study=STUDY, exchange=1)
    channel.post(STUDY, parcel("masked"))
    broken.append(DeniedError("the list of exclusions is too old", fix="fetch it"))
    with pytest.raises(DeniedError, match="too old"):
        gate.says("task", **asked)
    with pytest.raises(DeniedError, match="too old"):
        channel.poll(STUDY, 0)
    with pytest.raises(DeniedError, match="too old"):
        channel.post(STUDY, parcel("masked"))
    channel.post(STUDY, parcel("refusal"))
    assert gate.says("task", **asked) == ({"permit": True}, b"")
    _, said = gate.says("exchange", b"a round", study=STUDY, exchange=2, again=True)
    assert split(said) == [parcel("refusal")]
    assert gate.says("result", digest=f"sha256:{hashlib.sha256(said).hexdigest()}")[0] == {"permit": True}
    assert [answer["permitted"] for answer in gate.answers()] == [True, True, False, True, True]
    assert gate.answers()[2]["reason"] == "the list of exclusions is too old"
    assert gate.busy
    gate.close(STUDY)
    assert not gate.busy


def test_policies_that_deny_a_study_stop_what_was_made_before(gate: Gate) -> None:
    def denied() -> None:
        raise PeerError("the budget is spent", fix="wait")

    permitted(gate).open(STUDY, "agreement-1", denied).post(STUDY, parcel("masked"))
    _, said = gate.says("exchange", study=STUDY, exchange=1)
    with pytest.raises(DeniedError, match="the budget is spent"):
        gate.says("result", digest=f"sha256:{hashlib.sha256(said).hexdigest()}")


def test_a_coordinator_that_was_restarted_gets_once_more_what_was_said_last(gate: Gate) -> None:
    channel = permitted(gate).open(STUDY, "agreement-1")
    channel.post(STUDY, b"one")
    gate.says("exchange", study=STUDY, exchange=7)
    channel.post(STUDY, b"two")
    assert split(gate.says("exchange", study=STUDY, exchange=1000, again=True)[1]) == [b"one", b"two"]
    channel.post(STUDY, b"three")
    assert split(gate.says("exchange", study=STUDY, exchange=1001, again=False)[1]) == [b"three"]


def test_the_last_words_of_an_ended_study_are_kept_for_a_while(gate: Gate) -> None:
    channel = permitted(gate).open(STUDY, "agreement-1")
    channel.post(STUDY, b"refusal")
    gate.close(STUDY)
    assert gate.says("exchange", study=STUDY, exchange=7)[0]["ended"] is True
    assert split(gate.says("exchange", study=STUDY, exchange=1000, again=True)[1]) == [b"refusal"]
    for number in range(70):
        gate.open(f"study-1{number}", "agreement-1")
        gate.close(f"study-1{number}")
    with pytest.raises(DeniedError, match="not open at this site"):
        gate.says("exchange", study=STUDY, exchange=1001)


def parcel(kind: str) -> bytes:
    """A message of this kind, unsigned: nobody looks at the signature here."""
    message = Message.model_validate(
        {
            "kind": kind, "study": STUDY, "plan": "sha256:" + "0" * 64, "sender": ME, "recipient": site(1),
            "sequence": 0, "body": {},
        }
    )  # fmt: skip
    return Parcel(message, b"").to_bytes()


def test_nothing_is_permitted_that_cannot_be_written_down(gate: Gate) -> None:
    gate.log.broken_for = "EngineAnswer"
    with pytest.raises(OSError, match="cannot be written"):
        gate.says("command", command="check_resources", meta=meta())
    gate.log.broken_for = None
    gate.open(STUDY, "agreement-1")
    with pytest.raises(DeniedError, match="did not permit this job"):
        gate.says("task", task="parcel", about={"study": STUDY}, size=1)


def test_a_fault_within_is_a_no_that_is_written(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(agreement: str) -> str | None:
        raise RuntimeError("no governor here")

    monkeypatch.setattr(gate, "_in_force", broken)
    with pytest.raises(RuntimeError):
        gate.says("command", command="check_resources", meta=meta())
    assert gate.answers() == [
        {"question": "command", "permitted": False, "engineJob": JOB, "reason": "the connector failed within"}
    ]


def test_an_exchange_asked_for_again_gets_the_same_answer_and_an_older_one_none(gate: Gate) -> None:
    channel = permitted(gate).open(STUDY, "agreement-1")
    channel.post(STUDY, b"one")
    first = gate.says("exchange", study=STUDY, exchange=7)
    channel.post(STUDY, b"two")
    assert gate.says("exchange", study=STUDY, exchange=7) == first
    assert split(gate.says("exchange", study=STUDY, exchange=8)[1]) == [b"two"]
    with pytest.raises(ConflictError, match="is over"):
        gate.says("exchange", study=STUDY, exchange=7)


def test_odd_questions_are_refused(gate: Gate) -> None:
    with pytest.raises(InputError, match="not a question"):
        gate.says("everything")
    permitted(gate).open(STUDY, "agreement-1")
    with pytest.raises(InputError, match="has a number"):
        gate.says("exchange", study=STUDY, exchange="7")
    with pytest.raises(ConflictError, match="open already"):
        gate.open(STUDY, "agreement-1")


def test_the_channel_hands_over_parcels_and_the_coordinators_refusals() -> None:
    channel = FlareChannel(STUDY, wait_seconds=0.2)
    channel.post(STUDY, b"accept")
    about, _ = channel.exchange(1, b"", None)
    assert about == {"ended": False, "waits": False, "taken": True}
    heard: list[bytes | None] = []

    def site_thread() -> None:
        heard.append(channel.poll(STUDY, 0))
        channel.post(STUDY, b"keys")

    thread = threading.Thread(target=site_thread)
    thread.start()
    about, said = channel.exchange(2, b"round", None)
    thread.join(5)
    assert (heard, split(said), about["taken"]) == ([b"round"], [b"keys"], True)
    channel.post(STUDY, b"more")
    channel.exchange(3, b"", "it is not due now")
    with pytest.raises(PeerError, match="it is not due now"):
        channel.poll(STUDY, 1)
    assert channel.poll(STUDY, 1) is None
    about, said = channel.exchange(4, b"", None)
    assert (about, said) == ({"ended": False, "waits": True, "taken": True, "after": 1}, b"")
    channel.end()
    assert channel.exchange(5, b"", None)[0]["ended"] is True
    with pytest.raises(InputError, match="another study"):
        channel.poll("study-2", 0)
    with pytest.raises(InputError, match="too large"):
        channel.post(STUDY, _Long())


class _Long(bytes):
    def __len__(self) -> int:
        return 10**12


@pytest.fixture
def desk() -> Iterator[Callable[[Any], Desk]]:
    made: list[Desk] = []

    def open_desk(answer: Any) -> Desk:
        made.append(Desk(answer))
        return made[-1]

    yield open_desk
    for one in made:
        one.close()


def test_the_desk_answers_its_own_account_and_takes_a_fault_for_a_no(desk: Callable[[Any], Desk]) -> None:
    def answer(question: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        if question["ask"] == "break":
            raise RuntimeError("patient 17")
        if question["ask"] == "deny":
            raise DeniedError("not today", fix="come tomorrow")
        return {"permit": True}, payload[::-1]

    open_desk = desk(answer)
    path = str(open_desk.path)
    assert ask(path, {"ask": "say"}, b"abc", seconds=5) == ({"permit": True}, b"cba")
    assert ask(path, {"ask": "deny"}, seconds=5)[0] == {"permit": False, "reason": "not today"}
    assert ask(path, {"ask": "break"}, seconds=5)[0] == {"permit": False, "reason": "the connector failed within"}
    assert Path(path).parent.stat().st_mode & 0o077 == 0
    open_desk.close()
    with pytest.raises(OSError):  # noqa: PT011 - gone, whatever the kernel calls it
        ask(path, {"ask": "say"}, seconds=1)
