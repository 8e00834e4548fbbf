from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from synthema.errors import InputError, IntegrityError
from synthema.identity import FileSigner
from synthema.provenance.checkpoint import (
    COSIGNATURE,
    LOG_SIGNATURE,
    Checkpoint,
    VerifierKey,
    cosign,
    log_name,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
    sign_checkpoint,
    verify_cosignature,
    witness_name,
)

ROOT = base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
HEAD = Checkpoint("example.com/behind-the-sofa", 20852163, ROOT)
TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"


@pytest.fixture
def key(signer: FileSigner) -> VerifierKey:
    return VerifierKey(HEAD.origin, signer.public_key("log"))


@pytest.fixture
def note(signer: FileSigner, key: VerifierKey) -> str:
    return sign_checkpoint(HEAD, key, lambda data: signer.sign("log", data))


def test_the_text_is_that_of_the_specification() -> None:
    assert HEAD.text() == TEXT
    assert parse_checkpoint(TEXT) == HEAD


def test_a_note_of_another_implementation_is_read() -> None:
    # Verifier key and note of the signed-note example in common use (Go's sumdb tests).
    key = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    parsed = parse_note(f"{text}\n{line}\n")
    assert parsed.text == text
    assert parsed.signatures[0].by(key)
    from synthema.identity import verify_signature

    verify_signature(key.public_key, text.encode(), parsed.signatures[0].value)


def test_names_have_no_scheme() -> None:
    assert log_name("https://hospital.example") == "hospital.example/log"
    assert witness_name("http://127.0.0.1:8101") == "127.0.0.1:8101/witness"


def test_a_signed_head_opens_with_its_key(note: str, key: VerifierKey) -> None:
    assert open_checkpoint(note, key) == HEAD
    assert note.startswith(TEXT + "\n— example.com/behind-the-sofa ")


def test_keys_travel_as_text(key: VerifierKey) -> None:
    text = str(key)
    assert VerifierKey.parse(text) == key
    name, key_id, material = text.split("+", 2)
    for wrong in (
        "",
        name,
        f"{name}+{key_id}",
        f"{name}+00000000+{material}",
        f"x{text}",
        f"{name}+{key_id}+!",
        f"{name}+{key_id}+",
    ):
        with pytest.raises(InputError):
            VerifierKey.parse(wrong)
    with pytest.raises(InputError):
        VerifierKey("a b", key.public_key)


def test_the_key_id_depends_on_name_and_use(key: VerifierKey) -> None:
    ids = {
        VerifierKey(name, key.public_key, use).id
        for name in (key.name, "other.example/log")
        for use in (LOG_SIGNATURE, COSIGNATURE)
    }
    assert len(ids) == 4


def test_every_flipped_bit_is_noticed(note: str, key: VerifierKey) -> None:
    raw = note.encode()
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1
        try:
            text = changed.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(IntegrityError):
            open_checkpoint(text, key)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/x\n1\n",
        TEXT + "extension\n",
        TEXT.replace("20852163", "020852163"),
        TEXT.replace("20852163", "-1"),
        TEXT.replace("20852163", "1e3"),
        TEXT.replace("20852163", "²"),
        TEXT.replace("CsUY", "CsU"),
        TEXT.replace("q2I=", "q2J="),
        "\n1\n" + TEXT.split("\n")[2] + "\n",
    ],
)
def test_a_malformed_head_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "note",
    [
        "",
        TEXT,
        TEXT + "\n",
        TEXT + "\n— name\n",
        TEXT + "\n- name AAAAAAAA\n",
        TEXT + "\n— na+me AAAAAAAA\n",
        TEXT + "\n— name AAAA\n",
        TEXT + "\n— name !!!!\n",
        TEXT + "\n— name AAAAAAAA",
        TEXT + "\r\n— name AAAAAAAA\n",
        TEXT + "\n" + "— name AAAAAAAA\n" * 65,
        TEXT + "\n" + "— name " + "A" * 70_000 + "\n",
    ],
)
def test_a_malformed_note_is_refused(note: str) -> None:
    with pytest.raises(IntegrityError):
        parse_note(note)


def test_lines_end_at_newlines_only(key: VerifierKey, note: str) -> None:
    # str.splitlines would also break at U+0085 and U+2028, and read another note than was signed.
    for character in ("\x85", "\u2028"):
        with pytest.raises(IntegrityError):
            open_checkpoint(note.replace("\n20852163\n", f"{character}20852163\n"), key)


def test_unknown_signatures_are_ignored_but_one_known_is_needed(
    note: str, key: VerifierKey, other_signer: FileSigner
) -> None:
    other = VerifierKey(key.name, other_signer.public_key("log"))
    with pytest.raises(IntegrityError, match="did not sign"):
        open_checkpoint(note, other)
    line = parse_note(sign_checkpoint(HEAD, other, lambda data: other_signer.sign("log", data))).signatures[0].line()
    assert open_checkpoint(note + line, key) == HEAD
    with pytest.raises(IntegrityError, match="another log"):
        open_checkpoint(note, VerifierKey("other.example/log", key.public_key))


def test_a_bad_signature_of_the_known_key_refuses_the_note(note: str, key: VerifierKey) -> None:
    good = parse_note(note).signatures[0]
    bad = type(good)(good.name, good.key_id, bytes(64))
    with pytest.raises(IntegrityError):
        open_checkpoint(note + bad.line(), key)


def test_a_cosignature_names_its_time(signer: FileSigner, note: str) -> None:
    witness = VerifierKey("registry.example/witness", signer.public_key("witness"), COSIGNATURE)
    at = datetime(2026, 11, 21, 10, 0, 7, 999, tzinfo=UTC)
    line = cosign(TEXT, witness, lambda data: signer.sign("witness", data), at)
    assert verify_cosignature(TEXT, line, witness) == at.replace(microsecond=0)
    for text, changed, key in (
        (TEXT.replace("63", "64"), line, witness),
        (TEXT, line.replace("registry", "regislry"), witness),
        (TEXT, line, VerifierKey(witness.name, witness.public_key)),
        (TEXT, line, VerifierKey(witness.name, signer.public_key("log"), COSIGNATURE)),
    ):
        with pytest.raises(IntegrityError):
            verify_cosignature(text, changed, key)
    assert open_checkpoint(note + line, VerifierKey(HEAD.origin, signer.public_key("log"))) == HEAD


def test_a_cosignature_out_of_time_is_refused(signer: FileSigner) -> None:
    witness = VerifierKey("registry.example/witness", signer.public_key("witness"), COSIGNATURE)
    from synthema.provenance.checkpoint import Signature

    seconds = 2**63
    signed = signer.sign("witness", f"cosignature/v1\ntime {seconds}\n{TEXT}".encode())
    line = Signature(witness.name, witness.id, seconds.to_bytes(8, "big") + signed).line()
    with pytest.raises(IntegrityError):
        verify_cosignature(TEXT, line, witness)
