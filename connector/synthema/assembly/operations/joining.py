"""Operations on a connector's place in a data space: join, look at both sides, propose, leave; replace a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from synthema.assembly.joining.join import join
from synthema.assembly.joining.membership import views
from synthema.assembly.joining.rotating import RotateKey, key_versions, rotate_key
from synthema.assembly.operations.registry import Input, Nothing, operation
from synthema.config import Role

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class UseInvitation(Input):
    """An invitation as the authority wrote it."""

    invitation: dict[str, Any]


@operation("site/join")
def join_space(connector: Connector, given: UseInvitation) -> dict[str, Any]:
    """Join a data space with an invitation; an error names the numbered step that failed."""
    return join(connector.membership, given.invitation)


@operation("site/status")
def show_membership(connector: Connector, given: Nothing) -> dict[str, Any]:
    """What each side sees: this connector, its authority, and each member."""
    return views(connector.membership)


class Proposal(Input):
    """A connector that should be invited, and why."""

    url: str = Field(min_length=8, max_length=255)
    role: Role
    name: str = Field(min_length=1, max_length=120)
    place: str | None = None
    reason: str = Field(min_length=3, max_length=500)


@operation("site/invite")
def propose_member(connector: Connector, given: Proposal) -> dict[str, Any]:
    """Propose a new member to the authority, whose people decide and invite."""
    row = connection_row(connector)
    return connector.membership.rooms.authorities.propose(row["authority"], row["url"], given.model_dump())


class Leave(Input):
    """Why."""

    reason: str = Field(min_length=3, max_length=500)


@operation("site/leave")
def leave_space(connector: Connector, given: Leave) -> dict[str, Any]:
    """Leave the data space: credentials are revoked, agreements with its members end."""
    return connector.membership.leave(given.reason)


@operation("key/rotate")
def rotate(connector: Connector, given: RotateKey) -> dict[str, Any]:
    """Replace a key while everything goes on: the new one is published now and signs after the notice."""
    return rotate_key(connector.keys, connector.settings, connector.log, connector.clock, given)


@operation("key/list")
def list_keys(connector: Connector, given: Nothing) -> list[dict[str, Any]]:
    """The versions of this connector's identity key: which signs, and until when each is believed."""
    return key_versions(connector.signer)


def connection_row(connector: Connector) -> dict[str, Any]:
    """The membership to speak under; raises :class:`ConflictError` outside of any data space."""
    return dict(connector.membership.require())
