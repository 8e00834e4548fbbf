"""A permit as a signed object: a verifiable credential that its issuer signs and anybody can check.

W3C VC Data Model 2.0 with a Data Integrity proof ``eddsa-jcs-2022``. The Commission's templates for permits (EHDS
Art. 70) are to come by March 2027: ``FORM`` names the shape, so that another can stand beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, Literal

from pydantic import ValidationError

from synthema.clock import to_text
from synthema.errors import DeniedError, InputError, IntegrityError
from synthema.identity import DidResolver, StatusList, status_entry, status_list_credential
from synthema.identity.credentials import StatusLookup, issue, verify
from synthema.identity.keys import Signer
from synthema.identity.statuslist import CONTEXT, Purpose
from synthema.identity.versions import signing_method
from synthema.permits.model import Permit, PermitContent, PermitState
from synthema.provenance.model import SYNTHEMA
from synthema.values import first_problem
from synthema.vocabulary import Vocabulary

FORM: Final = "synthema-permit-1"
TYPE: Final = "DataPermitCredential"
LIST_LIFETIME: Final = timedelta(hours=12)
"""How long a fetched status list may be believed: the longest time until a revocation is seen everywhere."""

STATUS_LISTS: Final[dict[str, tuple[Purpose, PermitState]]] = {
    "permit-revocation": ("revocation", PermitState.REVOKED),
    "permit-suspension": ("suspension", PermitState.SUSPENDED),
}
"""Name of a list → what its bits mean, and the state of a permit that sets its bit."""

_PURPOSES: Final = SYNTHEMA + "Art53Purpose"


@dataclass(frozen=True, slots=True)
class VerifiedPermit:
    """A permit of another body that was found good at a moment."""

    id: str
    content: PermitContent
    issuer: str
    regime: Literal["pre-EHDS", "EHDS"]
    approved_at: datetime
    credential: Mapping[str, Any]


def sign_permit(permit: Permit, *, origin: str, issuer: str, signer: Signer, at: datetime) -> dict[str, Any]:
    """The permit as a credential under its issuer's signature; raises :class:`InputError` for one not granted."""
    if permit.approved_at is None:
        raise InputError("a permit that was not granted cannot be signed", fix="grant it first")
    content = permit.content.model_dump(mode="json") | {"valid_to": permit.valid_to.isoformat()}
    document = {
        "@context": [CONTEXT, {"@vocab": SYNTHEMA}],
        "id": f"{origin}/id/permit/{permit.id}",
        "type": ["VerifiableCredential", TYPE],
        "issuer": issuer,
        "validFrom": to_text(permit.approved_at),
        "validUntil": to_text(end_of(permit)),
        "credentialSubject": {
            "id": permit.content.holder,
            "form": FORM,
            "regime": permit.regime,
            "law": "EHDS 68(10)",
            "permit": content,
        },
        "credentialStatus": [
            status_entry(f"{origin}/status/{name}", permit.status_index, purpose)
            for name, (purpose, _) in STATUS_LISTS.items()
        ],
    }
    return issue(document, signer, signing_method(signer, issuer), at)


def status_list(
    permits: Collection[Permit], name: str, *, origin: str, issuer: str, signer: Signer, at: datetime
) -> dict[str, Any]:
    """One of :data:`STATUS_LISTS` for the permits this body issued, signed; raises :class:`InputError` for others."""
    if name not in STATUS_LISTS:
        raise InputError("there is no such status list", fix=f"ask for one of: {', '.join(STATUS_LISTS)}")
    purpose, state = STATUS_LISTS[name]
    bits = StatusList()
    for permit in permits:
        if permit.state is state and permit.issuer == issuer:
            bits.set(permit.status_index, value=True)
    url = f"{origin}/status/{name}"
    return issue(
        status_list_credential(url, issuer, bits, purpose, at, at + LIST_LIFETIME),
        signer,
        signing_method(signer, issuer),
        at,
    )


def end_of(permit: Permit) -> datetime:
    """The moment the last day of a permit is over, in UTC."""
    return datetime.combine(permit.valid_to + timedelta(days=1), time(), UTC)


def read_permit(
    document: Mapping[str, Any],
    *,
    bodies: Collection[str],
    site: str,
    vocabulary: Vocabulary,
    resolver: DidResolver,
    at: datetime,
    status: StatusLookup,
) -> VerifiedPermit:
    """Check a permit of another body, in this order; the first thing that is wrong is told.

    The issuer is one of ``bodies`` (:class:`DeniedError`); the credential holds: signature, time, neither revoked nor
    suspended (:class:`IntegrityError`, or :class:`PeerError` when its keys or lists cannot be had now); its content is
    lawful and about data of ``site`` (:class:`InputError`, :class:`DeniedError`).
    """
    issuer = document.get("issuer")
    named = issuer.get("id") if isinstance(issuer, Mapping) else issuer
    if named not in bodies:
        raise DeniedError(
            f"'{str(named)[:120]}' is no body that this site trusts to issue permits (EHDS Art. 55)",
            fix="name the health data access body under [[access_bodies]] in connector.toml, or refuse the permit",
        )
    verified = verify(document, resolver, at, status)
    if TYPE not in verified.types or verified.subject.get("form") != FORM:
        raise InputError(
            "this credential is no data permit in a form we read", fix=f"ask for a {TYPE} of the form {FORM}"
        )
    if verified.valid_from is None or not isinstance(document.get("id"), str):
        raise InputError("the permit has no identifier, or no day of issue", fix="ask its issuer for a complete one")
    content = _content(verified.subject)
    _require_lawful(content, verified.subject, site, vocabulary, at)
    regime = verified.subject.get("regime")
    return VerifiedPermit(
        id=str(document["id"]),
        content=content,
        issuer=verified.issuer,
        regime="EHDS" if regime == "EHDS" else "pre-EHDS",
        approved_at=verified.valid_from,
        credential=verified.credential,
    )


def _content(subject: Mapping[str, Any]) -> PermitContent:
    value = subject.get("permit")
    if not isinstance(value, Mapping):
        raise InputError("the credential holds no permit", fix="ask its issuer for the permit with its content")
    if not value.get("principal_investigator"):
        raise InputError(
            "the permit names no authorised persons (EHDS Art. 68(10)(d))",
            fix="ask its issuer to name the principal investigator and whoever works with the data",
        )
    try:
        return PermitContent.model_validate(dict(value))
    except ValidationError as error:
        problem = first_problem(error)
        where = ".".join(str(part) for part in problem["loc"]) or "permit"
        raise InputError(
            f"the permit's content is not lawful or not complete (EHDS Art. 68(10)): {problem['msg']}",
            where=where,
            fix="ask its issuer to correct the permit and sign it again",
        ) from error


def _require_lawful(
    content: PermitContent, subject: Mapping[str, Any], site: str, vocabulary: Vocabulary, at: datetime
) -> None:
    if subject.get("id") != content.holder:
        raise IntegrityError(
            "the permit names another holder than its credential is about", fix="ask its issuer for the right one"
        )
    if not vocabulary.purposes.is_a(content.purpose, _PURPOSES):
        raise DeniedError(
            f"'{content.purpose[:120]}' is no purpose of EHDS Article 53(1)",
            fix="a permit for another purpose is not executed here; ask its issuer",
        )
    if site not in content.data.sources:
        raise DeniedError(
            "the permit is not about data of this site (EHDS Art. 68(10)(a))",
            fix=f"ask its issuer whether it meant another data holder; this one is {site}",
        )
    if at.date() > content.valid_to:
        raise DeniedError(f"the permit ended on {content.valid_to.isoformat()}", fix="the holder applies for a new one")
