"""What travels in a study: signed messages, and vectors attached to them.

A message is JSON signed with its sender's data-space identity (Ed25519 over the
canonical form, with a prefix of its own so that no other signature of the same key
can be taken for one). The vector, if any, is bound by its digest. A parcel is a message and its
attachment in one piece of bytes::

    SYNTHEMA-FED-1, a newline, length of the message in four bytes (big-endian), message, attachment (.npy)
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from numpy.typing import NDArray
from pydantic import ValidationError

from synthema import canonical
from synthema.errors import InputError, IntegrityError
from synthema.federation.ports import DidResolver, Signer
from synthema.identity.versions import current_key, is_key_of
from synthema.values import Closed

ASSERTION_KEY = "assertion"
MASKED_TYPES = (np.uint32, np.uint64)
"""The types of numbers in a masked vector; which one a round uses, the aggregator decides from what was agreed."""

SiteKind = Literal["accept", "keys", "shares", "masked", "agreement", "answer", "refusal"]
CoordinatorKind = Literal["round", "roll", "sealed", "survivors", "agreements", "left", "finish", "abort"]

_MAGIC = b"SYNTHEMA-FED-1\n"
_PREFIX = b"synthema federation message 1\n"


class Message(Closed):
    """One signed statement of one party in one study.

    ``sequence`` numbers what a coordinator says to one site (1, 2, …); in a
    site's message it is the number it answers. ``round`` is 0 outside rounds.
    ``key`` is the sender's key that signs, which may be replaced between rounds.
    """

    kind: SiteKind | CoordinatorKind
    study: str
    plan: str
    sender: str
    recipient: str
    sequence: int
    round: int = 0
    round_id: str | None = None
    body: dict[str, Any]
    attachment: str | None = None
    key: str = ASSERTION_KEY
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        return _PREFIX + canonical.canonical_json(self.model_dump(mode="json", exclude={"signature"}))

    @property
    def digest(self) -> str:
        return canonical.digest(self.model_dump(mode="json"))

    def as_json(self) -> dict[str, Any]:
        """The message as a value that another message can carry."""
        return self.model_dump(mode="json")


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message with its attachment."""

    message: Message
    attachment: bytes = b""

    def to_bytes(self) -> bytes:
        """The parcel as it travels (``application/octet-stream``)."""
        text = canonical.canonical_json(self.message.as_json())
        return _MAGIC + len(text).to_bytes(4) + text + self.attachment

    @classmethod
    def from_bytes(cls, data: bytes) -> Parcel:
        """Read a parcel; raises :class:`InputError` on another form, :class:`IntegrityError` on a wrong attachment."""
        start = len(_MAGIC) + 4
        if not data.startswith(_MAGIC) or len(data) < start:
            raise InputError("this is not a federation parcel", fix="send the bytes as the connector made them")
        end = start + int.from_bytes(data[len(_MAGIC) : start])
        if end > len(data):
            raise InputError("the parcel is cut short", fix="send it again")
        parcel = cls(message_from_json(canonical.parse_json_strictly(data[start:end])), data[end:])
        expected = canonical.digest_bytes(parcel.attachment) if parcel.attachment else None
        if parcel.message.attachment != expected:
            raise IntegrityError("the attached vector is not the one the message names", fix="send it again")
        return parcel


def message_from_json(value: Any) -> Message:
    """Read a message; raises :class:`InputError` naming the field."""
    try:
        return Message.model_validate(value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "message"
        raise InputError(f"message field {field}: {first['msg']}", fix="send a message of this protocol") from error


def seal(message: Message, attachment: bytes, signer: Signer) -> Parcel:
    """Bind the attachment, sign, and pack."""
    key = current_key(signer, ASSERTION_KEY)
    digest = canonical.digest_bytes(attachment) if attachment else None
    bound = message.model_copy(update={"attachment": digest, "key": key})
    signature = signer.sign(key, bound.signed_bytes())
    return Parcel(bound.model_copy(update={"signature": base64.b64encode(signature).decode()}), attachment)


def verify(message: Message, resolver: DidResolver) -> None:
    """Raise :class:`IntegrityError` unless the message bears the signature of the sender it names."""
    method = f"{message.sender}#{message.key}"
    if not is_key_of(method, message.sender):
        raise IntegrityError(
            f"a '{message.kind}' message names a key that is not for messages", fix="sign with the identity's key"
        )
    key = Ed25519PublicKey.from_public_bytes(resolver.verification_key(method))
    try:
        key.verify(base64.b64decode(message.signature, validate=True), message.signed_bytes())
    except (InvalidSignature, ValueError) as error:
        raise IntegrityError(
            f"a '{message.kind}' message is not signed by {message.sender[:120]}",
            fix="check that peer's registered identity; do not go on with this study",
        ) from error


def vector_to_bytes(vector: NDArray[np.unsignedinteger[Any]]) -> bytes:
    """A vector in NumPy's .npy form, without pickling."""
    buffer = io.BytesIO()
    np.save(buffer, vector, allow_pickle=False)
    return buffer.getvalue()


def vector_from_bytes(data: bytes, length: int) -> NDArray[np.unsignedinteger[Any]]:
    """Read a masked vector of this length; raises :class:`InputError` on anything else."""
    if len(data) > 8 * length + 1024:
        raise InputError("the attached vector is too long", fix=f"send {length} numbers of 32 or 64 bits")
    try:
        vector: NDArray[np.unsignedinteger[Any]] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        raise InputError(
            "the attachment is not a .npy vector", fix=f"send {length} numbers of 32 or 64 bits"
        ) from error
    if getattr(vector, "dtype", None) not in MASKED_TYPES or vector.shape != (length,):
        raise InputError("the attached vector has another shape or type", fix=f"send {length} numbers of 32 or 64 bits")
    return vector
