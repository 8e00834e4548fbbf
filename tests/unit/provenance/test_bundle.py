from __future__ import annotations

import json
from typing import Any

import pytest

from synthema.clock import FixedClock
from synthema.errors import InputError, IntegrityError, NotFoundError
from synthema.identity import FileSigner
from synthema.provenance import COSIGNATURE, ProvenanceLog, VerifierKey, make_bundle, verify_bundle
from synthema.provenance.checkpoint import cosign, parse_note
from tests.unit.provenance.conftest import Step


@pytest.fixture
def witness(filled: ProvenanceLog, other_signer: FileSigner, clock: FixedClock) -> VerifierKey:
    key = VerifierKey("registry.example/witness", other_signer.public_key("witness"), COSIGNATURE)
    note = filled.checkpoint()
    line = cosign(parse_note(note).text, key, lambda data: other_signer.sign("witness", data), clock.now())
    filled.keep_cosignature(note, line, key)
    return key


def test_a_stranger_checks_one_entry_offline(filled: ProvenanceLog, witness: VerifierKey, clock: FixedClock) -> None:
    for sequence in range(13):
        bundle = json.loads(json.dumps(make_bundle(filled, sequence)))
        entry = verify_bundle(bundle, filled.key, witnesses=[witness], quorum=1)
        assert (entry.sequence, entry.body) == (sequence, filled.entry(sequence).body)
        assert entry.checkpoint.size == 13
        assert entry.witnessed == {witness.name: clock.now()}


def test_a_bundle_may_rest_on_an_earlier_head(filled: ProvenanceLog, step: Step, witness: VerifierKey) -> None:
    filled.record(step("run-13"))
    assert verify_bundle(make_bundle(filled, 3), filled.key).witnessed == {}
    assert verify_bundle(make_bundle(filled, 3, size=13), filled.key, witnesses=[witness], quorum=1).sequence == 3
    with pytest.raises(NotFoundError):
        make_bundle(filled, 7, size=5)
    with pytest.raises(NotFoundError):
        make_bundle(filled, 3, size=6)


def test_the_quorum_counts_known_witnesses_only(filled: ProvenanceLog, witness: VerifierKey) -> None:
    bundle = make_bundle(filled, 3)
    stranger = VerifierKey("other.example/witness", witness.public_key, COSIGNATURE)
    with pytest.raises(IntegrityError, match="0 of 1"):
        verify_bundle(bundle, filled.key, witnesses=[stranger], quorum=1)
    with pytest.raises(IntegrityError, match="1 of 2"):
        verify_bundle(bundle, filled.key, witnesses=[witness, stranger], quorum=2)
    with pytest.raises(InputError):
        verify_bundle(bundle, filled.key, quorum=1)


def test_one_line_shown_twice_is_one_witness(filled: ProvenanceLog, witness: VerifierKey) -> None:
    bundle = make_bundle(filled, 3)
    bundle["cosignatures"] *= 2
    stranger = VerifierKey("other.example/witness", witness.public_key, COSIGNATURE)
    with pytest.raises(IntegrityError):
        verify_bundle(bundle, filled.key, witnesses=[witness, stranger], quorum=2)


def test_the_key_in_the_bundle_is_not_trusted(filled: ProvenanceLog, other_signer: FileSigner) -> None:
    other = VerifierKey(filled.key.name, other_signer.public_key("log"))
    with pytest.raises(IntegrityError):
        verify_bundle(make_bundle(filled, 3) | {"key": str(other)}, other)


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 4},
        {"sequence": 13},
        {"sequence": -1},
        {"sequence": True},
        {"sequence": "3"},
        {"entry": ""},
        {"entry": "!"},
        {"entry": None},
        {"inclusion": []},
        {"inclusion": ["AAAA"]},
        {"inclusion": "AAAA"},
        {"inclusion": [1]},
        {"checkpoint": "x"},
        {"checkpoint": 1},
        {"cosignatures": ["x"]},
        {"cosignatures": None},
        {"format": "synthema-proof/2"},
        {"more": 1},
    ],
)
def test_each_changed_member_is_noticed(filled: ProvenanceLog, change: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError):
        verify_bundle(make_bundle(filled, 3) | change, filled.key)


def test_a_forged_cosignature_of_a_known_witness_is_noticed(filled: ProvenanceLog, witness: VerifierKey) -> None:
    bundle = make_bundle(filled, 3)
    earlier = bundle["cosignatures"][0]
    filled_again = make_bundle(filled, 3, size=5)
    filled_again["cosignatures"] = [earlier]
    with pytest.raises(IntegrityError):
        verify_bundle(filled_again, filled.key, witnesses=[witness])
