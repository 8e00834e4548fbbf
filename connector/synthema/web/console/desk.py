"""What the console's views may do: ask the connector's operations. They hold no rules of their own."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from synthema.assembly import Connector, find_operation
from synthema.errors import NotFoundError

_GENERAL = (
    ("", "Today"),
    ("obligations", "Obligations"),
    ("policies", "Policies"),
    ("requests", "Requests"),
    ("permits", "Permits"),
    ("consents", "Consent"),
    ("assessments", "Impact assessments"),
    ("budgets", "Privacy budget"),
    ("datasets", "Datasets"),
    ("reviews", "Clinical reviews"),
    ("plugins", "Plugins"),
    ("law", "Law"),
    ("log", "Log"),
)
_OF_ROLE = {"registry": (("registry", "Registry"),), "hub": (("studies", "Studies"),), "site": ()}
_LAST = (("health", "Health"), ("help", "Help"))


@dataclass(frozen=True, slots=True)
class Desk:
    """A connector as the console sees it."""

    connector: Connector
    base: str = field(default="/console", kw_only=True)

    def ask(self, operation: str, **value: Any) -> Any:
        """Call an operation; raises what it raises."""
        return find_operation(operation).call(self.connector, value)

    @property
    def name(self) -> str:
        return self.connector.settings.name

    @property
    def role(self) -> str:
        return self.connector.settings.role

    @property
    def did(self) -> str:
        return self.connector.settings.did

    @property
    def places(self) -> tuple[tuple[str, str], ...]:
        """Address and name of the pages in the menu; they follow from the connector's role."""
        pages = (*_GENERAL, *_OF_ROLE[self.role], *_LAST)
        return tuple((f"{self.base}/{path}".rstrip("/"), name) for path, name in pages)

    @property
    def now(self) -> datetime:
        """The time of the connector's clock."""
        return self.connector.clock.now()

    def require_role(self, role: str) -> None:
        """Raise :class:`NotFoundError` where this page is another role's."""
        if self.role != role:
            raise NotFoundError(f"this page is for a {role}; this connector is a {self.role}", fix="see the menu")

    def party(self, did: str) -> str:
        """The name of a registered party; its did where none is known."""
        if did == self.did:
            return self.name
        peer = self.connector.parties.get(did)
        return did if peer is None else peer.name

    def policy_address(self, policy: dict[str, Any]) -> str:
        """The address of a policy version's page."""
        named = {name: policy[name] for name in ("policy", "version", "agreement") if policy[name]}
        return f"{self.base}/policies/show?{urlencode(named)}"

    def address(self, iri: str | None) -> str | None:
        """Where the console shows what a piece of evidence names: an entry of the log, or all that mention it.

        None for what this connector's log cannot know.
        """
        if not iri:
            return None
        own = self.connector.settings.public_url.rstrip("/")
        entry = iri.removeprefix(f"{own}/log/")
        if entry != iri and entry.isascii() and entry.isdigit():
            return f"{self.base}/log/{entry}"
        known = iri.startswith((f"{own}/id/", "sha256:"))
        return f"{self.base}/log?{urlencode({'text': iri})}" if known else None

    def command(self, *words: str) -> str:
        """A command of the command line for this connector, ready to be copied into a shell."""
        return shlex.join(["synthema", *words, "--home", str(self.connector.settings.home)])
