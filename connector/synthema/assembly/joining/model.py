"""What joining a data space is about: invitations, members and their list, and the numbered steps of a join."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydantic import AwareDatetime, Field, ValidationError

from synthema.canonical import canonical_json
from synthema.config import Peer, Role
from synthema.errors import InputError, SynthemaError
from synthema.values import Closed

MemberState = Literal["active", "suspended", "revoked", "left"]

INVITATION_LIFETIME: Final = timedelta(hours=72)
LONGEST_INVITATION: Final = timedelta(days=14)
CLOCK_TOLERANCE: Final = timedelta(seconds=60)

STEPS: Final = (
    "the invitation can be read",
    "it invites this connector",
    "it has not expired by our clock",
    "the authority answers with the key that the invitation names",
    "the invitation is signed with that key",
    "our clock agrees with the authority's",
    "the authority takes the invitation",
    "the authority can read our DID document, and we hold its key",
    "the credentials it gives us hold",
    "the members' list holds, and is kept with the credentials",
)
"""How a join goes; an error names the number and the sentence."""


class Invitation(Closed):
    """An invitation for one connector, at one address, to be used once and soon.

    It carries the authority's key, so that a person who got it on a good way has
    an anchor that no later answer of a server can change.
    """

    invitation: str = Field(description="its number")
    space: str = Field(description="name of the data space")
    authority: str = Field(description="did of the authority")
    authority_url: str = Field(description="address of the authority")
    key: str = Field(description="the authority's key as Multikey")
    method: str = Field(description="the name of that key")
    address: str = Field(description="public address of the connector that is invited")
    role: Role
    name: str = Field(description="its name for people")
    place: str | None = Field(default=None, description="country it is established in")
    code: str = Field(min_length=32, max_length=64, description="secret that works once")
    expires: AwareDatetime
    signature: str = ""

    def signed_bytes(self) -> bytes:
        """What the authority signs."""
        return b"synthema invitation 1\n" + canonical_json(self.model_dump(mode="json", exclude={"signature"}))


def read_invitation(value: Any) -> Invitation:
    """An invitation from its JSON; raises :class:`InputError` naming the field."""
    try:
        return Invitation.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{field}: {first['msg']}", fix="use the file exactly as the authority wrote it") from error


class Member(Closed):
    """A member as the authority's list tells it to the others."""

    did: str
    url: str
    role: Role
    name: str
    place: str | None = None
    state: MemberState
    since: AwareDatetime
    reason: str | None = None

    def as_peer(self) -> Peer:
        """The partner this member is."""
        return Peer(did=self.did, url=self.url, role=self.role, name=self.name, place=self.place)


class MembersList(Closed):
    """All members at one moment. ``version`` only grows: an older list never replaces a newer one."""

    space: str
    authority: str
    version: int = Field(ge=0)
    members: tuple[Member, ...]
    valid_until: AwareDatetime

    def member(self, did: str) -> Member | None:
        """The member with this DID, in whatever state."""
        return next((member for member in self.members if member.did == did), None)

    def active(self) -> tuple[Member, ...]:
        """The members in good standing."""
        return tuple(member for member in self.members if member.state == "active")


def read_members(subject: Mapping[str, Any], authority: str, valid_until: datetime | None) -> MembersList:
    """The list in the subject of a verified credential; raises :class:`InputError`."""
    fields = {name: subject.get(name) for name in ("space", "version", "members")}
    try:
        return MembersList.model_validate({**fields, "authority": authority, "valid_until": valid_until})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the members' list: {field}: {first['msg']}", fix="ask the authority to mend it") from error


@contextmanager
def step(number: int) -> Iterator[None]:
    """Name the step of :data:`STEPS` in whatever error its work raises."""
    try:
        yield
    except SynthemaError as error:
        if not error.message.startswith("step "):
            error.message = f"step {number} of {len(STEPS)} ({STEPS[number - 1]}): {error.message}"
        raise
