"""Whatever was derived, each thing gets exactly one consequence, and nothing that was not derived gets any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthema.assembly.withdrawal.judging import PastUse, Person, gravest, touch
from synthema.assembly.withdrawal.model import (
    AT_REST,
    BY_ITSELF,
    Cause,
    Consequence,
    Derived,
    Kind,
    Rules,
    Touch,
    Trace,
)
from synthema.assembly.withdrawal.planning import make_plan
from synthema.consent import (
    ConsentItem,
    ConsentRecord,
    ConsentState,
    Ground,
    OptOut,
    OptOutState,
    Question,
    WithdrawalLevel,
)

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
CONSENT = "https://w3id.org/dpv/legal/eu/gdpr#A9-2-a"
RESEARCH = "https://w3id.org/dpv/legal/eu/gdpr#A9-2-j"

subjects = st.integers(0, 30).map(lambda number: f"https://a.example/id/thing/{number}")
things = st.builds(
    Derived,
    subjects,
    st.sampled_from(Kind),
    st.just("a thing"),
    touch=st.sampled_from(Touch),
    shown=st.sampled_from(((), ("It was made with noise accounted for.",))),
    gone=st.booleans(),
    holder=st.sampled_from((None, "did:web:hub.example")),
    details=st.fixed_dictionaries(
        {}, optional={"rounds": st.booleans(), "certificates": st.just(["https://a.example/id/certificate/1"])}
    ),
)
fates = st.sampled_from(("keep", "retrain", "suspend", "delete"))
rules = st.builds(
    Rules,
    running=st.sampled_from(("drop", "stop")),
    aggregate=fates,
    synthetic=fates,
    model=fates,
    untested=st.sampled_from(("retrain", "suspend", "delete")),
    certificate=st.sampled_from(("keep", "suspend")),
)
causes = st.builds(Cause, st.sampled_from(("consent", "opt-out", "notice")), st.just("mgus"), st.just(7), st.just(NOW))


@given(st.lists(things, max_size=40), rules, causes)
def test_each_derived_thing_has_exactly_one_consequence(found: list[Derived], chosen: Rules, cause: Cause) -> None:
    plan = make_plan(cause, Trace(tuple(found)), chosen)
    named = [item.subject for item in plan.items]
    assert len(named) == len(set(named))
    assert set(named) == {thing.subject for thing in found}, "nothing outside the lineage is touched"


@given(st.lists(things, max_size=40), rules, causes)
def test_each_consequence_says_why_on_which_ground_and_until_when(
    found: list[Derived], chosen: Rules, cause: Cause
) -> None:
    for item in make_plan(cause, Trace(tuple(found)), chosen).items:
        assert item.why.endswith(".")
        assert item.articles
        assert (item.due is None) == (item.consequence in AT_REST)
        assert "unlearn" not in item.why.lower() or "nothing is unlearned" in item.why.lower()


@given(st.lists(things, max_size=40), rules, causes)
def test_what_was_never_shown_to_be_anonymous_is_never_kept(found: list[Derived], chosen: Rules, cause: Cause) -> None:
    outputs = (Kind.SYNTHETIC, Kind.MODEL, Kind.AGGREGATE)
    graver = {thing.subject for thing in found if thing.touch is Touch.USED and not thing.gone}
    shown = {thing.subject for thing in found if thing.shown}
    for item in make_plan(cause, Trace(tuple(found)), chosen).items:
        if item.kind in outputs and item.subject in graver - shown:
            assert item.consequence is not Consequence.ASSESS


@given(st.lists(things, max_size=40), rules, causes)
def test_an_untouched_or_vanished_thing_asks_for_nothing(found: list[Derived], chosen: Rules, cause: Cause) -> None:
    harmless = [thing for thing in found if thing.touch is not Touch.USED or thing.gone]
    plan = make_plan(cause, Trace(tuple(harmless)), chosen)
    assert plan.undoes_nothing
    assert all(item.consequence is Consequence.NOTHING for item in plan.items)


@given(st.lists(things, max_size=40), rules, causes)
def test_a_plan_is_the_same_every_time(found: list[Derived], chosen: Rules, cause: Cause) -> None:
    trace = Trace(tuple(found))
    assert make_plan(cause, trace, chosen) == make_plan(cause, trace, chosen)


@given(st.lists(things, max_size=40), causes)
def test_rows_of_single_persons_are_always_deleted_by_the_connector(found: list[Derived], cause: Cause) -> None:
    extracts = [
        Derived(thing.subject, Kind.EXTRACT, thing.label, shown=thing.shown) for thing in found
    ]  # even where something claims to show that they are anonymous
    for item in make_plan(cause, Trace(tuple(extracts)), Rules()).items:
        assert item.consequence is Consequence.DELETE
        assert item.consequence in BY_ITSELF


# ── how a withdrawal bears on a use ──────────────────────────────────────────────────────────────────────────────────

hours = st.integers(-1000, -1)


def at(hour: int) -> datetime:
    return NOW + timedelta(hours=hour)


def opted_out(effective: int, recorded: int) -> Person:
    return Person(opt_outs=[(OptOut("optout-1", "token", OptOutState.OUT, at(effective)), at(recorded))])


def use(read: int, *, approved: int | None = None, basis: str = RESEARCH) -> PastUse:
    ground = Ground(basis, None if approved is None else at(approved), at(read))
    return PastUse(ground, (at(read),))


@pytest.mark.article("EHDS 71(3)")
@given(hours, hours, hours)
def test_only_permits_approved_after_an_opt_out_are_reached(approved: int, read: int, out: int) -> None:
    """Recorded when it was made: an earlier permit goes on, a later one never read the record at all."""
    found = touch(opted_out(out, out), use(read, approved=approved), NOW)
    if read > out and approved >= out:
        assert found is None, "it was left out of the run by the filter"
    elif approved < out:
        assert found is Touch.EARLIER_PERMIT
    else:
        assert found is Touch.USED, "read before the permit was approved: cannot be lawful, so it is followed"


@pytest.mark.article("EHDS 71(3)")
@given(hours, hours, hours)
def test_an_opt_out_that_was_entered_late_reaches_what_it_should_have_stopped(read: int, out: int, late: int) -> None:
    person = opted_out(min(out, read), max(late, read) + 1)
    assert touch(person, use(read, approved=max(out, read)), NOW + timedelta(days=1)) is Touch.USED


@pytest.mark.article("EHDS 71(1)")
@given(hours, hours)
def test_without_a_permit_what_was_made_before_the_opt_out_stays(read: int, out: int) -> None:
    found = touch(opted_out(out, out), use(read), NOW)
    assert found is (None if read > out else Touch.EARLIER_USE)


def consent(state: ConsentState, moment: datetime, **changes: object) -> tuple[ConsentRecord, datetime]:
    values = {"id": "consent-1", "dataset_id": "mgus", "patient_token": "t", "legal_basis": None}
    return (ConsentRecord(**values, state=state, effective_at=moment, **changes), moment)  # type: ignore[arg-type]


@pytest.mark.article("GDPR 7(3)")
@given(hours, hours, hours)
def test_a_withdrawn_consent_reaches_every_use_that_rested_on_it(given_: int, withdrawn: int, read: int) -> None:
    first, last = sorted((given_, withdrawn))
    person = Person(
        [consent(ConsentState.GIVEN, at(first)), consent(ConsentState.WITHDRAWN, at(last), level=WithdrawalLevel.USE)]
    )
    found = touch(person, use(read, approved=-5000, basis=CONSENT), NOW)
    assert found is (Touch.USED if first <= read <= last else None), "the permit's date plays no part"


@pytest.mark.article("GDPR 7(3)")
def test_no_further_contact_or_access_leaves_what_was_made_as_it_is() -> None:
    ground = Ground(CONSENT, None, at(-5), Question(data_as_of=at(-20)))
    given_ = consent(ConsentState.GIVEN, at(-10))
    for level, since in ((WithdrawalLevel.CONTACT, None), (WithdrawalLevel.ACCESS, at(-1))):
        less = consent(ConsentState.GIVEN, at(-1), level=level, no_new_data_since=since)
        assert touch(Person([given_, less]), PastUse(ground, (at(-5),)), NOW) is Touch.COVERED


def test_a_box_that_was_unticked_reaches_only_the_uses_that_needed_it() -> None:
    both = frozenset({ConsentItem.SECONDARY_USE, ConsentItem.FOR_PROFIT})
    person = Person(
        [
            consent(ConsentState.GIVEN, at(-10), items=both),
            consent(ConsentState.GIVEN, at(-1), items=frozenset({ConsentItem.SECONDARY_USE})),
        ]
    )
    for required, expected in ((both, Touch.USED), (frozenset({ConsentItem.SECONDARY_USE}), Touch.COVERED)):
        ground = Ground(CONSENT, None, at(-5), Question(required))
        assert touch(person, PastUse(ground, (at(-5),)), NOW) is expected


def test_of_several_people_the_gravest_counts() -> None:
    assert gravest([None, Touch.COVERED, Touch.USED, Touch.EARLIER_PERMIT]) is Touch.USED
    assert gravest([None, None]) is None
