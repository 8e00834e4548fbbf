"""The rule of four eyes: two different people sign, and one of them is a data protection officer.

Policies, impact assessments, plugin approvals and collections all follow it. The rooms ask
for signatures through the port here, which the ``People`` of this room fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from synthema.errors import DeniedError

REQUIRED_SIGNATURES: Final = 2
OFFICER_ROLE: Final = "dpo"


class Signatory(Protocol):
    """A person whose signature was found good."""

    @property
    def id(self) -> str: ...
    @property
    def roles(self) -> Sequence[str]: ...


class SignatureCheck(Protocol):
    """The port through which people's signatures are verified (:class:`synthema.identity.People`)."""

    def verify(self, person_id: str, data: bytes, signature: bytes) -> Signatory:
        """The person, if this is their signature over these bytes; raises a :class:`SynthemaError` otherwise."""
        ...


def two_people(
    check: SignatureCheck, data: bytes, approvals: Sequence[tuple[str, bytes]], what: str
) -> tuple[Signatory, ...]:
    """The people who signed these bytes, if they are two different ones and a data protection officer is among them.

    ``what`` says in a sentence what takes two, e.g. "a change to a collection". Raises :class:`DeniedError`, or what
    verifying a signature raises.
    """
    people = {person.id: person for person in (check.verify(who, data, signed) for who, signed in approvals)}
    if len(people) < REQUIRED_SIGNATURES:
        raise DeniedError(f"{what} needs the signatures of two different people", fix="let a second person sign it")
    if not any(OFFICER_ROLE in person.roles for person in people.values()):
        raise DeniedError(
            "no data protection officer is among those who sign", fix="one of the two must have the role 'dpo'"
        )
    return tuple(people.values())
