"""How a connector joins a data space: ten numbered steps, of which the last one changes anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from synthema.assembly.joining.client import AuthorityClient
from synthema.assembly.joining.membership import Membership
from synthema.assembly.joining.model import CLOCK_TOLERANCE, STEPS, Invitation, read_invitation, step
from synthema.clock import from_text
from synthema.errors import ConflictError, InputError, IntegrityError, PeerError
from synthema.identity import DidResolver, credentials, verify_signature
from synthema.identity.dcp.kinds import MEMBERSHIP, ROLE
from synthema.identity.multibase import decode_base58btc, decode_ed25519_key
from synthema.identity.statuslist import PURPOSES

_ASK: Final = "ask the authority for a new invitation"


def join(membership: Membership, value: Any) -> dict[str, Any]:
    """Use an invitation and belong to its data space.

    Raises the error of the first of :data:`STEPS` that fails, with its number.
    Nothing is kept before the last one; the same invitation may be used again
    after any of them.
    """
    rooms = membership.rooms
    with step(1):
        invitation = read_invitation(value)
    with step(2):
        _check_addressee(membership, invitation)
    with step(3):
        _check_open(membership, invitation)
    with step(4):
        resolver = _authority_resolver(membership, invitation)
        key = _check_key(resolver, invitation)
    with step(5):
        verify_signature(key, invitation.signed_bytes(), decode_base58btc(invitation.signature), what="the invitation")
    with step(6):
        _check_clock(membership, rooms.authorities, invitation)
    with step(7):
        answer = rooms.authorities.join(
            invitation.authority, invitation.authority_url, invitation.invitation, invitation.code
        )
    with step(9):
        own = _check_credentials(membership, resolver, invitation, answer)
    with step(10):
        _keep(membership, resolver, invitation, answer, own)
    listed = membership.members()
    return {
        "space": invitation.space,
        "authority": invitation.authority,
        "steps": [{"number": number, "step": sentence} for number, sentence in enumerate(STEPS, start=1)],
        "credentials": [held["type"] for held in own],
        "members": [] if listed is None else [member.model_dump(mode="json") for member in listed.active()],
    }


def _check_addressee(membership: Membership, invitation: Invitation) -> None:
    settings, current = membership.rooms.settings, membership.current()
    if current is not None and current["authority"] != invitation.authority:
        raise ConflictError(
            f"this connector belongs to {current['space']} already", fix="leave it first: synthema site leave"
        )
    if invitation.address.rstrip("/") != settings.public_url:
        raise InputError(
            f"it is for {invitation.address}, and this connector's public_url is {settings.public_url}",
            fix="set public_url in connector.toml to the invited address, or ask for an invitation to this one",
        )
    if invitation.role != settings.role:
        raise InputError(
            f"it is for a {invitation.role}, and this connector is a {settings.role}",
            fix=f"ask the authority for an invitation as a {settings.role}",
        )
    if settings.mode != "demo" and not invitation.authority_url.startswith("https://"):
        raise InputError("the authority has no https address", fix="only demonstrations do without; ask the authority")


def _check_open(membership: Membership, invitation: Invitation) -> None:
    now = membership.rooms.clock.now()
    if invitation.expires <= now:
        raise InputError(
            f"it expired on {invitation.expires:%Y-%m-%d %H:%M} UTC, and here it is {now:%Y-%m-%d %H:%M}",
            fix=f"check this machine's clock; if it is right, {_ASK}",
        )


def _authority_resolver(membership: Membership, invitation: Invitation) -> DidResolver:
    """Reads the authority's document at the invited address; it is no party of ours before the last step."""
    return membership.rooms.resolver.with_origins({invitation.authority: invitation.authority_url})


def _check_key(resolver: DidResolver, invitation: Invitation) -> bytes:
    try:
        found = resolver.verification_key(invitation.method)
    except PeerError as error:
        raise PeerError(
            f"there is no authority at {invitation.authority_url}: {error.message}",
            fix="see that this machine reaches that address: name service, firewall, TLS",
            where=invitation.authority_url,
        ) from error
    if found != decode_ed25519_key(invitation.key):
        raise IntegrityError(
            "the authority's address shows another key than the invitation",
            fix=f"call the authority by telephone and compare the key ({invitation.key}); {_ASK}",
        )
    return found


def _check_clock(membership: Membership, authorities: AuthorityClient, invitation: Invitation) -> None:
    theirs = from_text(str(authorities.describe(invitation.authority, invitation.authority_url).get("time")))
    ahead = membership.rooms.clock.now() - theirs
    if abs(ahead) > CLOCK_TOLERANCE:
        seconds = abs(ahead.total_seconds())
        raise ConflictError(
            f"this machine's clock is {seconds:.0f} s {'ahead of' if ahead > -ahead else 'behind'} the authority's",
            fix="let a time service (NTP) set the clock of this machine; tokens live two minutes",
        )


def _check_credentials(
    membership: Membership, resolver: DidResolver, invitation: Invitation, answer: Mapping[str, Any]
) -> list[dict[str, Any]]:
    rooms, own = membership.rooms, answer.get("credentials")
    if not isinstance(own, list) or not all(isinstance(held, dict) for held in own):
        raise IntegrityError("the authority gave no credentials", fix="ask its operator")
    for held in own:
        verified = credentials.verify(
            held.get("document") or {}, resolver, rooms.clock.now(), lambda url: _status(membership, invitation, url)
        )
        if verified.issuer != invitation.authority or verified.subject.get("id") != rooms.settings.did:
            raise IntegrityError("a credential is not the authority's, or not about us", fix="ask its operator")
    if missing := {MEMBERSHIP, ROLE} - {str(held.get("type")) for held in own}:
        raise IntegrityError(f"no {' and no '.join(sorted(missing))} was given", fix="ask the authority's operator")
    return own


def _status(membership: Membership, invitation: Invitation, address: str) -> dict[str, Any]:
    for purpose in PURPOSES:
        if address == f"{invitation.authority_url}/status/{purpose}":
            path = f"/status/{purpose}"
            return membership.rooms.authorities.status_list(invitation.authority, invitation.authority_url, path)
    raise IntegrityError("a credential names a status list that is not the authority's", fix="ask its operator")


def _keep(
    membership: Membership,
    resolver: DidResolver,
    invitation: Invitation,
    answer: Mapping[str, Any],
    own: list[dict[str, Any]],
) -> None:
    document = answer.get("members")
    if not isinstance(document, dict):
        raise IntegrityError("the authority gave no list of members", fix="ask its operator")
    listed = membership.read_list(document, invitation.authority, 0, resolver)
    if (us := listed.member(membership.rooms.settings.did)) is None or us.state != "active":
        raise IntegrityError("the list of members does not name us", fix="ask the authority's operator")
    membership.begin(listed, invitation.authority_url, document, own)
