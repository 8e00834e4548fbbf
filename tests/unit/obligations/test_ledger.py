from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from synthema.clock import FixedClock
from synthema.errors import ConflictError, DeniedError, InputError, IntegrityError, NotFoundError, StorageError
from synthema.obligations import TRANSITIONS, TaskState, waiver_bytes
from synthema.obligations.model import advance
from synthema.policy import Duty, Policy, decide
from synthema.storage import Database
from tests.unit.datasets.support import log_text
from tests.unit.obligations.support import BASIS, HUB, SITE, Desk, make_desk
from tests.unit.policy import sample

PAPER = "https://journal.example/articles/1"
DIGEST = "sha256:" + "0" * 64


@pytest.fixture
def desk(database: Database, clock: FixedClock) -> Desk:
    return make_desk(database, clock)


def obligation(duty: str) -> Policy:
    return sample.form(f"targets: any dataset of this site\noblige:\n  - action: contribute update\n    duty:\n{duty}")


PRIOR = obligation("      do: sign agreement\n")
REPORT = obligation("      do: report finding\n      when: after\n      within: P10D\n      counted from: decision\n")


# coming to be ------------------------------------------------------------------------------------------------------


@pytest.mark.article("EHDS 61(4)")
@pytest.mark.article("EHDS 73(1)(e)")
def test_every_obligation_of_a_decision_becomes_a_dated_task(desk: Desk) -> None:
    compiled = sample.compiled()
    decision = decide(compiled, sample.request())
    tasks = desk.take_on()
    assert decision.permitted
    assert len(tasks) == len(decision.obligations)
    assert {(task.action, task.rule) for task in tasks} == {(o.action, o.rule) for o in decision.obligations}
    now = desk.clock.now()

    publish = desk.one("publishResults")
    assert (publish.party, publish.state, publish.due) == (HUB, TaskState.WAITING, None)
    keep = desk.one("keepLog")
    assert (keep.party, keep.state, keep.due) == (SITE, TaskState.OPEN, now + timedelta(days=365))
    assert "EHDS 73(1)(e)" in keep.articles
    assert desk.one("acknowledge").due is None
    assert desk.one("delete").state is TaskState.WAITING
    assert all(task.decision == "http://127.0.0.1:8101/id/decision/run-1" for task in tasks)
    assert "ObligationCreation" in log_text(desk.log)


def test_what_stands_for_many_decisions_is_one_task_that_names_them_all(desk: Desk) -> None:
    desk.take_on()
    first = desk.one("keepLog").due
    desk.wait(10)
    desk.take_on()
    assert desk.ledger.causes(desk.one("delete").id) == ["run-1", "run-2"]
    assert desk.ledger.causes(desk.one("acknowledge").id) == ["run-1", "run-2"]
    assert first is not None
    assert desk.one("keepLog").due == first + timedelta(days=10)
    assert len([task for task in desk.ledger.tasks() if task.action.endswith("publishResults")]) == 2
    assert {task.id for task in desk.ledger.tasks(run="run-2")} >= {desk.one("delete").id}
    desk.take_on(basis="agreement-2")
    assert len([task for task in desk.ledger.tasks() if task.action.endswith("delete")]) == 2


def test_what_is_not_logged_does_not_happen(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = desk.take_on()

    def fail(*_: object) -> None:
        raise StorageError("the log is full", fix="make room")

    monkeypatch.setattr(desk.log, "append", fail)
    with pytest.raises(StorageError):
        desk.take_on(run="run-other", basis="agreement-2")
    with pytest.raises(StorageError):
        desk.end("run-1")
    with pytest.raises(StorageError):
        desk.ledger.fulfil([desk.one("acknowledge").id], PAPER, by=desk.officer.person)
    assert desk.ledger.tasks() == sorted(tasks, key=lambda task: (task.due is None, task.created_at, task.id)) or {
        task.id for task in desk.ledger.tasks()
    } == {task.id for task in tasks}
    assert {task.state for task in desk.ledger.tasks()} == {TaskState.WAITING, TaskState.OPEN}


# events ------------------------------------------------------------------------------------------------------------


@pytest.mark.article("EHDS 61(4)")
def test_results_are_due_eighteen_months_after_completion(desk: Desk) -> None:
    desk.take_on()
    desk.wait(100)
    desk.end("run-1")
    publish = desk.one("publishResults")
    assert publish.state is TaskState.OPEN
    assert publish.due == desk.clock.now() + timedelta(days=548)
    assert publish.due is not None
    with pytest.raises(InputError, match="public reference"):
        desk.ledger.fulfil([publish.id], DIGEST, by=desk.steward.person)
    (done,) = desk.ledger.fulfil([publish.id], PAPER, by=desk.steward.person)
    assert done.state is TaskState.FULFILLED
    assert (done.evidence[0].value, done.evidence[0].at) == (PAPER, desk.clock.now())
    assert done.evidence[0].by.endswith(desk.steward.person.id)
    assert PAPER in log_text(desk.log)


@pytest.mark.article("EHDS 68(12)")
@pytest.mark.parametrize("state", ["PermitExpired", "PermitRevoked", "TERMINATED", "EXPIRED"])
def test_deletion_is_due_six_months_after_the_permit_ends(desk: Desk, state: str) -> None:
    desk.take_on()
    desk.expire(state="PermitSuspended")
    desk.expire(basis="agreement-other")
    assert desk.one("delete").state is TaskState.WAITING
    desk.wait(30)
    desk.expire(state=state)
    delete = desk.one("delete")
    assert delete.due == desk.clock.now() + timedelta(days=180)
    assert "EHDS 68(12)" in delete.articles
    desk.wait(181)
    desk.ledger.sweep()
    assert desk.one("delete").state is TaskState.VIOLATED


def test_a_run_that_never_started_leaves_no_duties_but_those_of_the_site(desk: Desk) -> None:
    desk.take_on()
    desk.take_on()
    desk.fail("run-1", started=False)
    states = {task.action.rpartition("#")[2]: task.state for task in desk.ledger.tasks(run="run-1")}
    assert states["keepLog"] is TaskState.OPEN
    assert {task.state for task in desk.ledger.tasks(run="run-2")} == {TaskState.WAITING, TaskState.OPEN}
    desk.fail("run-2", started=False)
    assert desk.one("keepLog").state is TaskState.OPEN


def test_a_run_that_read_data_and_failed_still_has_to_delete(desk: Desk) -> None:
    desk.take_on()
    desk.fail("run-1", started=True)
    assert desk.one("publishResults").state is TaskState.VOID
    assert desk.one("delete").state is TaskState.WAITING
    assert desk.one("publishResults").reason == "the run gave no result"


def test_what_holds_for_the_time_of_a_run_is_kept_when_no_breach_was_recorded(desk: Desk) -> None:
    during = obligation("      do: collaborate\n      when: during\n")
    desk.take_on(during)
    assert desk.one("collaborate").state is TaskState.OPEN
    desk.end("run-1")
    assert desk.one("collaborate").state is TaskState.FULFILLED
    desk.take_on(during, run="run-9", basis="agreement-9")
    broken = next(t for t in desk.ledger.tasks(run="run-9") if t.action.endswith("collaborate"))
    with pytest.raises(DeniedError, match="data protection officer"):
        desk.ledger.report_breach(broken.id, "worked alone", by=desk.steward.person)
    desk.ledger.report_breach(broken.id, "worked alone", by=desk.officer.person)
    desk.end("run-9")
    assert desk.ledger.task(broken.id).state is TaskState.VIOLATED


# the clock ---------------------------------------------------------------------------------------------------------


def test_what_is_late_blocks_the_party_before_anybody_swept_and_until_it_is_settled(desk: Desk) -> None:
    desk.take_on(REPORT)
    task = desk.one("reportFinding")
    now = desk.clock.now()
    assert desk.ledger.fulfilments(HUB, "other", None, now) == ()
    desk.wait(11)
    (told,) = desk.ledger.fulfilments(HUB, "other", None, desk.clock.now())
    assert (told.state, told.action, told.rule, told.at) == ("violated", task.action, task.rule, task.due)
    assert desk.ledger.fulfilments(SITE, "mgus", None, desk.clock.now()) == ()
    assert decide(sample.compiled(REPORT), sample.moved(sample.request(), fulfilled=(told,))).effect == "deny"

    assert [t.id for t in desk.ledger.sweep()] == [task.id]
    assert desk.ledger.sweep() == []
    assert "ObligationViolation" in log_text(desk.log)
    with pytest.raises(DeniedError, match="data protection officer"):
        desk.ledger.fulfil([task.id], DIGEST, by=desk.steward.person)
    (settled,) = desk.ledger.fulfil([task.id], DIGEST, by=desk.officer.person)
    assert settled.state is TaskState.SETTLED
    assert desk.ledger.fulfilments(HUB, "mgus", None, desk.clock.now()) == ()
    with pytest.raises(ConflictError, match="settled"):
        desk.ledger.fulfil([task.id], DIGEST, by=desk.officer.person)


@pytest.mark.article("EHDS 73(1)(e)")
def test_a_duty_to_keep_is_kept_when_its_date_passes_unbroken(desk: Desk) -> None:
    desk.take_on()
    desk.wait(366)
    assert desk.ledger.fulfilments(SITE, "mgus", None, desk.clock.now()) == ()
    assert desk.ledger.remind() == []
    desk.ledger.sweep()
    kept = desk.one("keepLog")
    assert kept.state is TaskState.FULFILLED
    assert kept.evidence[0].value.startswith("http://127.0.0.1:8101/log/")


def test_reminders_come_thirty_seven_and_one_days_ahead_each_once(desk: Desk) -> None:
    desk.take_on(
        obligation("      do: return data\n      when: after\n      within: P60D\n      counted from: decision\n")
    )
    noted = []
    for day in range(61):
        noted += [day for _ in desk.ledger.remind()]
        desk.wait(1)
    assert noted == [30, 53, 59]
    assert log_text(desk.log).count("ns#ObligationReminder>") == 3


@pytest.mark.article("EHDS 60(3)")
def test_standing_duties_are_noted_once_and_move_with_their_date(desk: Desk) -> None:
    def note(days: int) -> object:
        due = desk.clock.now() + timedelta(days=days)
        return desk.database.write(
            lambda c: desk.ledger.impose(
                c, "https://w3id.org/synthema/ns#checkDescription", party=SITE, subject="description of mgus", due=due,
                articles=("EHDS 60(3)",), dataset="mgus",
            )
        )  # fmt: skip

    assert note(365) is not None
    assert note(365) is None
    assert note(400) is None
    task = desk.one("checkDescription")
    assert task.due == desk.clock.now() + timedelta(days=400)
    desk.ledger.fulfil([task.id], DIGEST, by=desk.steward.person)
    with desk.database.read() as connection:
        done = desk.ledger.last_done(connection, task.action, "description of mgus")
    assert done == desk.clock.now()
    assert note(365) is not None


# before the act ----------------------------------------------------------------------------------------------------


def test_a_prior_duty_is_left_open_by_the_refusal_and_its_fulfilment_permits(desk: Desk) -> None:
    compiled = sample.compiled(PRIOR)
    assert decide(compiled, sample.request()).effect == "deny"
    for number in range(3):
        desk.take_on_under(compiled, sample.request(), f"run-{number}")
    task = desk.one("signAgreement")
    assert (task.state, task.party, task.basis) == (TaskState.OPEN, HUB, BASIS)
    desk.ledger.fulfil([task.id], DIGEST, by=desk.steward.person)
    for dataset, basis, counts in (("mgus", BASIS, True), ("mds", BASIS, False), ("mgus", "agreement-2", False)):
        told = desk.ledger.fulfilments(HUB, dataset, basis, desk.clock.now())
        asked = sample.moved(sample.request(), at=desk.clock.now(), fulfilled=told)
        assert (decide(compiled, asked).effect == "permit") is counts


def test_what_was_done_before_anybody_asked_can_be_recorded(desk: Desk) -> None:
    compiled = sample.compiled(PRIOR)
    given = {"party": HUB, "dataset": "mgus", "basis": BASIS, "rule": PRIOR.rules[0].id, "evidence": DIGEST}
    action = PRIOR.rules[0].duties[0].action
    with pytest.raises(DeniedError):
        desk.database.write(lambda c: desk.ledger.record_prior(c, action, by=desk.steward.person, **given))
    desk.database.write(lambda c: desk.ledger.record_prior(c, action, by=desk.officer.person, **given))
    told = desk.ledger.fulfilments(HUB, "mgus", BASIS, desk.clock.now())
    asked = sample.moved(sample.request(), at=desk.clock.now(), fulfilled=told)
    assert decide(compiled, asked).effect == "permit"


# evidence and waivers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["done", "", "see my desk", "sha256:12", "ftp://example.org/x", "http://localhost"])
def test_words_are_no_evidence(desk: Desk, words: str) -> None:
    desk.take_on()
    with pytest.raises(InputError, match="no evidence"):
        desk.ledger.fulfil([desk.one("acknowledge").id], words, by=desk.officer.person)


def test_an_entry_of_the_log_has_to_be_there(desk: Desk) -> None:
    desk.take_on()
    task = desk.one("acknowledge")
    for wrong in (f"http://127.0.0.1:8101/log/{desk.log.size()}", "https://other.example/log/0"):
        with pytest.raises(InputError, match="no such entry"):
            desk.ledger.fulfil([task.id], wrong, by=desk.officer.person)
    (done,) = desk.ledger.fulfil([task.id], "http://127.0.0.1:8101/log/0", by=desk.officer.person)
    assert done.state is TaskState.FULFILLED


def test_one_piece_of_evidence_serves_several_or_none(desk: Desk) -> None:
    desk.take_on()
    ids = [desk.one("acknowledge").id, desk.one("publishResults").id]
    with pytest.raises(NotFoundError):
        desk.ledger.fulfil([*ids, "obligation-none"], PAPER, by=desk.steward.person)
    assert {desk.ledger.task(one).state for one in ids} == {TaskState.OPEN, TaskState.WAITING}
    done = desk.ledger.fulfil(ids, PAPER, by=desk.steward.person)
    assert {task.state for task in done} == {TaskState.FULFILLED}


def test_two_people_waive_and_never_what_the_law_demands(desk: Desk) -> None:
    desk.take_on(REPORT)
    task = desk.one("reportFinding")
    reason = "nothing was found that matters to anybody's health"
    data = waiver_bytes(task, reason)
    officer, steward = desk.officer.over(data), desk.steward.over(data)
    for approvals in ([officer], [officer, officer], [steward]):
        with pytest.raises(DeniedError):
            desk.ledger.waive(task.id, reason, approvals)
    with pytest.raises(IntegrityError):
        desk.ledger.waive(task.id, "another reason", [officer, steward])
    with pytest.raises(InputError):
        desk.ledger.waive(task.id, " ", [officer, steward])
    waived = desk.ledger.waive(task.id, reason, [officer, steward])
    assert (waived.state, waived.reason) == (TaskState.WAIVED, reason)
    desk.wait(30)
    assert desk.ledger.fulfilments(HUB, "mgus", None, desk.clock.now()) == ()

    keep = desk.one("keepLog")
    data = waiver_bytes(keep, reason)
    with pytest.raises(DeniedError, match=r"EHDS 73\(1\)\(e\)"):
        desk.ledger.waive(keep.id, reason, [desk.officer.over(data), desk.steward.over(data)])


def test_only_listed_steps_happen() -> None:
    for state in TaskState:
        for event in ("begin", "fulfil", "violate", "settle", "waive", "void"):
            if (state, event) in TRANSITIONS:
                assert advance(state, event) is TRANSITIONS[(state, event)]
            else:
                with pytest.raises(ConflictError):
                    advance(state, event)


def test_deadlines_that_come_near_are_found(desk: Desk) -> None:
    desk.take_on(REPORT)
    near = desk.ledger.tasks(due_within=timedelta(days=30))
    assert [task.action.rpartition("#")[2] for task in near] == ["reportFinding"]
    assert desk.ledger.tasks(party=SITE)[0].action.endswith("keepLog")
    assert desk.ledger.tasks(dataset="other") == []
    assert desk.one("reportFinding").as_dict()["due"] == "2026-12-01T10:00:00.000000Z"


def with_consequence() -> Policy:
    """The duty to report, with the duty to inform the access body if it is not kept."""
    (rule,) = REPORT.rules
    (duty,) = rule.duties
    inform = Duty(duty.action.replace("reportFinding", "informHDAB"))
    return replace(REPORT, rules=(replace(rule, duties=(replace(duty, consequences=(inform,)),)),))


@pytest.mark.parametrize("first", ["duty", "consequence"])
def test_what_was_not_kept_is_settled_with_all_that_follows_from_it(desk: Desk, first: str) -> None:
    desk.take_on(with_consequence())
    assert not [task for task in desk.ledger.tasks() if task.action.endswith("informHDAB")]
    desk.wait(11)
    desk.ledger.sweep()
    broken, inform = desk.one("reportFinding"), desk.one("informHDAB")
    assert (inform.parent, inform.due, inform.state) == (broken.id, None, TaskState.OPEN)
    order = [broken.id, inform.id] if first == "duty" else [inform.id, broken.id]
    desk.ledger.fulfil(order[:1], DIGEST, by=desk.officer.person)
    assert desk.one("reportFinding").state is TaskState.VIOLATED
    assert desk.ledger.fulfilments(HUB, "mgus", None, desk.clock.now())[0].state == "violated"
    desk.ledger.fulfil(order[1:], DIGEST, by=desk.officer.person)
    assert desk.one("reportFinding").state is TaskState.SETTLED
    assert desk.one("informHDAB").state is TaskState.FULFILLED
    assert desk.ledger.fulfilments(HUB, "mgus", None, desk.clock.now()) == ()
