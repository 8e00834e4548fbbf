"""What people of an authority may ask of it: the same value over its management address and on the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from pydantic import BaseModel, Field, ValidationError

from synthema.assembly.joining import admission, standing
from synthema.assembly.joining.authority import Authority
from synthema.assembly.joining.issuance import issuer_service, request_json
from synthema.assembly.joining.rotating import RotateKey, key_versions, rotate_key
from synthema.assembly.problems import input_error
from synthema.config import Role
from synthema.errors import NotFoundError
from synthema.identity.dcp import KINDS
from synthema.values import Closed

GivenT = TypeVar("GivenT", bound=BaseModel)

ACTS: Final[dict[str, Callable[[Authority, Any], Any]]] = {}
"""Name of an act → what it does with a JSON value."""


def _act(name: str, model: type[GivenT]) -> Callable[[Callable[[Authority, GivenT], Any]], None]:
    def register(function: Callable[[Authority, GivenT], Any]) -> None:
        def checked(authority: Authority, value: Any) -> Any:
            try:
                given = model.model_validate(value)
            except ValidationError as error:
                raise input_error(error, name, model) from error
            return function(authority, given)

        ACTS[name] = checked

    return register


def perform(authority: Authority, name: str, value: Any) -> Any:
    """Run an act by its name; raises :class:`NotFoundError` for another, :class:`InputError` naming a wrong field."""
    if name not in ACTS:
        raise NotFoundError(f"an authority does not do '{name[:60]}'", fix=f"choose one of: {', '.join(ACTS)}")
    return ACTS[name](authority, value)


class Invite(Closed):
    """The connector to invite: where it answers, what it will be, and how long the invitation is open."""

    address: str = Field(min_length=8, max_length=255)
    role: Role
    name: str = Field(min_length=1, max_length=120)
    place: str | None = Field(default=None, max_length=60)
    hours: float = Field(default=72.0, gt=0)
    proposal: str | None = None


@_act("authority/invite", Invite)
def _invite(authority: Authority, given: Invite) -> dict[str, Any]:
    made = admission.invite(
        authority.office,
        address=given.address,
        role=given.role,
        name=given.name,
        place=given.place,
        lifetime=timedelta(hours=given.hours),
        proposal=given.proposal,
    )
    return made.model_dump(mode="json")


class Withdraw(Closed):
    """Which invitation is to end, and why."""

    invitation: str
    reason: str = Field(min_length=3, max_length=500)


@_act("authority/withdraw", Withdraw)
def _withdraw(authority: Authority, given: Withdraw) -> dict[str, Any]:
    admission.withdraw(authority.office, given.invitation, given.reason)
    return {"invitation": given.invitation, "state": "withdrawn"}


class Issue(Closed):
    """A further credential for a member."""

    member: str
    kind: str
    facts: dict[str, str] = Field(default_factory=dict)
    days: float = Field(default=365.0, gt=0)


@_act("authority/issue", Issue)
def _issue(authority: Authority, given: Issue) -> dict[str, Any]:
    lifetime = timedelta(days=given.days)
    return admission.issue(authority.office, given.member, given.kind, given.facts, lifetime)


class Nothing(Closed):
    """For acts that need nothing."""


@_act("authority/requests", Nothing)
def _requests(authority: Authority, _given: Nothing) -> list[dict[str, Any]]:
    service = issuer_service(authority.office)
    service.deliver()
    return [request_json(row) for row in service.all()]


class Approve(Closed):
    """A request for credentials, and what they are to say beside what is known of the member."""

    request: str
    facts: dict[str, str] = Field(default_factory=dict)
    days: float = Field(default=365.0, gt=0)


@_act("authority/approve", Approve)
def _approve(authority: Authority, given: Approve) -> dict[str, Any]:
    service = issuer_service(authority.office)
    service.approve(given.request, dict.fromkeys(KINDS, given.facts), timedelta(days=given.days))
    return {"request": given.request, "state": "ISSUED", "notDelivered": list(service.deliver())}


class Refuse(Closed):
    """A request for credentials that is refused; the member reads why."""

    request: str
    reason: str = Field(min_length=3, max_length=500)


@_act("authority/refuse", Refuse)
def _refuse(authority: Authority, given: Refuse) -> dict[str, Any]:
    service = issuer_service(authority.office)
    service.refuse(given.request, given.reason)
    return {"request": given.request, "state": "REJECTED", "notDelivered": list(service.deliver())}


class Change(Closed):
    """A member (its DID) or a credential (its number), and why its standing changes."""

    about: str
    reason: str = Field(min_length=3, max_length=500)


for _event in ("suspend", "reinstate", "revoke"):

    def _change(authority: Authority, given: Change, event: str = _event) -> dict[str, Any]:
        return standing.change(authority.office, given.about, event, given.reason)

    _act(f"authority/{_event}", Change)(_change)


@_act("authority/list", Nothing)
def _list(authority: Authority, _given: Nothing) -> dict[str, Any]:
    return authority.listing()


@_act("authority/status", Nothing)
def _status(authority: Authority, _given: Nothing) -> dict[str, Any]:
    states = [str(member.state) for member in authority.members().members]
    invitations = authority.listing()["invitations"]
    return authority.describe() | {
        "members": dict(sorted(Counter(states).items())),
        "openInvitations": sum(each["state"] == "open" for each in invitations),
        "log": authority.office.log.verify().size,
        "keys": key_versions(authority.office.signer),
    }


@_act("key/rotate", RotateKey)
def _rotate(authority: Authority, given: RotateKey) -> dict[str, Any]:
    office = authority.office
    return rotate_key(authority.keys, office.settings, office.log, office.clock, given)
