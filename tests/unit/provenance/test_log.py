from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, update

from synthema.clock import FixedClock, to_text
from synthema.errors import InputError, IntegrityError, NotFoundError, SynthemaError
from synthema.identity import FileSigner, People, PersonKey
from synthema.provenance import (
    COSIGNATURE,
    PeopleLog,
    ProvenanceLog,
    VerifierKey,
    export_nquads,
    merkle,
    open_checkpoint,
)
from synthema.provenance.checkpoint import Checkpoint, cosign, parse_note, sign_checkpoint
from synthema.provenance.store import log_checkpoints, log_entries, log_nodes
from synthema.storage import Database
from tests.unit.provenance.conftest import ORIGIN, PASSPHRASE, Step


def test_entries_count_from_zero_in_graphs_of_their_own(log: ProvenanceLog, step: Step, clock: FixedClock) -> None:
    first, second = log.record(step("run-1")), log.record(step("run-2"))
    assert (first.sequence, second.sequence) == (0, 1)
    assert second.graph == f"{ORIGIN}/log/1"
    assert log.size() == 2
    assert log.entry(1) == second
    assert log.entries() == (first, second)
    assert log.entries(after=0) == (second,)
    assert log.entries(limit=1) == (first,)
    assert second.leaf_hash == merkle.leaf_hash(second.body).hex()
    assert f'"{to_text(clock.now())}"'.encode() in second.body


def test_what_is_not_there_is_not_found(filled: ProvenanceLog) -> None:
    for number in (13, -1):
        with pytest.raises(NotFoundError):
            filled.entry(number)
    with pytest.raises(NotFoundError):
        filled.signed_checkpoint(7)
    for wrong in (lambda: filled.root(14), lambda: filled.inclusion_proof(13), lambda: filled.consistency_proof(9, 8)):
        with pytest.raises(InputError):
            wrong()
    with pytest.raises(InputError):
        filled.entries(limit=0)


@pytest.mark.article("GDPR 5(2)")
def test_a_step_and_its_record_happen_together(database: Database, log: ProvenanceLog, step: Step) -> None:
    log.record(step("run-1"))

    def fails(connection: Connection) -> None:
        log.append(connection, step("run-2"))
        log.append(connection, step("run-3"))
        raise RuntimeError("the step failed")

    with pytest.raises(RuntimeError):
        database.write(fails)
    assert log.size() == 1
    entry = log.record(step("run-4"))
    assert entry.sequence == 1
    log.verify()


def test_many_entries_in_one_transaction(database: Database, log: ProvenanceLog, step: Step) -> None:
    database.write(lambda connection: [log.append(connection, step(f"run-{n}")) for n in range(100)])
    report = log.verify()
    assert (report.size, report.entries_checked, report.root) == (100, 100, log.root().hex())


def test_an_activity_that_cannot_be_written_stops_its_step(log: ProvenanceLog, step: Step) -> None:
    with pytest.raises(InputError):
        log.iri("thing", "with a space")
    good = step("run-1")
    bad = type(good)(iri="not an iri", type="Run", label="x", started=good.started, ended=good.ended)
    with pytest.raises(InputError):
        log.record(bad)
    assert log.size() == 0


def test_a_head_is_signed_once_and_kept(filled: ProvenanceLog, step: Step, clock: FixedClock) -> None:
    note = filled.checkpoint()
    assert filled.checkpoint() == note
    head = open_checkpoint(note, filled.key)
    assert (head.origin, head.size, head.root) == ("127.0.0.1:8101/log", 13, filled.root())
    assert open_checkpoint(filled.signed_checkpoint(5), filled.key).root == filled.root(5)
    filled.record(step("run-13"))
    assert filled.checkpoint() != note


def test_the_empty_log_has_a_head(log: ProvenanceLog) -> None:
    head = open_checkpoint(log.checkpoint(), log.key)
    assert (head.size, head.root) == (0, merkle.EMPTY_ROOT)
    assert log.verify().sentence().startswith("All 0 entries")


def test_proofs_verify_against_signed_heads(filled: ProvenanceLog) -> None:
    old = open_checkpoint(filled.signed_checkpoint(5), filled.key)
    new = open_checkpoint(filled.checkpoint(), filled.key)
    merkle.verify_consistency(old.size, new.size, old.root, new.root, filled.consistency_proof(5))
    for entry in filled.entries():
        leaf = merkle.leaf_hash(entry.body)
        merkle.verify_inclusion(entry.sequence, 13, leaf, filled.inclusion_proof(entry.sequence), new.root)


def test_an_unchanged_log_verifies(filled: ProvenanceLog) -> None:
    report = filled.verify()
    assert (report.entries_checked, report.checkpoints_checked) == (13, 2)
    assert "unchanged" in report.sentence()
    for since in range(14):
        part = filled.verify(since=since)
        assert (part.entries_checked, part.root) == (13 - since, report.root)
    with pytest.raises(InputError):
        filled.verify(since=14)


def _break(log: ProvenanceLog, *statements: Any) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    log.database.write(work)


def _found(log: ProvenanceLog, since: int | None = None) -> str:
    with pytest.raises(IntegrityError) as caught:
        log.verify(since)
    assert caught.value.where is not None
    return caught.value.where


@pytest.mark.parametrize("number", [0, 4, 12])
@pytest.mark.parametrize(
    "change",
    [
        {"body": b""},
        {"leaf_hash": bytes(32)},
        {"graph": "http://127.0.0.1:8101/log/99"},
        {"recorded_at": FixedClock.now},
    ],
)
def test_each_changed_column_is_found(
    filled: ProvenanceLog, clock: FixedClock, number: int, change: dict[str, Any]
) -> None:
    from datetime import timedelta

    values = {k: clock.now() + timedelta(seconds=1) if callable(v) else v for k, v in change.items()}
    _break(filled, update(log_entries).where(log_entries.c.sequence == number).values(values))
    assert _found(filled) == f"log entry {number}"


def test_an_exchange_of_two_entries_is_found(filled: ProvenanceLog) -> None:
    three, four = filled.entry(3), filled.entry(4)
    for target, source in ((3, four), (4, three)):
        values = {"body": source.body, "leaf_hash": bytes.fromhex(source.leaf_hash)}
        _break(filled, update(log_entries).where(log_entries.c.sequence == target).values(values))
    assert _found(filled) == "log entry 3"


def test_a_missing_entry_is_found(filled: ProvenanceLog) -> None:
    _break(filled, delete(log_entries).where(log_entries.c.sequence == 6))
    assert _found(filled) == "log entry 6"


def test_entries_cut_off_behind_a_head_are_found(filled: ProvenanceLog, step: Step) -> None:
    for table, column in ((log_entries, log_entries.c.sequence), (log_nodes, log_nodes.c.last_leaf)):
        _break(filled, delete(table).where(column >= 11))
    assert _found(filled) == "log entry 11"
    with pytest.raises(IntegrityError):
        filled.checkpoint()
    filled.record(step("another"))
    filled.record(step("history"))
    assert _found(filled) == "log entry 5"
    filled.record(step("run"))
    with pytest.raises(IntegrityError):
        filled.checkpoint()


def test_a_changed_entry_with_its_hash_is_found_by_the_tree(filled: ProvenanceLog) -> None:
    body = filled.entry(2).body.replace(b"run-2", b"run-x")
    values = {"body": body, "leaf_hash": merkle.leaf_hash(body)}
    _break(filled, update(log_entries).where(log_entries.c.sequence == 2).values(values))
    assert _found(filled) == "log entry 3"


def test_a_changed_or_missing_subtree_is_found(filled: ProvenanceLog) -> None:
    at = (log_nodes.c.last_leaf == 7) & (log_nodes.c.level == 2)
    _break(filled, update(log_nodes).where(at).values(hash=bytes(32)))
    assert _found(filled) == "log entry 7"
    _break(filled, delete(log_nodes).where(at))
    assert _found(filled) == "log entry 7"
    with pytest.raises(IntegrityError, match="missing"):
        filled.inclusion_proof(2, 8)


def test_a_wholly_rewritten_log_does_not_fit_its_heads(filled: ProvenanceLog, step: Step) -> None:
    kept = filled.entries()
    _break(filled, delete(log_entries), delete(log_nodes))
    for entry in kept:
        filled.record(step("run-x" if entry.sequence == 7 else f"run-{entry.sequence}"))
    assert _found(filled) == "log entry 5"
    with pytest.raises(IntegrityError, match="5 to 12"):
        filled.verify()
    filled.record(step("more"))
    with pytest.raises(IntegrityError):
        filled.checkpoint()


def test_a_changed_head_is_found(filled: ProvenanceLog, other_signer: FileSigner) -> None:
    at = log_checkpoints.c.size == 5
    forged = VerifierKey(filled.key.name, other_signer.public_key("log"))
    head = Checkpoint(filled.key.name, 5, bytes(32))
    note = sign_checkpoint(head, forged, lambda data: other_signer.sign("log", data))
    _break(filled, update(log_checkpoints).where(at).values(note=note))
    assert _found(filled) == "checkpoint 5"
    _break(filled, update(log_checkpoints).where(at).values(note=filled.checkpoint()))
    assert _found(filled) == "checkpoint 5"


def test_what_lies_before_since_is_held_against_the_heads(filled: ProvenanceLog) -> None:
    _break(filled, update(log_nodes).where(log_nodes.c.last_leaf == 3).values(hash=bytes(32)))
    assert _found(filled, since=5) == "log entry 4"


def test_witness_lines_are_checked_and_kept(filled: ProvenanceLog, other_signer: FileSigner, clock: FixedClock) -> None:
    note = filled.checkpoint()
    key = VerifierKey("registry.example/witness", other_signer.public_key("witness"), COSIGNATURE)
    line = cosign(parse_note(note).text, key, lambda data: other_signer.sign("witness", data), clock.now())
    filled.keep_cosignature(note, line, key)
    filled.keep_cosignature(note, line, key)
    assert filled.cosignatures(13) == (line,)
    with pytest.raises(IntegrityError):
        filled.keep_cosignature(filled.signed_checkpoint(5), line, key)


def test_role_accounts_are_recorded(database: Database, log: ProvenanceLog, clock: FixedClock, tmp_path: Any) -> None:
    people = People(database, PeopleLog(log), clock)
    key = PersonKey.create(tmp_path / "dpo.pem", PASSPHRASE)
    person = people.register(["dpo"], key.public_key, by=f"{ORIGIN}/id/person/operator")
    people.revoke(person.id, by="did:web:hospital.example")
    bodies = [entry.body.decode() for entry in log.entries()]
    assert "AccountRegistration" in bodies[0]
    assert "AccountRevocation" in bodies[1]
    assert log.iri("person", person.id) in bodies[0]
    assert "prov#Person" in bodies[0]
    assert "prov#Organization" in bodies[1]
    assert key.public_key.hex() not in "".join(bodies)


def test_the_whole_log_is_exported_as_it_was_hashed(filled: ProvenanceLog) -> None:
    import pyoxigraph

    chunks = list(export_nquads(filled))
    assert chunks == [entry.body for entry in filled.entries()]
    quads = list(pyoxigraph.parse(b"".join(export_nquads(filled, bundles=True)), pyoxigraph.RdfFormat.N_QUADS))
    bundles = [quad for quad in quads if str(quad.object) == "<http://www.w3.org/ns/prov#Bundle>"]
    assert len(bundles) == 13


def test_a_log_opened_with_another_key_is_noticed(
    filled: ProvenanceLog, database: Database, other_signer: FileSigner, clock: FixedClock
) -> None:
    stranger = ProvenanceLog(database, other_signer, ORIGIN, clock)
    with pytest.raises(IntegrityError):
        stranger.verify()
    with pytest.raises(SynthemaError):
        stranger.checkpoint()


def test_a_second_entry_with_one_number_cannot_be_written(filled: ProvenanceLog) -> None:
    entry = filled.entry(3)
    row = {"sequence": 3, "graph": entry.graph, "body": entry.body, "leaf_hash": bytes(32)}
    with pytest.raises(SynthemaError):
        _break(filled, insert(log_entries).values(row | {"recorded_at": entry.recorded_at}))
