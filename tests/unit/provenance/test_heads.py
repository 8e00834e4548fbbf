"""Heads travel with messages and come back cosigned; a log that was rewritten is noticed with the next message."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthema.clock import FixedClock
from synthema.errors import IntegrityError, NotFoundError
from synthema.identity import FileSigner
from synthema.provenance import Heads, ProvenanceLog, VerifierKey, Witness, log_name, witness_name
from synthema.provenance.heads import MAX_HEADER
from synthema.provenance.store import log_cosignatures, log_entries, log_nodes
from tests.databases import new_database
from tests.unit.provenance.conftest import ORIGIN, Step

PARTNER = "http://127.0.0.1:8109"
OURS, THEIRS = "did:web:hospital.example", "did:web:partner.example"


@pytest.fixture
def partner(tmp_path: Path, signer: FileSigner, other_signer: FileSigner, clock: FixedClock) -> Iterator[Heads]:
    """A partner with a log and a witness of its own, who knows our log."""
    database = new_database(tmp_path / "partner.sqlite")
    log = ProvenanceLog(database, other_signer, PARTNER, clock)
    key = VerifierKey(log_name(ORIGIN), signer.public_key("log"))
    witness = Witness(database, other_signer, PARTNER, clock, lambda origin, note: key if origin == key.name else None)
    yield Heads(log, witness, {OURS: witness_name(ORIGIN)}, lambda did: signer.public_key("witness"))
    database.close()


@pytest.fixture
def ours(filled: ProvenanceLog, signer: FileSigner, other_signer: FileSigner, clock: FixedClock) -> Heads:
    key = VerifierKey(log_name(PARTNER), other_signer.public_key("log"))
    witness = Witness(filled.database, signer, ORIGIN, clock, lambda origin, note: key if origin == key.name else None)
    names = {THEIRS: witness_name(PARTNER)}
    return Heads(filled, witness, names, lambda did: other_signer.public_key("witness"))


def _send(sender: Heads, receiver: Heads) -> str:
    """A message from the one to the other; returns the witness's answer."""
    shown = sender.show(THEIRS)
    assert shown is not None
    header = receiver.taken(shown)
    sender.answered(THEIRS, shown, header)
    return base64.b64decode(header).decode()


def test_every_message_is_witnessed(ours: Heads, partner: Heads, filled: ProvenanceLog, step: Step) -> None:
    assert _send(ours, partner).startswith("200\n")
    assert len(filled.cosignatures(13)) == 1
    for number in range(13, 20):
        filled.record(step(f"run-{number}"))
        assert _send(ours, partner).startswith("200\n")
        assert len(filled.cosignatures(number + 1)) == 1
    assert _send(ours, partner).startswith("200\n")  # nothing new, and still the same head


def test_earlier_cosignatures_travel_along(ours: Heads, partner: Heads) -> None:
    _send(ours, partner)
    shown = base64.b64decode(ours.show(THEIRS) or "").decode()
    assert [line.split(" ")[1] for line in shown.split("\n") if line.startswith("—")] == [
        log_name(ORIGIN),
        witness_name(PARTNER),
    ]
    assert len(ours.show(THEIRS) or "") <= MAX_HEADER


def test_a_partner_that_has_seen_more_says_so_and_is_asked_rightly_next_time(
    ours: Heads, partner: Heads, filled: ProvenanceLog
) -> None:
    _send(ours, partner)
    filled.database.write(lambda connection: connection.execute(log_cosignatures.delete()).close())
    forgetful = Heads(filled, ours._witness, ours._names, ours._key_of)
    assert _send(forgetful, partner) == "409\n13\n"
    assert _send(forgetful, partner).startswith("200\n")


def test_a_rewritten_log_stops_the_message_and_leaves_evidence(
    ours: Heads, partner: Heads, filled: ProvenanceLog, step: Step, signer: FileSigner
) -> None:
    """An insider with the real key rewrites everything from entry 5 on, and signs it as the log would."""
    _send(ours, partner)
    rewritten = [entry.body.replace(b"run-5", b"run-X") for entry in filled.entries()]
    _rewrite(filled, rewritten)
    filled.record(step("run-13"))
    with pytest.raises(IntegrityError, match="not the one that was shown before"):
        _send(ours, partner)
    (finding,) = partner._witness.findings()
    assert finding.origin == log_name(ORIGIN)
    assert finding.cosigned_note != finding.refused_note


def _rewrite(log: ProvenanceLog, bodies: list[bytes]) -> None:
    from synthema.provenance.store import add_entry, log_checkpoints, tail_of

    entries = log.entries(limit=1000)

    def work(connection: object) -> None:
        for table in (log_entries, log_nodes, log_checkpoints):
            connection.execute(table.delete())  # type: ignore[attr-defined]
        for entry, body in zip(entries, bodies, strict=True):
            add_entry(connection, tail_of(connection), entry.graph, body, entry.recorded_at)  # type: ignore[arg-type]

    log.database.write(work)
    log.verify()  # the connector alone cannot tell


def test_an_unknown_partner_is_shown_nothing_and_an_unknown_log_proves_nothing(ours: Heads, partner: Heads) -> None:
    assert ours.show("did:web:stranger.example") is None
    stranger = Heads(partner._log, partner._witness, {THEIRS: "x/witness"}, _no_key)
    assert base64.b64decode(partner.taken(stranger.show(THEIRS) or "")).decode().startswith("404\n")


def _no_key(did: str) -> bytes:
    raise NotFoundError("no such key", fix="none")


@pytest.mark.parametrize("header", ["", "!", "AAAA", base64.b64encode(b"old 1\n\nx").decode()])
def test_a_header_that_cannot_be_read_stops_nothing(partner: Heads, header: str) -> None:
    assert base64.b64decode(partner.taken(header)).decode().startswith("400\n")


ODD = (b"200\n", b"409\nx", b"\xff", "200\n— 127.0.0.1:8109/witness AAAAAAAA\n".encode())


@pytest.mark.parametrize("answer", [None, "", "!", *(base64.b64encode(odd).decode() for odd in ODD)])
def test_an_answer_that_cannot_be_read_is_left(ours: Heads, filled: ProvenanceLog, answer: str | None) -> None:
    ours.answered(THEIRS, ours.show(THEIRS) or "", answer)
    assert filled.cosignatures(13) == ()
