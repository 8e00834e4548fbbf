from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete

from synthema.clock import FixedClock
from synthema.errors import IntegrityError, PeerError
from synthema.identity import FileSigner
from synthema.provenance import Answer, ProvenanceLog, Witness, obtain_cosignature, witness_request
from synthema.provenance.store import log_checkpoints, log_cosignatures, log_entries, log_nodes
from tests.databases import new_database
from tests.unit.provenance.conftest import Step


@pytest.fixture
def witness(tmp_path: Path, log: ProvenanceLog, other_signer: FileSigner, clock: FixedClock) -> Witness:
    database = new_database(tmp_path / "registry.sqlite")
    key = log.key
    return Witness(database, other_signer, "https://registry.example", clock, lambda origin, note: key)


@pytest.mark.article("GDPR 5(2)")
def test_a_log_is_witnessed_as_it_grows(filled: ProvenanceLog, witness: Witness, step: Step, clock: FixedClock) -> None:
    sent: list[bytes] = []

    def send(body: bytes) -> Answer:
        sent.append(body)
        return witness.add_checkpoint(body)

    for number in range(3):
        assert obtain_cosignature(filled, witness.key, send) == clock.now()
        assert len(filled.cosignatures(13 + number)) == 1
        filled.record(step(f"more-{number}"))
    assert len(sent) == 3


def test_a_forgotten_witness_is_asked_again_from_its_size(filled: ProvenanceLog, witness: Witness, step: Step) -> None:
    obtain_cosignature(filled, witness.key, witness.add_checkpoint)
    filled.database.write(lambda connection: connection.execute(delete(log_cosignatures)).close())
    filled.record(step("more"))
    obtain_cosignature(filled, witness.key, witness.add_checkpoint)
    assert len(filled.cosignatures(14)) == 1


def _rewrite(log: ProvenanceLog, step: Step, size: int) -> None:
    def forget(connection: Connection) -> None:
        for table in (log_entries, log_nodes, log_checkpoints, log_cosignatures):
            connection.execute(delete(table))

    log.database.write(forget)
    for number in range(size):
        log.record(step(f"other-{number}"))


@pytest.mark.parametrize("size", [3, 13, 20])
def test_a_log_restored_or_rewritten_is_contradicted(
    filled: ProvenanceLog, witness: Witness, step: Step, size: int
) -> None:
    obtain_cosignature(filled, witness.key, witness.add_checkpoint)
    _rewrite(filled, step, size)
    with pytest.raises(IntegrityError, match="contradicts"):
        obtain_cosignature(filled, witness.key, witness.add_checkpoint)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, ""),
        Answer(200, "hello\n"),
        Answer(200, "— registry.example/witness AAAAAAAAAAAA\n"),
        Answer(404, "unknown\n"),
        Answer(409, "many\n"),
        Answer(500, ""),
    ],
)
def test_a_witness_that_answers_wrongly_is_a_peer_error(
    filled: ProvenanceLog, witness: Witness, answer: Answer
) -> None:
    with pytest.raises(PeerError):
        obtain_cosignature(filled, witness.key, lambda _: answer)
    assert filled.cosignatures(13) == ()


def test_a_cosignature_of_another_head_is_not_kept(filled: ProvenanceLog, witness: Witness) -> None:
    early = filled.signed_checkpoint(5)
    line = witness.add_checkpoint(witness_request(0, (), early))
    send: Callable[[bytes], Answer] = lambda _: line  # noqa: E731 - a peer that repeats itself
    with pytest.raises(PeerError):
        obtain_cosignature(filled, witness.key, send)
