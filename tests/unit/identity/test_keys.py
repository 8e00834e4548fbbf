from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from synthema.errors import ConflictError, InputError, IntegrityError, NotFoundError
from synthema.identity import FileSigner, create_passphrase_file, read_passphrase_file, verify_signature
from tests.unit.identity.conftest import PASSPHRASE


def test_every_key_signs_for_itself_only(signer: FileSigner) -> None:
    assert signer.key_ids() == ("assertion", "log", "witness", "grant")
    signature = signer.sign("log", b"head")
    verify_signature(signer.public_key("log"), b"head", signature)
    for other in ("assertion", "witness", "grant"):
        with pytest.raises(IntegrityError):
            verify_signature(signer.public_key(other), b"head", signature)
    with pytest.raises(NotFoundError):
        signer.sign("root", b"head")


@pytest.mark.parametrize("signature", [b"", b"\x00" * 64, b"\x00" * 63])
def test_a_malformed_signature_is_an_integrity_error(signer: FileSigner, signature: bytes) -> None:
    with pytest.raises(IntegrityError):
        verify_signature(signer.public_key("log"), b"head", signature)


def test_a_key_of_the_wrong_length_is_an_integrity_error() -> None:
    with pytest.raises(IntegrityError):
        verify_signature(b"short", b"head", b"\x00" * 64)


def test_keys_come_back_from_their_files(key_folder: Path) -> None:
    made = FileSigner.create(key_folder, PASSPHRASE)
    opened = FileSigner.open(key_folder, PASSPHRASE)
    assert opened.public_key("grant") == made.public_key("grant")
    assert opened.secret("rows") == made.secret("rows")


def test_files_are_encrypted_and_for_their_owner_only(key_folder: Path) -> None:
    FileSigner.create(key_folder, PASSPHRASE)
    files = sorted(path.name for path in key_folder.iterdir())
    assert files == ["assertion.pem", "grant.pem", "log.pem", "master.pem", "witness.pem"]
    for path in key_folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert key_folder.stat().st_mode & 0o077 == 0


def test_a_wrong_passphrase_says_so_without_repeating_it(key_folder: Path) -> None:
    FileSigner.create(key_folder, PASSPHRASE)
    with pytest.raises(InputError, match="does not open") as caught:
        FileSigner.open(key_folder, b"wrong passphrase")
    assert "wrong passphrase" not in str(caught.value)


def test_keys_are_never_overwritten(key_folder: Path) -> None:
    FileSigner.create(key_folder, PASSPHRASE)
    before = {path: path.read_bytes() for path in key_folder.iterdir()}
    with pytest.raises(ConflictError):
        FileSigner.create(key_folder, PASSPHRASE)
    assert before == {path: path.read_bytes() for path in key_folder.iterdir()}


def test_a_half_made_key_folder_is_not_left_behind(key_folder: Path) -> None:
    FileSigner.create(key_folder, PASSPHRASE)
    assert [path.name for path in key_folder.parent.iterdir()] == ["keys"]


def test_a_short_passphrase_is_refused(key_folder: Path) -> None:
    with pytest.raises(InputError, match="too short"):
        FileSigner.create(key_folder, b"short")
    assert not key_folder.exists()


def test_a_key_that_others_may_read_is_refused(key_folder: Path) -> None:
    FileSigner.create(key_folder, PASSPHRASE)
    (key_folder / "log.pem").chmod(0o644)
    with pytest.raises(InputError, match="others may read"):
        FileSigner.open(key_folder, PASSPHRASE)


def test_a_missing_or_swapped_key_is_named(key_folder: Path) -> None:
    FileSigner.create(key_folder, PASSPHRASE)
    (key_folder / "log.pem").write_bytes((key_folder / "master.pem").read_bytes())
    with pytest.raises(InputError, match="another kind") as caught:
        FileSigner.open(key_folder, PASSPHRASE)
    assert caught.value.where is not None
    assert caught.value.where.endswith("log.pem")
    (key_folder / "log.pem").unlink()
    with pytest.raises(NotFoundError):
        FileSigner.open(key_folder, PASSPHRASE)


def test_secrets_differ_by_name_and_by_connector(signer: FileSigner, other_signer: FileSigner) -> None:
    secrets = {signer.secret("rows"), signer.secret("hmac"), other_signer.secret("rows")}
    assert len(secrets) == 3
    assert all(len(secret) == 32 for secret in secrets)
    with pytest.raises(InputError):
        signer.secret("")


def test_a_signer_shows_no_key_and_is_not_copied(signer: FileSigner) -> None:
    assert repr(signer) == "FileSigner(assertion, log, witness, grant)"
    with pytest.raises(IntegrityError):
        pickle.dumps(signer)


def test_passphrase_files(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "passphrase"
    made = create_passphrase_file(path)
    assert read_passphrase_file(path) == made
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConflictError):
        create_passphrase_file(path)
    path.write_bytes(b"\n")
    with pytest.raises(InputError, match="empty"):
        read_passphrase_file(path)
