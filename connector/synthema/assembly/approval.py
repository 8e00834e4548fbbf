"""The door for people in contract negotiations: where a site wishes, no contract without a person's word."""

from __future__ import annotations

from synthema.config import Settings
from synthema.dataspace import Process


class OfficerApproves:
    """A pending guard: a partner's request for a contract waits until a data protection officer has approved it."""

    def holds(self, process: Process) -> bool:
        """Whether the next step is a person's: our first answer to what a partner asks of us."""
        return (process.kind, process.role, process.state) == ("negotiation", "provider", "REQUESTED")


def approval_of(settings: Settings) -> OfficerApproves | None:
    """The guard that a connector's settings ask for."""
    return OfficerApproves() if settings.approve_contracts else None
