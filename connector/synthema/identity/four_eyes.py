"""The rule of four eyes: two different people sign, and one of them is a data protection officer.

Policies, impact assessments and plugin approvals all follow it. The rooms ask
for signatures through the port here, which the ``People`` of this room fill.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

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
