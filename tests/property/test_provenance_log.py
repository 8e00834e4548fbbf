"""Activities have one canonical form that any reader understands; every changed byte of the log is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyoxigraph
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import LargeBinary, Table, Text, literal, select, type_coerce, update
from sqlalchemy.types import NullType

from synthema.clock import FixedClock
from synthema.errors import InputError, IntegrityError
from synthema.identity import FileSigner
from synthema.provenance import (
    COSIGNATURE,
    Activity,
    Agent,
    Entity,
    Handover,
    Iri,
    LogKeys,
    ProvenanceLog,
    VerifierKey,
    hand_over,
    make_bundle,
    verify_bundle,
    verify_tiles,
    write_tiles,
)
from synthema.provenance.checkpoint import cosign, parse_note
from synthema.provenance.model import SYNTHEMA, node
from synthema.provenance.store import log_checkpoints, log_entries, log_nodes
from synthema.provenance.tiles import tile_path, tiles_of
from tests.databases import new_database

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


HANDOVERS = (4, 8)


@pytest.fixture(scope="module", params=[(), HANDOVERS], ids=["one key", "three keys"])
def log(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProvenanceLog]:
    """A log of eleven entries, some of them handovers to another key; what a test changes in it, it puts back."""
    folder: Path = tmp_path_factory.mktemp("log")
    database = new_database(folder / "state.sqlite")
    signer = FileSigner.create(folder / "keys", b"correct horse battery")
    clock = FixedClock(datetime(2026, 11, 21, 10, 0, tzinfo=UTC))
    log = ProvenanceLog(database, signer, "http://127.0.0.1:8101", clock)
    for number in range(11):
        if number in request.param:
            signer.prepare_successor("log", b"correct horse battery")
            hand_over(log, "The key was old.", (), clock.now())
            signer.adopt_successor("log")
            continue
        thing = Entity(log.iri("thing", str(number)), label="Grüße")
        log.record(Activity(log.iri("run", str(number)), "Run", "Step", clock.now(), clock.now(), generated=(thing,)))
    log.checkpoint()
    yield log
    database.close()


def _flipped(data: st.DataObject, before: bytes) -> bytes:
    """The bytes with one of them changed."""
    after = bytearray(before)
    after[data.draw(st.integers(0, len(before) - 1))] ^= data.draw(st.integers(1, 255))
    return bytes(after)


@contextmanager
def _changed(log: ProvenanceLog, table: Table, key: Mapping[str, int], column: str, value: object) -> Iterator[None]:
    """One field of the log's tables is another inside, and what it was afterwards."""
    where = [table.c[name] == number for name, number in key.items()]

    def write(new: object) -> None:
        # As the bytes lie in the file: the types of the columns would refuse some of them.
        change = (
            update(table)
            .where(*where)
            .values({column: literal(new, type_=LargeBinary if isinstance(new, bytes) else Text)})
        )
        log.database.write(lambda connection: connection.execute(change).close())

    with log.database.read() as connection:
        before = connection.scalar(select(type_coerce(table.c[column], NullType())).where(*where))
    write(value)
    try:
        yield
    finally:
        write(before)
    log.verify()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_changed_byte_of_an_entry_is_found_and_named(log: ProvenanceLog, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 10))
    column = data.draw(st.sampled_from(["body", "leaf_hash"]))
    entry = log.entry(number)
    before = entry.body if column == "body" else bytes.fromhex(entry.leaf_hash)
    with _changed(log, log_entries, {"sequence": number}, column, _flipped(data, before)):
        with pytest.raises(IntegrityError) as caught:
            log.verify()
        assert caught.value.where == f"log entry {number}"


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_changed_character_beside_an_entry_is_found_and_named(log: ProvenanceLog, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 10))
    before = log.entry(number).graph
    place = data.draw(st.integers(0, len(before) - 1))
    other = data.draw(st.characters(min_codepoint=32, max_codepoint=126).filter(lambda c: c != before[place]))
    with _changed(log, log_entries, {"sequence": number}, "graph", before[:place] + other + before[place + 1 :]):
        with pytest.raises(IntegrityError) as caught:
            log.verify()
        assert caught.value.where == f"log entry {number}"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_changed_byte_of_the_tree_is_found_and_an_entry_below_it_named(
    log: ProvenanceLog, data: st.DataObject
) -> None:
    with log.database.read() as connection:
        nodes = connection.execute(select(log_nodes)).all()
    found = data.draw(st.sampled_from(nodes))
    key = {"last_leaf": found.last_leaf, "level": found.level}
    with _changed(log, log_nodes, key, "hash", _flipped(data, found.hash)):
        with pytest.raises(IntegrityError) as caught:
            log.verify()
        assert caught.value.where == f"log entry {found.last_leaf}"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_changed_byte_of_a_kept_checkpoint_is_found_and_named(log: ProvenanceLog, data: st.DataObject) -> None:
    both = [handover.size for handover in log.keys.handovers]
    size = data.draw(st.sampled_from([*both, 11]))
    before = log.signed_checkpoint(size)
    after = _flipped(data, before.encode()).decode("latin-1")
    with _changed(log, log_checkpoints, {"size": size}, "note", after):
        with pytest.raises(IntegrityError) as caught:
            log.verify()
        assert caught.value.where == (f"log entry {size - 1}" if size in both else f"checkpoint {size}")


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_bundle_with_a_changed_byte_does_not_hold(log: ProvenanceLog, data: st.DataObject) -> None:
    bundle = make_bundle(log, data.draw(st.integers(0, 10)))
    witness = _witnessed(log)
    verify_bundle(bundle + witness[1], log.key, witnesses=[witness[0]], quorum=1)
    changed = _flipped(data, (bundle + witness[1]).encode()).decode(errors="replace")
    with pytest.raises(IntegrityError):
        verify_bundle(changed, log.key, witnesses=[witness[0]], quorum=1)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_handover_with_a_changed_byte_leads_to_no_other_key(log: ProvenanceLog, data: st.DataObject) -> None:
    """Not to the same one either: what is not as both keys signed it says nothing."""
    known = log.keys
    if not known.handovers:
        return
    handover = data.draw(st.sampled_from(known.handovers))
    changed = _flipped(data, handover.bundle.encode()).decode(errors="replace")
    with pytest.raises((IntegrityError, InputError)):
        Handover.read(changed)
    bundles = [changed if each is handover else each.bundle for each in known.handovers]
    with pytest.raises(IntegrityError):
        LogKeys.read(known.current, bundles)


def _witnessed(log: ProvenanceLog) -> tuple[VerifierKey, str]:
    """A witness's key and its line for the log's head."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key = VerifierKey("registry.example/witness", private.public_key().public_bytes_raw(), COSIGNATURE)
    return key, cosign(parse_note(log.checkpoint()).text, key, private.sign, datetime(2026, 11, 21, 10, 0, tzinfo=UTC))


@pytest.fixture(scope="module")
def exported(log: ProvenanceLog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log as static files, with a witness's line; what a test changes in it, it puts back."""
    folder: Path = tmp_path_factory.mktemp("tiles")
    write_tiles(folder, log.checkpoint() + _witnessed(log)[1], log.key, [entry.body for entry in log.entries()])
    return folder


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_every_changed_byte_of_an_exported_log_is_found_and_named(
    log: ProvenanceLog, exported: Path, data: st.DataObject
) -> None:
    witness, _ = _witnessed(log)
    path = exported / data.draw(st.sampled_from(["checkpoint", "tile/0/000.p/11", "tile/entries/000.p/11"]))
    before = path.read_bytes()
    path.write_bytes(_flipped(data, before))
    try:
        with pytest.raises(IntegrityError) as caught:
            verify_tiles(exported, log.key, witnesses=[witness], quorum=1)
        assert caught.value.where is not None
        assert caught.value.where.startswith("checkpoint" if path.name == "checkpoint" else "log entry ")
    finally:
        path.write_bytes(before)
    verify_tiles(exported, log.key, witnesses=[witness], quorum=1)


@settings(max_examples=60)
@given(st.integers(0, 2**40))
def test_the_places_of_tiles_are_those_of_the_specification(number: int) -> None:
    name = tile_path(0, number).removeprefix("tile/0/")
    *above, last = name.split("/")
    assert all(group.startswith("x") for group in above)
    assert int("".join([*(group[1:] for group in above), last])) == number
    assert {len(group.removeprefix("x")) for group in (*above, last)} == {3}


@settings(max_examples=60)
@given(st.integers(0, 300_000))
def test_the_tiles_of_a_tree_are_those_of_the_specification(size: int) -> None:
    level, hashes = 0, size
    tiles = list(tiles_of(size))
    while hashes:
        here = [(number, width) for at, number, width in tiles if at == level]
        assert sum(width for _, width in here) == hashes
        assert [number for number, _ in here] == list(range(len(here)))
        level, hashes = level + 1, hashes // 256
    assert {at for at, _, _ in tiles} == set(range(level))
