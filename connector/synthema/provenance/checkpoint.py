"""Signed heads of a log: C2SP signed-note, tlog-checkpoint and tlog-cosignature (Ed25519, v1).

A checkpoint says "my log named *origin* has *size* entries and this root". The
log signs it; witnesses add cosignatures with the time at which they saw it.
Signatures by unknown keys are ignored, as the specification says; one by a
known key that does not verify refuses the whole note.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from urllib.parse import urlsplit

from synthema.errors import InputError, IntegrityError
from synthema.identity.keys import verify_signature
from synthema.provenance.merkle import HASH_BYTES

LOG_SIGNATURE = 0x01
COSIGNATURE = 0x04

MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 64
_EM_DASH = "\u2014"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_NAME = re.compile(r"[^\s+]+")

Sign = Callable[[bytes], bytes]


def log_name(public_url: str) -> str:
    """Origin line and key name of a connector's log: its address without the scheme, then ``/log``."""
    return f"{urlsplit(public_url).netloc}/log"


def witness_name(public_url: str) -> str:
    """Key name of a connector as a witness."""
    return f"{urlsplit(public_url).netloc}/witness"


class HeadKeys(Protocol):
    """Who signs the heads of one log: one key, or several that followed one another."""

    @property
    def name(self) -> str:
        """The log's name, which is the origin line of its heads and the name of all its keys."""
        ...

    def signers(self, size: int) -> tuple[VerifierKey, ...]:
        """The keys that must all have signed a head of this many entries."""
        ...


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key under the name it signs notes with (signed-note, "verifier keys")."""

    name: str
    public_key: bytes
    type: int = LOG_SIGNATURE

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError("a key name is empty or holds a space or plus", fix="name it like host.example/log")

    @property
    def id(self) -> bytes:
        """The 4-byte key id: start of SHA-256(name ‖ newline ‖ type ‖ key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public_key).digest()[:4]

    def signers(self, size: int) -> tuple[VerifierKey, ...]:
        """Alone, it signs heads of any size: who knows only this key knows of no other (:class:`HeadKeys`)."""
        return (self,)

    def __str__(self) -> str:
        material = base64.b64encode(bytes([self.type]) + self.public_key).decode()
        return f"{self.name}+{self.id.hex()}+{material}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+id+key``; raises :class:`InputError` when the parts do not fit together."""
        try:
            name, key_id, material = text.split("+", 2)
            raw = base64.b64decode(material, validate=True)
            key = cls(name, raw[1:], raw[0])
        except (ValueError, IndexError) as error:
            raise _bad_key() from error
        if key.id.hex() != key_id or key.type not in (LOG_SIGNATURE, COSIGNATURE) or len(key.public_key) != HASH_BYTES:
            raise _bad_key()
        return key


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Head of a log: its name, number of entries and RFC 9162 root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{encode_hash(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note, not yet verified."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """The line as it stands in the note, with its line end."""
        return f"{_EM_DASH} {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"

    def by(self, key: VerifierKey) -> bool:
        """Whether this line says that it was made with the key."""
        return self.name == key.name and self.key_id == key.id


@dataclass(frozen=True, slots=True)
class Note:
    """A signed note taken apart; nothing in it is verified yet."""

    text: str
    signatures: tuple[Signature, ...]


def sign_checkpoint(checkpoint: Checkpoint, key: VerifierKey, sign: Sign) -> str:
    """The signed note of a checkpoint, by the log itself."""
    text = checkpoint.text()
    return f"{text}\n{sign_text(text, key, sign)}"


def sign_text(text: str, key: VerifierKey, sign: Sign) -> str:
    """The line with which a log key signs the text of a checkpoint."""
    return Signature(key.name, key.id, sign(text.encode())).line()


def cosign(text: str, key: VerifierKey, sign: Sign, at: datetime) -> str:
    """A witness's signature line over the text of a checkpoint, with the second at which it was seen."""
    seconds = int(at.timestamp())
    value = seconds.to_bytes(8, "big") + sign(_cosigned(text, seconds))
    return Signature(key.name, key.id, value).line()


def parse_note(note: str) -> Note:
    """Take a signed note apart; raises :class:`IntegrityError` when it is not well formed."""
    if len(note) > MAX_NOTE_BYTES or any(c < " " and c != "\n" for c in note):
        raise _malformed("it is too long or holds control characters")
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise _malformed("a blank line and a signature line must follow the text")
    signatures = tuple(parse_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise _malformed(f"it has more than {MAX_SIGNATURES} signatures")
    return Note(text + "\n", signatures)


def parse_signature(line: str) -> Signature:
    """Read one signature line, without its line end."""
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _EM_DASH or not _NAME.fullmatch(parts[1]):
        raise _malformed("a signature line is not '— name base64'")
    value = decode_base64(parts[2])
    if len(value) <= 4:
        raise _malformed("a signature is too short")
    return Signature(parts[1], value[:4], value[4:])


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint; extension lines are refused, because nobody could audit them."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or not lines[0]:
        raise _malformed("its text is not origin, size and root")
    return Checkpoint(lines[0], parse_size(lines[1]), decode_hash(lines[2]))


def parse_size(text: str) -> int:
    """A number of entries in decimal, without leading zeros."""
    if not _NUMBER.fullmatch(text):
        raise _malformed("a size in it is not a number")
    return int(text)


def encode_hash(value: bytes) -> str:
    """A hash in base64, as it stands in a line of its own."""
    return base64.b64encode(value).decode()


def decode_hash(text: str) -> bytes:
    """A SHA-256 hash from base64, in its one canonical spelling."""
    value = decode_base64(text)
    if len(value) != HASH_BYTES:
        raise _malformed("a hash in it is not one of SHA-256")
    return value


def open_checkpoint(note: str, key: HeadKeys) -> Checkpoint:
    """The checkpoint in a note that the log's key signed; raises :class:`IntegrityError` otherwise."""
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    if checkpoint.origin != key.name:
        raise _malformed("it names another log than its key")
    for signer in key.signers(checkpoint.size):
        own = [signature for signature in parsed.signatures if signature.by(signer)]
        if not own:
            raise _malformed("the log's key did not sign it")
        for signature in own:
            verify_signature(signer.public_key, parsed.text.encode(), signature.value, what="this checkpoint")
    return checkpoint


def verify_cosignature(text: str, line: str, key: VerifierKey) -> datetime:
    """When the witness saw the checkpoint; raises :class:`IntegrityError` when the line is not the witness's."""
    signature = parse_signature(line.removesuffix("\n"))
    if key.type != COSIGNATURE or not signature.by(key) or len(signature.value) != 8 + 64:
        raise _malformed("this is not a cosignature by the witness")
    seconds = int.from_bytes(signature.value[:8], "big")
    verify_signature(key.public_key, _cosigned(text, seconds), signature.value[8:], what="this checkpoint")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise _malformed("its time is out of range") from error


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


def decode_base64(text: str) -> bytes:
    """Bytes from base64, in its one canonical spelling; raises :class:`IntegrityError`."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed("a value in it is not base64") from error
    # Base64 leaves bits of the last character unused: one value, one spelling.
    if base64.b64encode(value).decode() != text:
        raise _malformed("a value in it is not canonical base64")
    return value


def _malformed(reason: str) -> IntegrityError:
    return IntegrityError(f"this checkpoint cannot be trusted: {reason}", fix="ask the log for its checkpoint again")


def _bad_key() -> InputError:
    return InputError("this is not a verifier key", fix="copy it whole, in the form name+id+key")
