"""Keys of a connector: what signs, and where the private halves are kept.

Everything that signs asks a :class:`Signer` by key id, so that a site can put
an HSM or a key service behind the same four words. The embedded one,
:class:`FileSigner`, keeps one encrypted PKCS#8 file per key. Each key has one
task, so that no signature made for one can be shown as another:

=============  ====================================================
``assertion``  data-space identity: tokens and credentials
``log``        checkpoints of the own provenance log
``witness``    cosignatures on other connectors' checkpoints
``grant``      grants, which never leave the house
=============  ====================================================

A key can be replaced (:mod:`synthema.identity.rotation`): each of its versions
has a name of its own, by which it signs and is looked up.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from synthema.clock import Clock, SystemClock
from synthema.errors import ConflictError, InputError, IntegrityError, NotFoundError
from synthema.identity.versions import KeyVersion, is_numbered

KEY_IDS = ("assertion", "log", "witness", "grant")
MINIMUM_PASSPHRASE_BYTES = 8
_MASTER = "master"


class Signer(Protocol):
    """Signs with Ed25519 keys that stay where they are; raises :class:`NotFoundError` on an unknown key id."""

    def sign(self, key_id: str, data: bytes) -> bytes:
        """The 64-byte Ed25519 signature (RFC 8032) of the data under this key."""
        ...

    def public_key(self, key_id: str) -> bytes:
        """The raw 32-byte public key."""
        ...

    def key_ids(self) -> tuple[str, ...]:
        """The keys this signer holds."""
        ...


class SecretSource(Protocol):
    """Hands out symmetric secrets by name; the same name gives the same secret for ever."""

    def secret(self, name: str) -> bytes:
        """A 32-byte secret of its own for this name."""
        ...


def verify_signature(public_key: bytes, data: bytes, signature: bytes, *, what: str = "the data") -> None:
    """Check an Ed25519 signature (RFC 8032); raises :class:`IntegrityError` when it is not one by this key."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError) as error:
        raise IntegrityError(
            f"the signature does not fit {what}",
            fix="get it again from its origin; if it stays so, it was changed or signed with another key",
        ) from error


class FileSigner:
    """Keys in encrypted PKCS#8 files, one per key id, all under one passphrase.

    Private keys are held in memory only as long as this object lives and appear
    in no representation of it.
    """

    def __init__(
        self, keys: Mapping[str, Ed25519PrivateKey], master: X25519PrivateKey, folder: Path | None = None
    ) -> None:
        self._keys = dict(keys)
        self._master = master.private_bytes_raw()
        self._versions: tuple[KeyVersion, ...] = ()
        self._clock: Clock = SystemClock()
        self._folder = folder

    @classmethod
    def create(cls, folder: Path, passphrase: bytes) -> Self:
        """Make a full set of new keys in a folder that holds none yet, and open it.

        The folder appears complete or not at all. Raises :class:`ConflictError`
        when keys are there already: they are never overwritten.
        """
        _require_passphrase(passphrase)
        if folder.exists() and any(folder.iterdir()):
            raise ConflictError(
                "there are keys already", where=str(folder), fix="open them, or choose an empty folder for new ones"
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".keys-", dir=folder.parent))
        for key_id in KEY_IDS:
            save_private_key(draft / f"{key_id}.pem", Ed25519PrivateKey.generate(), passphrase)
        # The master secret is 32 random bytes; as an X25519 key it can lie in the same kind of encrypted file.
        save_private_key(draft / f"{_MASTER}.pem", X25519PrivateKey.generate(), passphrase)
        draft.replace(folder)
        return cls.open(folder, passphrase)

    @classmethod
    def open(cls, folder: Path, passphrase: bytes) -> Self:
        """Read all keys of a folder.

        Raises :class:`InputError` on a wrong passphrase or a file that others
        may read, :class:`NotFoundError` when a key is missing.
        """
        later = sorted(path.stem for path in folder.glob("*-*.pem") if is_numbered(path.stem, KEY_IDS))
        keys = {name: _signing_key(folder / f"{name}.pem", passphrase) for name in (*KEY_IDS, *later)}
        keys |= _successors(folder, passphrase)
        master = load_private_key(folder / f"{_MASTER}.pem", passphrase)
        if not isinstance(master, X25519PrivateKey):
            raise _wrong_kind(folder / f"{_MASTER}.pem")
        return cls(keys, master, folder)

    def prepare_successor(self, key_id: str, passphrase: bytes) -> str:
        """Make the key that is to follow this one, or find the one made earlier; returns the id it signs under."""
        staged = successor_of(key_id)
        if staged not in self._keys:
            self.add_key(self._home(), staged, passphrase)
        return staged

    def adopt_successor(self, key_id: str) -> None:
        """Put the successor in the place of a key, whose private half is gone from then on; nobody can use it again."""
        staged = successor_of(key_id)
        key = self._key(staged)
        folder = self._home()
        (folder / f"{staged}.pem").replace(folder / f"{key_id}.pem")
        _flush_folder(folder)
        self._keys = {name: held for name, held in self._keys.items() if name != staged} | {key_id: key}

    def sign(self, key_id: str, data: bytes) -> bytes:
        return self._key(key_id).sign(data)

    def public_key(self, key_id: str) -> bytes:
        return self._key(key_id).public_key().public_bytes_raw()

    def key_ids(self) -> tuple[str, ...]:
        return tuple(self._keys)

    def current(self, purpose: str) -> str:
        """The name of the key that signs for a purpose now."""
        now = self.now()
        return next((v.name for v in reversed(self.versions(purpose)) if v.signs_at(now)), purpose)

    def versions(self, purpose: str) -> tuple[KeyVersion, ...]:
        """All keys of a purpose, the oldest first; one that was never replaced has one version."""
        known = tuple(version for version in self._versions if version.purpose == purpose)
        return known or (KeyVersion(purpose, purpose, self.public_key(purpose)),)

    def now(self) -> datetime:
        """The moment by which the versions count."""
        return self._clock.now()

    def schedule(self, versions: Iterable[KeyVersion], clock: Clock) -> None:
        """Use these versions from now on; raises :class:`IntegrityError` when a key is not the one that is meant."""
        versions = tuple(versions)
        for version in versions:
            if self.public_key(version.name) != version.public_key:
                raise IntegrityError(
                    f"the key file '{version.name}.pem' holds another key than the one that was published",
                    fix="restore the folder 'keys' and the database of this connector from the same backup",
                )
        self._versions, self._clock = versions, clock

    def add_key(self, folder: Path, name: str, passphrase: bytes) -> bytes:
        """Make one more key, write it beside the others and hold it; returns its public key.

        A file of this name is from a rotation that was cut off: nothing knows it, and it is written anew.
        """
        load_private_key(folder / f"{_MASTER}.pem", passphrase)  # a wrong passphrase would lock the new key away
        key = Ed25519PrivateKey.generate()
        draft = folder / f".{name}.draft"
        draft.unlink(missing_ok=True)
        save_private_key(draft, key, passphrase)
        draft.replace(folder / f"{name}.pem")
        _flush_folder(folder)
        self._keys = self._keys | {name: key}
        return key.public_key().public_bytes_raw()

    def secret(self, name: str) -> bytes:
        """A 32-byte secret of its own for each name, derived with HKDF-SHA256 (RFC 5869)."""
        if not name:
            raise InputError("a secret needs a name", fix="name the use of the secret, e.g. 'rows-at-rest'")
        derivation = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"synthema/secret/v1/" + name.encode())
        return derivation.derive(self._master)

    def _home(self) -> Path:
        if self._folder is None:
            raise ConflictError("these keys do not lie in files", fix="change them where they are kept")
        return self._folder

    def _key(self, key_id: str) -> Ed25519PrivateKey:
        try:
            return self._keys[key_id]
        except KeyError:
            raise NotFoundError(
                f"there is no key '{key_id[:40]}'", fix=f"use one of: {', '.join(self._keys)}"
            ) from None

    def __repr__(self) -> str:
        return f"FileSigner({', '.join(self._keys)})"

    def __reduce__(self) -> str:
        raise IntegrityError("keys are never copied or sent", fix="open the key folder where the keys are needed")


def successor_of(key_id: str) -> str:
    """The id of the key that is to follow a key."""
    return f"{key_id}-next"


def _successors(folder: Path, passphrase: bytes) -> dict[str, Ed25519PrivateKey]:
    """The keys that wait to follow another; there are some only while keys are being changed."""
    found = {}
    for staged in map(successor_of, KEY_IDS):
        path = folder / f"{staged}.pem"
        if path.exists():
            found[staged] = _signing_key(path, passphrase)
    return found


def _signing_key(path: Path, passphrase: bytes) -> Ed25519PrivateKey:
    key = load_private_key(path, passphrase)
    if not isinstance(key, Ed25519PrivateKey):
        raise _wrong_kind(path)
    return key


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_private_key(path: Path, key: Ed25519PrivateKey | X25519PrivateKey, passphrase: bytes) -> None:
    """Write a private key as encrypted PKCS#8, readable by its owner only; never over an existing file."""
    _require_passphrase(passphrase)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    write_private_file(path, pem)


def load_private_key(path: Path, passphrase: bytes) -> Ed25519PrivateKey | X25519PrivateKey:
    """Read an encrypted PKCS#8 file; raises :class:`InputError` when the passphrase does not open it."""
    pem = read_private_file(path)
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError) as error:
        raise InputError(
            "this key does not open", where=str(path), fix="give the passphrase the key was made with"
        ) from error
    if not isinstance(key, Ed25519PrivateKey | X25519PrivateKey):
        raise _wrong_kind(path)
    return key


def write_private_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read; raises :class:`ConflictError` when it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConflictError("this file exists already", where=str(path), fix="choose another name") from error
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(descriptor)


def read_private_file(path: Path) -> bytes:
    """Read a file that only its owner may read; raises :class:`InputError` when others may, too."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if stat.S_IMODE(mode) & 0o077:
                raise InputError(
                    "this file holds a secret that others may read", where=str(path), fix=f"run: chmod 600 {path}"
                )
            return stream.read()
    except FileNotFoundError as error:
        raise NotFoundError("this key file is missing", where=str(path), fix="restore it, or make new keys") from error


def _require_passphrase(passphrase: bytes) -> None:
    if len(passphrase) < MINIMUM_PASSPHRASE_BYTES:
        raise InputError(
            "the passphrase is too short", fix=f"use at least {MINIMUM_PASSPHRASE_BYTES} bytes, better a random file"
        )


def _wrong_kind(path: Path) -> InputError:
    return InputError("this file holds another kind of key", where=str(path), fix="restore the file it was made as")
