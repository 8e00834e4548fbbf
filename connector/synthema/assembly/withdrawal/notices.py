"""Notices of withdrawal and their receipts, as two connectors sign and read them.

A notice names datasets, derived things and the version of the exclusion list that counts now, and never a person,
nor how many there are. It is a verifiable credential like every other statement between connectors: signed with
the data-space identity, so that a receipt can be shown to an authority later (GDPR Art. 5(2), 19).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import AwareDatetime, Field, ValidationError

from synthema.assembly.problems import input_error
from synthema.canonical import digest
from synthema.clock import to_text
from synthema.errors import DeniedError
from synthema.identity import DidResolver, Signer
from synthema.identity.credentials import issue, verify
from synthema.identity.statuslist import CONTEXT
from synthema.identity.versions import is_key_of, signing_method
from synthema.provenance.model import SYNTHEMA
from synthema.values import Closed

NOTICE_TYPE: Final = "WithdrawalNotice"
RECEIPT_TYPE: Final = "WithdrawalReceipt"
MOST_THINGS: Final = 1000


class NoticeContent(Closed):
    """What a notice says. ``withdrawal`` is the sender's plan, the same in all notices about it."""

    id: str = Field(pattern=r"^https?://\S+$", max_length=500)
    withdrawal: str = Field(pattern=r"^https?://\S+$", max_length=500)
    recipient: str = Field(pattern=r"^did:\S+$", max_length=500)
    number: int = Field(ge=1, description="counts this sender's notices to this recipient, without gaps")
    answer_by: AwareDatetime = Field(description="until when the receipt is expected")
    dataset: str = Field(pattern=r"^https?://\S+$", max_length=500)
    exclusion_list: int = Field(ge=0, description="version of the exclusion list that counts from now on")
    things: tuple[str, ...] = Field(max_length=MOST_THINGS, description="IRIs of what is concerned")
    studies: tuple[str, ...] = Field(max_length=MOST_THINGS, description="ids of the studies that are concerned")
    asks: str = Field(max_length=1000)
    articles: tuple[str, ...] = Field(max_length=20)


class ReceiptContent(Closed):
    """What a receipt says: which of the things are here, and how many steps follow from that."""

    id: str = Field(max_length=500)
    notice: str = Field(max_length=500)
    notice_digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    number: int = Field(ge=1)
    missing: tuple[int, ...] = Field(default=(), max_length=100, description="numbers of notices that never arrived")
    known: tuple[str, ...] = Field(max_length=MOST_THINGS)
    steps: int = Field(ge=0)
    received: AwareDatetime


def make_notice(content: NoticeContent, sender: str, signer: Signer, at: datetime) -> dict[str, Any]:
    """A signed notice."""
    return _sign(NOTICE_TYPE, content.id, content.model_dump(mode="json"), sender, signer, at)


def make_receipt(content: ReceiptContent, sender: str, signer: Signer, at: datetime) -> dict[str, Any]:
    """A signed receipt."""
    return _sign(RECEIPT_TYPE, content.id, content.model_dump(mode="json"), sender, signer, at)


def read_notice(
    document: Mapping[str, Any], sender: str, recipient: str, resolver: DidResolver, at: datetime
) -> NoticeContent:
    """A notice that this sender signed for us; raises :class:`InputError`, :class:`DeniedError`, or what is broken."""
    value = _verified(document, NOTICE_TYPE, sender, resolver, at)
    content: NoticeContent = _read(NoticeContent, value)
    if content.recipient != recipient:
        raise DeniedError("this notice is meant for another connector", fix=f"send it to {content.recipient[:120]}")
    return content


def read_receipt(
    document: Mapping[str, Any], notice: Mapping[str, Any], sender: str, resolver: DidResolver, at: datetime
) -> ReceiptContent:
    """The receipt of exactly this notice, signed by its recipient."""
    value = _verified(document, RECEIPT_TYPE, sender, resolver, at)
    content: ReceiptContent = _read(ReceiptContent, value)
    if content.notice != notice.get("id") or content.notice_digest != digest(dict(notice)):
        raise DeniedError("the receipt is for another notice", fix="ask the partner to look at what it received")
    return content


def _sign(
    kind: str, identifier: str, content: dict[str, Any], sender: str, signer: Signer, at: datetime
) -> dict[str, Any]:
    credential = {
        "@context": [CONTEXT, {"@vocab": SYNTHEMA}],
        "id": identifier,
        "type": ["VerifiableCredential", kind],
        "issuer": sender,
        "validFrom": to_text(at),
        "credentialSubject": content,
    }
    return issue(credential, signer, signing_method(signer, sender), at)


def _verified(
    document: Mapping[str, Any], kind: str, sender: str, resolver: DidResolver, at: datetime
) -> Mapping[str, Any]:
    found = verify(document, resolver, at)
    if found.issuer != sender or len(found.signers) != 1 or not is_key_of(found.signers[0], sender):
        raise DeniedError(
            "this was signed by another party than the one that sent it", fix="send your own notices only"
        )
    if kind not in found.types:
        raise DeniedError(f"this is no {kind}", fix="send what this address takes")
    return found.subject


def _read(model: type[Closed], value: Mapping[str, Any]) -> Any:
    try:
        return model.model_validate(dict(value))
    except ValidationError as error:
        raise input_error(error, "withdrawal", model) from error
