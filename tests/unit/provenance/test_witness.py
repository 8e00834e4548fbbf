from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete

from synthema.clock import FixedClock
from synthema.identity import FileSigner
from synthema.provenance import (
    ProvenanceLog,
    VerifierKey,
    Witness,
    open_checkpoint,
    verify_cosignature,
    witness_request,
)
from synthema.provenance.checkpoint import Checkpoint, sign_checkpoint
from synthema.provenance.store import log_checkpoints, log_entries, log_nodes
from tests.databases import new_database
from tests.unit.provenance.conftest import Step


@pytest.fixture
def witness(tmp_path: Path, log: ProvenanceLog, other_signer: FileSigner, clock: FixedClock) -> Witness:
    """The registry, which knows the hospital's log."""
    database = new_database(tmp_path / "registry.sqlite")
    key = log.key
    return Witness(
        database,
        other_signer,
        "https://registry.example",
        clock,
        lambda origin, note: key if origin == key.name else None,
    )


def submit(witness: Witness, log: ProvenanceLog, old: int) -> tuple[int, str]:
    note = log.checkpoint()
    size = open_checkpoint(note, log.key).size
    proof = log.consistency_proof(old, size) if old <= size else ()
    answer = witness.add_checkpoint(witness_request(old, proof, note))
    return answer.status, answer.body


def test_a_growing_log_is_cosigned(witness: Witness, log: ProvenanceLog, step: Step, clock: FixedClock) -> None:
    assert witness.latest(log.key.name) is None
    old = 0
    for number in range(9):
        log.record(step(f"run-{number}"))
        status, line = submit(witness, log, old)
        assert status == 200
        head = open_checkpoint(log.checkpoint(), log.key)
        assert verify_cosignature(head.text(), line, witness.key) == clock.now()
        log.keep_cosignature(log.checkpoint(), line, witness.key)
        assert witness.latest(log.key.name) == head
        old = number + 1
    assert submit(witness, log, 9)[0] == 200
    assert witness.findings() == ()


def test_a_stale_size_is_answered_with_ours(witness: Witness, filled: ProvenanceLog) -> None:
    assert submit(witness, filled, 0)[0] == 200
    answer = witness.add_checkpoint(witness_request(5, filled.consistency_proof(5), filled.checkpoint()))
    assert (answer.status, answer.body, answer.media_type) == (409, "13\n", "text/x.tlog.size")
    assert submit(witness, filled, 0) == (409, "13\n")


def test_an_unknown_log_is_not_found(witness: Witness, log: ProvenanceLog, other_signer: FileSigner) -> None:
    key = VerifierKey("stranger.example/log", other_signer.public_key("log"))
    note = sign_checkpoint(Checkpoint(key.name, 0, bytes(32)), key, lambda data: other_signer.sign("log", data))
    assert witness.add_checkpoint(witness_request(0, (), note)).status == 404


def test_a_forged_key_is_forbidden(witness: Witness, log: ProvenanceLog, other_signer: FileSigner) -> None:
    key = VerifierKey(log.key.name, other_signer.public_key("log"))
    note = sign_checkpoint(Checkpoint(key.name, 1, bytes(32)), key, lambda data: other_signer.sign("log", data))
    assert witness.add_checkpoint(witness_request(0, (), note)).status == 403
    assert witness.latest(log.key.name) is None


def test_an_insider_with_the_real_key_cannot_rewrite_an_entry(
    witness: Witness, filled: ProvenanceLog, step: Step, other_signer: FileSigner, clock: FixedClock
) -> None:
    assert submit(witness, filled, 0)[0] == 200
    kept = filled.entries()
    database = filled.database

    def forget(connection: object) -> None:
        for table in (log_entries, log_nodes, log_checkpoints):
            connection.execute(delete(table))  # type: ignore[attr-defined]

    database.write(forget)
    for entry in kept:
        filled.record(step("run-x" if entry.sequence == 5 else f"run-{entry.sequence}"))
    filled.record(step("run-13"))
    # The log itself is now consistent with the heads that its insider signed anew …
    filled.checkpoint()
    filled.verify()
    # … but not with what the witness saw.
    status, body = submit(witness, filled, 13)
    assert status == 422
    assert "does not extend" in body
    head = witness.latest(filled.key.name)
    assert head is not None
    assert head.size == 13
    submit(witness, filled, 13)
    (finding,) = witness.findings()
    assert finding.origin == filled.key.name
    assert finding.refused_note == filled.checkpoint()
    open_checkpoint(finding.cosigned_note, filled.key)


def test_two_heads_of_one_size_are_a_conflict(witness: Witness, filled: ProvenanceLog, signer: FileSigner) -> None:
    assert submit(witness, filled, 0)[0] == 200
    head = Checkpoint(filled.key.name, 13, bytes(32))
    note = sign_checkpoint(head, filled.key, lambda data: signer.sign("log", data))
    assert witness.add_checkpoint(witness_request(13, (), note)).status == 409
    assert len(witness.findings()) == 1


def test_an_empty_log_may_be_witnessed(witness: Witness, log: ProvenanceLog, step: Step) -> None:
    assert submit(witness, log, 0)[0] == 200
    log.record(step("run-0"))
    assert submit(witness, log, 0)[0] == 200


def test_requests_that_cannot_be_understood(witness: Witness, filled: ProvenanceLog) -> None:
    good = witness_request(0, (), filled.checkpoint())
    for request in (
        b"",
        b"\xff",
        good.replace(b"old 0", b"old 00"),
        good.replace(b"old 0", b"old -1"),
        good.replace(b"old 0", b"old 14"),
        good.replace(b"old 0", b"size 0"),
        good.replace(b"old 0\n", b"old 0\nAAAA\n"),
        good.replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"=\n" * 64),
        b"old 0\n\n",
        b"old 0\n\nhello\n\n",
        good + b" " * 200_000,
    ):
        assert witness.add_checkpoint(request).status == 400
    assert witness.latest(filled.key.name) is None
    surplus = witness_request(0, (bytes(32),), filled.checkpoint())
    assert witness.add_checkpoint(surplus).status == 422
