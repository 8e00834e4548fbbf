"""Activities have one canonical form that any reader understands; every changed byte of the log is found."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyoxigraph
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from synthema.clock import FixedClock
from synthema.errors import InputError, IntegrityError
from synthema.identity import FileSigner
from synthema.provenance import Activity, Agent, Entity, Iri, ProvenanceLog, make_bundle, verify_bundle
from synthema.provenance.model import SYNTHEMA, node
from synthema.provenance.store import log_entries
from synthema.storage import Database, metadata

GRAPH = "http://127.0.0.1:8101/log/0"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
moments = st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone
names = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=12)
iris = st.builds(lambda name: f"https://hospital.example/id/thing/{name}", names)
values = st.one_of(texts, st.integers(), st.floats(), st.booleans(), moments, st.builds(Iri, iris))
attributes = st.dictionaries(names, values, max_size=4)
things = st.builds(
    Entity,
    iri=iris,
    types=st.lists(names, max_size=2).map(tuple),
    label=st.none() | texts,
    digest=st.none() | texts,
    derived_from=st.lists(iris, max_size=2).map(tuple),
    attributes=attributes,
)
agents = st.builds(
    Agent,
    iri=iris,
    kind=st.sampled_from(["Person", "Organization", "SoftwareAgent"]),
    label=st.none() | texts,
    acts_for=st.none() | iris,
)
activities = st.builds(
    Activity,
    iri=iris,
    type=names,
    label=texts,
    started=moments,
    ended=moments,
    agents=st.lists(agents, max_size=2).map(tuple),
    used=st.lists(things, max_size=2).map(tuple),
    generated=st.lists(things, max_size=2).map(tuple),
    informed_by=st.lists(iris, max_size=2).map(tuple),
    attributes=attributes,
)


class Statement(NamedTuple):
    """One statement as another reader sees it: plain texts."""

    subject: str
    predicate: str
    object: str
    graph: str


def _read(body: bytes) -> list[Statement]:
    return [
        Statement(*(str(getattr(part, "value", part)) for part in quad))
        for quad in pyoxigraph.parse(body, pyoxigraph.RdfFormat.N_QUADS)
    ]


@given(activities, st.none() | moments)
def test_another_reader_gets_the_same_statements(activity: Activity, recorded: datetime | None) -> None:
    body = activity.nquads(GRAPH, recorded=recorded)
    assert body == activity.nquads(GRAPH, recorded=recorded)
    quads = _read(body)
    lines = body.split(b"\n")
    assert lines.pop() == b""
    assert len(quads) == len(lines) == len(set(lines))
    assert lines == sorted(lines)
    assert {quad.graph for quad in quads} == {GRAPH}
    labels = {quad.object for quad in quads if quad.subject == activity.iri and "label" in quad.predicate}
    assert activity.label in labels
    for key, value in activity.attributes.items():
        found = {quad.object for quad in quads if quad.subject == activity.iri and quad.predicate == SYNTHEMA + key}
        if isinstance(value, str):
            assert value in found
        elif isinstance(value, Iri):
            assert value.value in found
        elif isinstance(value, int) and not isinstance(value, bool):
            assert str(value) in found


@given(activities, texts)
def test_no_text_can_bring_statements_of_its_own(activity: Activity, text: str) -> None:
    hostile = f'" .\n<http://evil.example/s> <http://evil.example/p> "{text}'
    plain = Activity(activity.iri, activity.type, "label", activity.started, activity.ended)
    changed = Activity(activity.iri, activity.type, hostile, activity.started, activity.ended)
    assert len(_read(changed.nquads(GRAPH))) == len(_read(plain.nquads(GRAPH)))


@given(st.text(max_size=20).map(lambda text: f"https://hospital.example/{text}") | st.text(max_size=10))
def test_an_iri_is_refused_or_read_back(text: str) -> None:
    try:
        written = node(text)
    except InputError:
        return
    (quad,) = _read(f"{written} {written} {written} {written} .\n".encode())
    assert quad.subject == quad.predicate == text


@pytest.mark.parametrize(
    "text", ["_:b0", "", "x", ":x", "a b:c", "http://a/\n", "http://a/>", "http://[", "http://a/%zz"]
)
def test_what_is_no_iri_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        node(text)


def test_half_a_character_is_refused() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(InputError):
        Activity("http://a/", "Run", "\ud800", at, at).nquads(GRAPH)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProvenanceLog]:
    """A log of eleven entries; what a test changes in it, it puts back."""
    folder: Path = tmp_path_factory.mktemp("log")
    database = Database(f"sqlite:///{folder}/state.sqlite")
    metadata.create_all(database.engine)
    signer = FileSigner.create(folder / "keys", b"correct horse battery")
    clock = FixedClock(datetime(2026, 11, 21, 10, 0, tzinfo=UTC))
    log = ProvenanceLog(database, signer, "http://127.0.0.1:8101", clock)
    for number in range(11):
        thing = Entity(log.iri("thing", str(number)), label="Grüße")
        log.record(Activity(log.iri("run", str(number)), "Run", "Step", clock.now(), clock.now(), generated=(thing,)))
    log.checkpoint()
    yield log
    database.close()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_changed_byte_is_found_and_named(log: ProvenanceLog, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 10))
    column = data.draw(st.sampled_from(["body", "leaf_hash"]))
    entry = log.entry(number)
    before = entry.body if column == "body" else bytes.fromhex(entry.leaf_hash)
    after = bytearray(before)
    after[data.draw(st.integers(0, len(before) - 1))] ^= data.draw(st.integers(1, 255))

    def write(value: bytes) -> None:
        change = update(log_entries).where(log_entries.c.sequence == number).values({column: value})
        log.database.write(lambda connection: connection.execute(change).close())

    write(bytes(after))
    try:
        with pytest.raises(IntegrityError) as caught:
            log.verify()
        assert caught.value.where == f"log entry {number}"
    finally:
        write(before)
    log.verify()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_bundle_with_a_changed_byte_does_not_hold(log: ProvenanceLog, data: st.DataObject) -> None:
    bundle = make_bundle(log, data.draw(st.integers(0, 10)))
    verify_bundle(bundle, log.key)
    member = data.draw(st.sampled_from(["entry", "checkpoint"]))
    text = bundle[member]
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != text[place]))
    with pytest.raises(IntegrityError):
        verify_bundle(bundle | {member: text[:place] + other + text[place + 1 :]}, log.key)
