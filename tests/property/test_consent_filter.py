"""The filter over columns answers as one record after the other would; an import twice is an import once."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from synthema.clock import FixedClock
from synthema.consent import (
    ConsentItem,
    ConsentLine,
    ConsentList,
    ConsentRecord,
    ConsentState,
    ConsentStore,
    Ground,
    NationalException,
    OptOut,
    OptOutState,
    Question,
    Representative,
    WithdrawalLevel,
    machine_for,
    store,
)
from synthema.consent.model import full_basis
from synthema.errors import InputError
from synthema.storage import Database, metadata
from tests.unit.datasets.support import make_log, make_signer

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BASES = ("A9-2-a", "A9-2-j", "eu-gdpr:A6-1-a", "https://w3id.org/dpv/legal/eu/gdpr#A9-2-i")
PURPOSES = ("urn:p1", "urn:p2", "urn:p3")
PEOPLE = ["a", "b", "c", "d", "e", "f"]

moments = st.integers(-3, 3).map(lambda days: NOW + timedelta(days=days))
items = st.frozensets(st.sampled_from(ConsentItem), max_size=4).map(lambda found: found | {ConsentItem.SECONDARY_USE})
purposes = st.frozensets(st.sampled_from(PURPOSES), max_size=2)


def maybe(strategy: st.SearchStrategy[datetime]) -> st.SearchStrategy[datetime | None]:
    return st.one_of(st.none(), strategy)


@st.composite
def records(draw: st.DrawFn) -> ConsentRecord:
    return ConsentRecord(
        id=f"consent-{draw(st.uuids())}",
        dataset_id="mgus",
        patient_token=draw(st.sampled_from(PEOPLE)),
        legal_basis=draw(st.one_of(st.none(), st.sampled_from(BASES))),
        state=draw(st.one_of(st.just(ConsentState.GIVEN), st.sampled_from(ConsentState))),
        effective_at=draw(moments),
        items=draw(items),
        valid_from=draw(maybe(moments)),
        valid_to=draw(maybe(moments)),
        purposes=draw(purposes),
        representative=draw(
            st.one_of(st.none(), st.integers(18, 24).map(lambda day: Representative("parent", date(2026, 11, day))))
        ),
        no_new_data_since=draw(maybe(moments)),
    )


@st.composite
def opt_outs(draw: st.DrawFn) -> OptOut:
    state = draw(st.sampled_from([OptOutState.OUT, OptOutState.REVERSED]))
    return OptOut(f"optout-{draw(st.uuids())}", draw(st.sampled_from(PEOPLE)), state, draw(moments))


grounds = st.builds(
    Ground,
    st.sampled_from(BASES),
    maybe(moments),
    moments,
    st.builds(Question, items, st.one_of(st.none(), purposes), maybe(moments)),
    st.one_of(st.none(), st.just(NationalException("urn:law", "a reason", "urn:permit"))),
)


def slow(found: list[ConsentRecord], outs: list[OptOut], ground: Ground) -> dict[str, str | None]:
    """Person → why left out: one person after the other, in plain words."""
    answers: dict[str, str | None] = {}
    for key in PEOPLE:
        mine = [r for r in found if r.patient_token == key and r.effective_at <= ground.at]
        record = mine[-1] if mine else None
        basis = ground.legal_basis if record is None or record.legal_basis is None else record.legal_basis
        if machine_for(basis) == "consent":
            answers[key] = "ConsentUnknown" if record is None else record.refusal(ground.at, ground.question)
            continue
        own = [o for o in outs if o.patient_token == key and o.effective_at <= ground.at]
        blocks = bool(own) and own[-1].blocks(ground.permit_approved_at) and ground.exception is None
        answers[key] = "OptedOut" if blocks else None
    return answers


@given(st.lists(records(), max_size=15), st.lists(opt_outs(), max_size=8), grounds)
@settings(max_examples=40)
def test_the_filter_answers_as_one_record_after_the_other(
    found: list[ConsentRecord], outs: list[OptOut], ground: Ground
) -> None:
    with _database() as database:
        clock = FixedClock(NOW)
        consents = ConsentStore(database, make_log(database, clock), clock, make_signer())
        mine = [replace(r, patient_token=consents._ledger.consent_token("mgus", r.patient_token)) for r in found]
        blocks = [replace(o, patient_token=consents._ledger.opt_out_token(o.patient_token)) for o in outs]
        database.write(lambda connection: store.insert_consents(connection, mine, NOW))
        database.write(lambda connection: store.insert_opt_outs(connection, blocks, NOW))
        consents.enrol("mgus", "dataset-1", PEOPLE)
        by_name = consents.exclusions("mgus", PEOPLE, ground)
        in_numbers = consents.cohort_exclusions("mgus", "dataset-1", ground)
    expected = slow(found, outs, ground)
    left_out = {key: reason for key, reason in expected.items() if reason is not None}
    assert by_name.excluded == set(left_out)
    assert replace(by_name, excluded=frozenset()) == in_numbers
    assert in_numbers.reasons == dict(Counter(left_out.values()))
    assert in_numbers.left_out == len(left_out)
    assert in_numbers.remaining == len(PEOPLE) - len(left_out) == sum(in_numbers.bases.values())
    assert in_numbers.consented == sum(n for basis, n in in_numbers.bases.items() if machine_for(basis) == "consent")
    assert all(basis == full_basis(basis) for basis in in_numbers.bases)
    if ground.exception is None:
        assert in_numbers.overruled == 0


@st.composite
def lines(draw: st.DrawFn, key: int) -> ConsentLine:
    days = st.integers(-300, -1).map(lambda day: NOW + timedelta(days=day))
    out = draw(maybe(days))
    back = None if out is None else draw(st.one_of(st.none(), st.just(out + timedelta(hours=1))))
    state = draw(st.sampled_from(ConsentState))
    return ConsentLine(
        where=f"line {key}",
        patient_key=f"K-{key}",
        state=state,
        date=draw(days),
        opt_out_date=out,
        opt_in_date=back,
        legal_basis=draw(st.one_of(st.none(), st.sampled_from(BASES))),
        items=draw(items),
        purposes=draw(purposes),
        level=WithdrawalLevel.ACCESS if state is ConsentState.GIVEN and draw(st.booleans()) else None,
        source=draw(st.one_of(st.none(), st.just((f"r-{key}", "1")))),
    )


lists = st.lists(st.integers(0, 5), unique=True, min_size=1, max_size=5).flatmap(
    lambda keys: st.tuples(*(lines(key) for key in keys))
)


@given(lists)
@settings(max_examples=25)
def test_an_import_twice_is_an_import_once(given_lines: tuple[ConsentLine, ...]) -> None:
    taken = ConsentList(given_lines, has_opt_outs=True)
    with _database() as database:
        clock = FixedClock(NOW)
        consents = ConsentStore(database, make_log(database, clock), clock, make_signer())
        first = consents.import_list("mgus", taken, "list")
        before = _everything(database)
        clock.advance(timedelta(days=1))
        second = consents.import_list("mgus", taken, "list")
        assert (second.consents_changed, second.opt_outs_changed, second.version) == (0, 0, first.version)
        assert _everything(database) == before


@given(lists, lists)
@settings(max_examples=25)
def test_a_dry_run_foresees_what_happens(known: tuple[ConsentLine, ...], news: tuple[ConsentLine, ...]) -> None:
    with _database() as database:
        clock = FixedClock(NOW)
        consents = ConsentStore(database, make_log(database, clock), clock, make_signer())
        consents.import_list("mgus", ConsentList(known, has_opt_outs=True), "list")
        before = _everything(database)
        taken = ConsentList(news, has_opt_outs=True)
        foreseen = consents.import_list("mgus", taken, "list", dry_run=True)
        assert _everything(database) == before
        try:
            done = consents.import_list("mgus", taken, "list")
        except InputError:
            assert foreseen.problems
            assert _everything(database) == before
            return
        assert not foreseen.problems
        assert (done.changes, done.unchanged, done.stale) == (foreseen.changes, foreseen.unchanged, foreseen.stale)


def _everything(database: Database) -> list[object]:
    with database.read() as connection:
        return [
            connection.exec_driver_sql(f"SELECT * FROM {table}").all()  # noqa: S608 - names of our own
            for table in ("consent_records", "consent_opt_outs", "consent_list_versions")
        ]


@contextmanager
def _database() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder)}/state.sqlite")
        few = [table for name, table in metadata.tables.items() if name.startswith(("consent_", "log_"))]
        metadata.create_all(database.engine, tables=few)
        try:
            yield database
        finally:
            database.close()
