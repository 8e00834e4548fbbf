"""The credentials an authority issues: membership and roles, in both signed forms, and the list of members.

Each credential is one document, signed twice: with a proof inside
(``eddsa-jcs-2022``, as all credentials of this house) and enveloped in JOSE
(``vc+jwt``, profile ``vc20-bssl/jwt`` of the Decentralized Claims Protocol).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from synthema.assembly.joining.model import MembersList
from synthema.clock import to_text
from synthema.identity import Signer, StatusList, status_entry, status_list_credential
from synthema.identity.credentials import issue
from synthema.identity.dcp.envelope import envelop
from synthema.identity.dcp.kinds import ACCESS_BODY, MEMBERSHIP, PERMIT_HOLDER, ROLE, kind_of
from synthema.identity.statuslist import CONTEXT, PURPOSES, Purpose
from synthema.identity.versions import signing_method
from synthema.provenance.model import SYNTHEMA

LIFETIME: Final = timedelta(days=365)
STATUS_LIFETIME: Final = timedelta(hours=12)
"""How long a fetched status list may be believed: the longest time until a revocation is seen everywhere."""
MEMBERS_LIFETIME: Final = timedelta(hours=24)
"""How long members go on dealing with each other when the authority cannot be reached."""

LIST_TYPE: Final = "DataspaceMembersList"
TYPES: Final[Mapping[str, str]] = {
    "membership": MEMBERSHIP,
    "role": ROLE,
    "access-body": ACCESS_BODY,
    "permit-holder": PERMIT_HOLDER,
}
"""What ``synthema authority issue`` calls each kind of credential."""

STATE_OF: Final[Mapping[Purpose, str]] = {"revocation": "revoked", "suspension": "suspended"}


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs: the authority's identity, address and keys."""

    did: str
    origin: str
    space: str
    signer: Signer

    def credential(
        self, identifier: str, type_: str, subject: Mapping[str, Any], number: int, at: datetime, until: datetime
    ) -> tuple[dict[str, Any], str]:
        """A credential in both forms; raises :class:`InputError` where its subject does not say what it must."""
        kind_of(type_).read(subject)
        document = {
            "@context": [CONTEXT, {"@vocab": SYNTHEMA}],
            "id": f"{self.origin}/id/credential/{identifier}",
            "type": ["VerifiableCredential", type_],
            "issuer": self.did,
            "validFrom": to_text(at),
            "validUntil": to_text(until),
            "credentialSubject": dict(subject),
            "credentialStatus": [
                status_entry(f"{self.origin}/status/{purpose}", number, purpose) for purpose in STATE_OF
            ],
        }
        method = signing_method(self.signer, self.did)
        return issue(document, self.signer, method, at), envelop(document, self.signer, method)

    def status_list(self, purpose: Purpose, numbers: list[int], at: datetime) -> dict[str, Any]:
        """The signed list of a purpose, in which these numbers are set."""
        bits = StatusList()
        for number in numbers:
            bits.set(number, value=True)
        url = f"{self.origin}/status/{purpose}"
        unsigned = status_list_credential(url, self.did, bits, purpose, at, at + STATUS_LIFETIME)
        return issue(unsigned, self.signer, signing_method(self.signer, self.did), at)

    def members(self, listed: MembersList, at: datetime) -> dict[str, Any]:
        """The signed list of members."""
        document = {
            "@context": [CONTEXT, {"@vocab": SYNTHEMA}],
            "id": f"{self.origin}/authority/members",
            "type": ["VerifiableCredential", LIST_TYPE],
            "issuer": self.did,
            "validFrom": to_text(at),
            "validUntil": to_text(listed.valid_until),
            "credentialSubject": {
                "id": self.did,
                "space": listed.space,
                "version": listed.version,
                "members": [member.model_dump(mode="json") for member in listed.members],
            },
        }
        return issue(document, self.signer, signing_method(self.signer, self.did), at)


def subject_of(kind: str, did: str, authority: str, role: str, facts: Mapping[str, str]) -> dict[str, str]:
    """What a credential of a kind says of a member: ``facts`` are what only this kind says."""
    own = {"membership": {"memberOf": authority}, "role": {"role": role}}.get(kind, {})
    return {"id": did, **own, **facts}


__all__ = [
    "LIFETIME",
    "LIST_TYPE",
    "MEMBERS_LIFETIME",
    "PURPOSES",
    "STATE_OF",
    "STATUS_LIFETIME",
    "TYPES",
    "Issuer",
    "subject_of",
]
