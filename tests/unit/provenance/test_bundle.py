from __future__ import annotations

import base64

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
        entry = verify_bundle(make_bundle(filled, sequence), filled.key, witnesses=[witness], quorum=1)
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
    bundle += bundle.split("\n")[-2] + "\n"
    stranger = VerifierKey("other.example/witness", witness.public_key, COSIGNATURE)
    with pytest.raises(IntegrityError, match="1 of 2"):
        verify_bundle(bundle, filled.key, witnesses=[witness, stranger], quorum=2)


def test_another_key_of_the_same_name_is_not_trusted(filled: ProvenanceLog, other_signer: FileSigner) -> None:
    other = VerifierKey(filled.key.name, other_signer.public_key("log"))
    with pytest.raises(IntegrityError) as caught:
        verify_bundle(make_bundle(filled, 3), other)
    assert caught.value.where == "log entry 3"


def test_the_form_is_that_of_the_specification(filled: ProvenanceLog, witness: VerifierKey) -> None:
    lines = make_bundle(filled, 3).split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert base64.b64decode(lines[1].removeprefix("extra ")) == filled.entry(3).body
    assert lines[2] == "index 3"
    assert [base64.b64decode(line) for line in lines[3:7]] == list(filled.inclusion_proof(3))
    assert lines[7:12] == ["", *filled.checkpoint().split("\n")[:4]]
    assert [line.split(" ")[1] for line in lines[12:-1]] == [filled.key.name, witness.name]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("index 3", "index 4"),
        ("index 3", "index 13"),
        ("index 3", "index -1"),
        ("index 3", "index 03"),
        ("index 3", "index ٣"),
        ("extra ", "extra A"),
        ("extra ", "extra !"),
        ("extra ", "more "),
        ("\n\n", "\nAAAA\n\n"),
        ("\n\n127", "\n127"),
        ("\n13\n", "\n14\n"),
    ],
)
def test_each_changed_part_is_noticed(filled: ProvenanceLog, old: str, new: str) -> None:
    bundle = make_bundle(filled, 3)
    assert old in bundle
    with pytest.raises(IntegrityError):
        verify_bundle(bundle.replace(old, new, 1), filled.key)


def test_a_cosignature_of_another_head_is_noticed(filled: ProvenanceLog, witness: VerifierKey) -> None:
    line = make_bundle(filled, 3).split("\n")[-2] + "\n"
    with pytest.raises(IntegrityError):
        verify_bundle(make_bundle(filled, 3, size=5) + line, filled.key, witnesses=[witness])
