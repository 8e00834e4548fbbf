"""A log gets another key: the tree goes on, each key counts for its time, and nobody can use the old one later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from synthema.canonical import canonical_json
from synthema.clock import FixedClock
from synthema.errors import ConflictError, InputError, IntegrityError, NotFoundError
from synthema.identity import DidResolver, FileSigner, did_document
from synthema.provenance import (
    Agent,
    Handover,
    LogKeys,
    ProvenanceLog,
    VerifierKey,
    Witness,
    former_methods,
    hand_over,
    log_keys,
    make_bundle,
    open_checkpoint,
    published_keys,
    verify_bundle,
    verify_tiles,
    witness_request,
    write_tiles,
)
from synthema.provenance.checkpoint import Checkpoint, sign_checkpoint
from synthema.provenance.store import log_checkpoints, log_entries, log_handovers, log_nodes
from tests.databases import new_database
from tests.unit.provenance.conftest import ORIGIN, PASSPHRASE, Step

DID = "did:web:127.0.0.1%3A8101"
REASON = "The key was two years old."


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    FileSigner.create(tmp_path / "keys", PASSPHRASE)
    return tmp_path / "keys"


@pytest.fixture
def signer(keys: Path) -> FileSigner:
    return FileSigner.open(keys, PASSPHRASE)


def rotate(log: ProvenanceLog, signer: FileSigner, clock: FixedClock) -> Handover:
    signer.prepare_successor("log", PASSPHRASE)
    handover = hand_over(log, REASON, (Agent(DID, "Organization"),), clock.now())
    signer.adopt_successor("log")
    return handover


@pytest.fixture
def rotated(filled: ProvenanceLog, signer: FileSigner, clock: FixedClock, step: Step) -> ProvenanceLog:
    """A log of 13 entries, a handover, three entries, a handover, and one more: heads at 5, 13, 14, 17, 18, 19."""
    rotate(filled, signer, clock)
    for number in range(3):
        filled.record(step(f"later-{number}"))
    filled.checkpoint()
    rotate(filled, signer, clock)
    filled.record(step("last"))
    filled.checkpoint()
    return filled


class Host:
    """Where the log's connector publishes its DID document."""

    def __init__(self, log: ProvenanceLog, signer: FileSigner, clock: FixedClock) -> None:
        self._log, self._signer = log, signer
        self.asked = 0
        self.resolver = DidResolver(self._fetch, {DID: ORIGIN}, clock)

    def document(self) -> dict[str, Any]:
        return did_document(DID, self._signer, ORIGIN, former=former_methods(DID, self._log.keys))

    def _fetch(self, url: str) -> bytes:
        self.asked += 1
        return canonical_json(self.document())


@pytest.fixture
def host(filled: ProvenanceLog, signer: FileSigner, clock: FixedClock) -> Host:
    return Host(filled, signer, clock)


@pytest.fixture
def witness(tmp_path: Path, host: Host, other_signer: FileSigner, clock: FixedClock) -> Iterator[Witness]:
    """A partner that reads the keys of the log where they are published."""
    database = new_database(tmp_path / "registry.sqlite")
    keys_of: Callable[[str, str], LogKeys] = lambda origin, note: log_keys(DID, host.resolver, [note])  # noqa: E731
    yield Witness(database, other_signer, "https://registry.example", clock, keys_of)
    database.close()


def submit(witness: Witness, log: ProvenanceLog) -> int:
    note = log.checkpoint()
    head = open_checkpoint(note, log.keys)
    seen = witness.latest(head.origin)
    old = seen.size if seen else 0
    return witness.add_checkpoint(witness_request(old, log.consistency_proof(old, head.size), note)).status


# -- the keys, each in its time ------------------------------------------------------------------------------


def test_a_new_key_goes_on_with_the_same_tree(rotated: ProvenanceLog) -> None:
    first, second, third = rotated.keys.all
    assert len({first, second, third}) == 3
    assert rotated.key == third
    assert rotated.size() == 19
    for old, new in ((5, 13), (13, 14), (14, 17), (17, 18), (18, 19)):
        rotated.consistency_proof(old, new)
    report = rotated.verify()
    assert (report.entries_checked, report.checkpoints_checked) == (19, 6)


@pytest.mark.parametrize(("size", "signers"), [(5, [0]), (13, [0]), (14, [0, 1]), (17, [1]), (18, [1, 2]), (19, [2])])
def test_each_head_is_signed_by_the_key_of_its_time(rotated: ProvenanceLog, size: int, signers: list[int]) -> None:
    note = rotated.signed_checkpoint(size)
    known = rotated.keys
    assert known.signers(size) == tuple(known.all[number] for number in signers)
    assert open_checkpoint(note, known).size == size
    for number, key in enumerate(known.all):
        if number in signers:
            assert open_checkpoint(note, key).size == size
        else:
            with pytest.raises(IntegrityError):
                open_checkpoint(note, key)


def test_the_former_private_key_is_gone(keys: Path, rotated: ProvenanceLog) -> None:
    assert sorted(path.name for path in keys.iterdir()) == sorted(
        f"{name}.pem" for name in ("assertion", "log", "witness", "grant", "master")
    )
    assert VerifierKey(rotated.name, FileSigner.open(keys, PASSPHRASE).public_key("log")) == rotated.key


def test_the_handover_is_an_entry_of_the_log(rotated: ProvenanceLog) -> None:
    first, second, _ = rotated.keys.all
    text = rotated.entry(13).body.decode()
    assert str(first) in text
    assert str(second) in text
    assert REASON in text


def test_it_needs_a_successor_and_a_reason(filled: ProvenanceLog, signer: FileSigner, clock: FixedClock) -> None:
    with pytest.raises(ConflictError):
        hand_over(filled, REASON, (), clock.now())
    signer.prepare_successor("log", PASSPHRASE)
    with pytest.raises(InputError):
        hand_over(filled, " ", (), clock.now())
    assert filled.size() == 13


def test_a_proof_made_before_still_holds(filled: ProvenanceLog, signer: FileSigner, clock: FixedClock) -> None:
    old_key, bundle = filled.key, make_bundle(filled, 3)
    rotate(filled, signer, clock)
    assert verify_bundle(bundle, old_key).sequence == 3  # by who knows the old key alone
    assert verify_bundle(bundle, filled.keys).sequence == 3  # by who knows the new one and the handover
    with pytest.raises(IntegrityError):
        verify_bundle(bundle, filled.key)
    assert verify_bundle(make_bundle(filled, 3), filled.key).sequence == 3  # made anew, under the new key alone


def test_an_exported_log_is_brought_up_to_date(
    tmp_path: Path, filled: ProvenanceLog, signer: FileSigner, clock: FixedClock, step: Step
) -> None:
    def export() -> None:
        bodies = [entry.body for entry in filled.entries()]
        write_tiles(tmp_path / "tiles", filled.checkpoint(), filled.keys, bodies)

    export()
    rotate(filled, signer, clock)
    filled.record(step("more"))
    export()
    assert verify_tiles(tmp_path / "tiles", filled.key).checkpoint.size == 15


# -- a crash -------------------------------------------------------------------------------------------------


def test_a_crash_before_the_handover_changes_nothing(
    keys: Path, filled: ProvenanceLog, signer: FileSigner, clock: FixedClock
) -> None:
    before = filled.key
    signer.prepare_successor("log", PASSPHRASE)
    again = FileSigner.open(keys, PASSPHRASE)
    log = ProvenanceLog(filled.database, again, ORIGIN, clock)
    assert log.key == before
    staged = again.public_key("log-next")
    assert rotate(log, again, clock).successor.public_key == staged


def test_a_crash_after_the_handover_loses_nothing(
    keys: Path, filled: ProvenanceLog, signer: FileSigner, clock: FixedClock, step: Step
) -> None:
    signer.prepare_successor("log", PASSPHRASE)
    handover = hand_over(filled, REASON, (), clock.now())
    again = FileSigner.open(keys, PASSPHRASE)
    log = ProvenanceLog(filled.database, again, ORIGIN, clock)
    log.record(step("more"))
    assert open_checkpoint(log.checkpoint(), handover.successor).size == 15
    again.adopt_successor("log")
    log.verify()


def test_a_handover_that_is_rolled_back_leaves_the_key(
    filled: ProvenanceLog, signer: FileSigner, clock: FixedClock, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer.prepare_successor("log", PASSPHRASE)
    before = filled.key

    def fails(*_: object) -> str:
        raise IntegrityError("the disk is full", fix="make room")

    with monkeypatch.context() as patch:
        patch.setattr(filled, "put_head", fails)
        with pytest.raises(IntegrityError):
            hand_over(filled, REASON, (), clock.now())
    filled.record(step("more"))
    assert filled.key == before
    assert open_checkpoint(filled.checkpoint(), before).size == 14


def test_keys_and_database_of_different_backups_are_noticed(
    tmp_path: Path, rotated: ProvenanceLog, other_signer: FileSigner, clock: FixedClock
) -> None:
    log = ProvenanceLog(rotated.database, other_signer, ORIGIN, clock)
    with pytest.raises(IntegrityError, match="does not hold"):
        log.checkpoint()


# -- what others learn ---------------------------------------------------------------------------------------


def test_partners_learn_of_the_new_key_from_what_the_old_one_signed(
    filled: ProvenanceLog, witness: Witness, host: Host, signer: FileSigner, clock: FixedClock, step: Step
) -> None:
    assert submit(witness, filled) == 200
    assert host.asked == 1
    clock.advance(timedelta(minutes=1))
    rotate(filled, signer, clock)
    assert submit(witness, filled) == 200
    assert host.asked == 2  # an unknown key in the log's name makes a partner look
    filled.record(step("more"))
    assert submit(witness, filled) == 200
    assert witness.findings() == ()


def test_a_partner_that_was_away_follows_several_handovers(
    rotated: ProvenanceLog, witness: Witness, host: Host
) -> None:
    assert submit(witness, rotated) == 200
    assert published_keys(host.document()) == rotated.keys


def test_the_published_keys_are_for_no_purpose_but_the_old_heads(rotated: ProvenanceLog, host: Host) -> None:
    document = host.document()
    former = [method for method in document["verificationMethod"] if method["id"].startswith(f"{DID}#log-")]
    assert [method["id"] for method in former] == [f"{DID}#log-1", f"{DID}#log-2"]
    assert not any(method["id"] in document["assertionMethod"] for method in former)
    assert all(method["expires"] for method in former)


def test_a_chain_leads_from_any_key_of_the_log(rotated: ProvenanceLog, other_signer: FileSigner) -> None:
    known = rotated.keys
    for key in known.all:
        assert known.require(key) is known
    with pytest.raises(IntegrityError, match="no handover leads"):
        known.require(VerifierKey(rotated.name, other_signer.public_key("log")))


@pytest.mark.parametrize("change", ["missing", "order", "foreign key"])
def test_a_chain_with_a_gap_is_refused(rotated: ProvenanceLog, other_signer: FileSigner, change: str) -> None:
    bundles = [handover.bundle for handover in rotated.keys.handovers]
    current = rotated.key
    if change == "missing":
        bundles.pop()
    elif change == "order":
        bundles.reverse()
    else:
        current = VerifierKey(rotated.name, other_signer.public_key("log"))
    with pytest.raises(IntegrityError):
        LogKeys.read(current, bundles)


def test_another_entry_is_no_handover(rotated: ProvenanceLog) -> None:
    for sequence in (0, 12, 18):
        with pytest.raises(IntegrityError):
            Handover.read(make_bundle(rotated, sequence))
    # The entry itself, but under a later head: then the former key has not signed it.
    with pytest.raises(IntegrityError):
        Handover.read(make_bundle(rotated, 13))


# -- an insider with the old key -----------------------------------------------------------------------------


@pytest.fixture
def insider(keys: Path, tmp_path: Path) -> FileSigner:
    """Somebody who copied the folder of keys before the handover."""
    copy = tmp_path / "copied"
    copy.mkdir(mode=0o700)
    for path in keys.iterdir():
        (copy / path.name).touch(mode=0o600)
        (copy / path.name).write_bytes(path.read_bytes())
    return FileSigner.open(copy, PASSPHRASE)


def forged(log: ProvenanceLog, insider: FileSigner, size: int, root: bytes) -> str:
    key = VerifierKey(log.name, insider.public_key("log"))
    return sign_checkpoint(Checkpoint(log.name, size, root), key, lambda data: insider.sign("log", data))


def test_the_old_key_signs_no_head_after_its_time(
    insider: FileSigner,
    filled: ProvenanceLog,
    witness: Witness,
    signer: FileSigner,
    clock: FixedClock,
    step: Step,
) -> None:
    rotate(filled, signer, clock)
    assert submit(witness, filled) == 200
    filled.record(step("more"))
    # Not even for entries that are really there.
    note = forged(filled, insider, 15, filled.root(15))
    answer, contradicted = witness.judge(witness_request(14, filled.consistency_proof(14, 15), note))
    assert (answer.status, contradicted) == (403, True)
    assert "whose time is over" in answer.body
    (finding,) = witness.findings()
    assert finding.refused_note == note
    assert finding.cosigned_note == filled.signed_checkpoint(14)
    with pytest.raises(IntegrityError):
        open_checkpoint(note, filled.keys)
    assert submit(witness, filled) == 200  # the log itself is not blamed for it


def test_a_proof_by_the_old_key_from_after_its_time_does_not_hold(
    insider: FileSigner, filled: ProvenanceLog, signer: FileSigner, clock: FixedClock, step: Step, tmp_path: Path
) -> None:
    """The insider adds an entry to a copy of the log and proves it to a stranger who has the DID document."""
    copy = _copy(filled, tmp_path, insider, clock)
    rotate(filled, signer, clock)
    copy.record(step("forged"))
    copy.record(step("forged-too"))
    bundle = make_bundle(copy, 13)
    assert verify_bundle(bundle, copy.key).sequence == 13  # who knows nothing of the handover cannot tell …
    with pytest.raises(IntegrityError):
        verify_bundle(bundle, filled.keys)  # … who knows of it can


def test_the_old_key_cannot_rewrite_what_was_before(
    insider: FileSigner, filled: ProvenanceLog, witness: Witness, signer: FileSigner, clock: FixedClock, tmp_path: Path
) -> None:
    assert submit(witness, filled) == 200
    rotate(filled, signer, clock)
    note = forged(filled, insider, 13, bytes(32))
    answer, contradicted = witness.judge(witness_request(13, (), note))
    assert (answer.status, contradicted) == (409, True)
    assert len(witness.findings()) == 1


def test_the_old_key_cannot_hand_over_to_another(
    insider: FileSigner,
    filled: ProvenanceLog,
    witness: Witness,
    host: Host,
    signer: FileSigner,
    clock: FixedClock,
    tmp_path: Path,
) -> None:
    """The insider also got hold of the web server: the document there leads to a key of their own."""
    copy = _copy(filled, tmp_path, insider, clock)
    rotate(filled, signer, clock)
    assert submit(witness, filled) == 200
    rotate(copy, insider, clock)
    host._log, host._signer = copy, insider
    clock.advance(timedelta(minutes=1))
    note = copy.checkpoint()
    answer, contradicted = witness.judge(witness_request(14, (), note))
    assert (answer.status, contradicted) == (403, True)
    assert "did not hand the log over" in answer.body
    (finding,) = witness.findings()
    assert finding.refused_note == note


def test_a_key_without_any_handover_is_not_followed(
    filled: ProvenanceLog,
    witness: Witness,
    host: Host,
    other_signer: FileSigner,
    clock: FixedClock,
    tmp_path: Path,
    insider: FileSigner,
) -> None:
    """Who only changed the document at the connector's address has no handover to show."""
    assert submit(witness, filled) == 200
    theirs = _copy(filled, tmp_path, other_signer, clock, heads=False)
    host._log, host._signer = theirs, other_signer
    clock.advance(timedelta(minutes=1))
    answer, contradicted = witness.judge(witness_request(13, (), theirs.checkpoint()))
    assert (answer.status, contradicted) == (403, True)


def test_a_partner_that_lost_its_key_begins_anew_when_the_witness_agrees(
    filled: ProvenanceLog,
    witness: Witness,
    host: Host,
    other_signer: FileSigner,
    clock: FixedClock,
    tmp_path: Path,
) -> None:
    assert submit(witness, filled) == 200
    host._log = new = _copy(filled, tmp_path, other_signer, clock, heads=False)
    host._signer = other_signer
    clock.advance(timedelta(minutes=1))
    assert witness.add_checkpoint(witness_request(13, (), new.checkpoint())).status == 403
    forgotten = witness._database.write(lambda connection: witness.forget(connection, filled.name))
    assert forgotten == open_checkpoint(filled.checkpoint(), filled.keys)
    assert witness.add_checkpoint(witness_request(0, (), new.checkpoint())).status == 200
    assert len(witness.findings()) == 1, "what was found stays"
    with pytest.raises(NotFoundError):
        witness._database.write(lambda connection: witness.forget(connection, "stranger.example/log"))


def _copy(
    log: ProvenanceLog, folder: Path, signer: FileSigner, clock: FixedClock, *, heads: bool = True
) -> ProvenanceLog:
    """The log as it is, in a database of somebody else's."""
    database = new_database(folder / f"copy-{log.size()}.sqlite")
    tables = (log_entries, log_nodes, log_checkpoints) if heads else (log_entries, log_nodes)
    with log.database.read() as connection:
        rows = {table: [dict(row) for row in connection.execute(table.select()).mappings()] for table in tables}

    def put(connection: Connection) -> None:
        for table, found in rows.items():
            connection.execute(table.insert(), found)

    database.write(put)
    return ProvenanceLog(database, signer, log.origin, clock)


# -- what is stored ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["entry", "head", "row"])
def test_a_handover_that_is_gone_is_noticed(rotated: ProvenanceLog, place: str) -> None:
    where = {
        "entry": delete(log_entries).where(log_entries.c.sequence == 13),
        "head": delete(log_checkpoints).where(log_checkpoints.c.size == 14),
        "row": delete(log_handovers).where(log_handovers.c.sequence == 13),
    }[place]
    rotated.database.write(lambda connection: connection.execute(where).close())
    with pytest.raises(IntegrityError):
        rotated.verify()


def test_a_handover_cannot_be_added_by_hand(filled: ProvenanceLog) -> None:
    filled.database.write(lambda connection: connection.execute(log_handovers.insert().values(sequence=12)).close())
    with pytest.raises(IntegrityError):
        filled.checkpoint()
