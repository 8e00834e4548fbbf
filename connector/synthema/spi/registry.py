"""Which plugins may run here: two people approve exact files, and only those files are ever run.

An approval is bound to the digest over the package. One of the two approvers
is the data protection officer; each signs :func:`approval_bytes`. Every use
hashes the files again, so a changed file ends the approval by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import Connection

from synthema.canonical import canonical_json
from synthema.clock import Clock
from synthema.errors import ConflictError, DeniedError, PluginError, SynthemaError
from synthema.identity.four_eyes import OFFICER_ROLE, REQUIRED_SIGNATURES, Signatory, SignatureCheck
from synthema.ids import new_id
from synthema.provenance.model import Activity, Agent, Entity, Iri
from synthema.spi.loader import InstalledPlugin, discover, find
from synthema.spi.manifest import Manifest, describe
from synthema.spi.store import add_approval, approvals_of, mark_revoked
from synthema.storage import Database

Standing = Literal["approved", "changed since approval", "revoked", "not approved", "approved, no longer installed"]


class Log(Protocol):
    """Port to the provenance log."""

    def append(self, connection: Connection, activity: Activity) -> object:
        """Write an activity in the caller's transaction."""
        ...

    def iri(self, kind: str, id: str) -> str:  # noqa: A002 - the log's own word
        """The IRI of a thing of this connector."""
        ...


@dataclass(frozen=True, slots=True)
class ApprovedPlugin:
    """A plugin whose files are, at this moment, the ones that two people approved."""

    name: str
    module: str
    folder: Path
    manifest: Manifest
    digest: str
    approval_id: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One line of the plugin list: what is there, and whether it may run."""

    name: str
    standing: Standing
    version: str | None
    digest: str | None
    approved_digest: str | None
    approved_at: datetime | None
    approved_by: tuple[str, ...]
    sentences: tuple[str, ...]
    problem: str | None = None


@dataclass(slots=True)
class PluginRegistry:
    """The approvals of one connector. ``find_installed`` is replaced only by tests."""

    database: Database
    log: Log
    clock: Clock
    people: SignatureCheck
    find_installed: Callable[[str], InstalledPlugin] = field(default=find)

    def approve(self, name: str, digest: str, approvals: Sequence[tuple[str, bytes]]) -> str:
        """Record that two people approved these files, and return the approval's id.

        Each approval is a person's id and their signature over :func:`approval_bytes`.
        Raises :class:`PluginError` when the installed files are not those that were
        signed, :class:`DeniedError` without two different people, one of them a DPO.
        """
        plugin = self.find_installed(name)
        if plugin.digest != digest:
            raise PluginError(
                f"the files of plugin '{name}' are not the ones that were signed",
                fix=f"review them and sign their present digest, {plugin.digest}",
            )
        people = self._verified(name, digest, approvals)
        approval_id = new_id("approval")
        now = self.clock.now()
        row = {
            "id": approval_id,
            "plugin": name,
            "version": plugin.manifest.version,
            "digest": digest,
            "manifest": plugin.manifest.model_dump(mode="json"),
            "approvals": [{"person": person, "signature": signature.hex()} for person, signature in approvals],
            "approved_at": now,
        }
        activity = Activity(
            iri=self.log.iri("activity", new_id("activity")),
            type="PluginApproval",
            label=f"Plugin {name} {plugin.manifest.version} approved by two people",
            started=now,
            ended=now,
            agents=tuple(Agent(self.log.iri("person", person.id), "Person") for person in people),
            used=(plugin_entity(self.log, plugin),),
            generated=(
                Entity(
                    self.log.iri("approval", approval_id),
                    types=("PluginApprovalRecord",),
                    derived_from=(plugin_entity(self.log, plugin).iri,),
                ),
            ),
        )

        def work(connection: Connection) -> None:
            if any(known["digest"] == digest and not known["revoked_at"] for known in approvals_of(connection, name)):
                raise ConflictError(f"these files of plugin '{name}' are approved already", fix="nothing needs doing")
            add_approval(connection, row)
            self.log.append(connection, activity)

        self.database.write(work)
        return approval_id

    def require(self, name: str) -> ApprovedPlugin:
        """The plugin, its files hashed now; raises :class:`PluginError` unless they are approved."""
        plugin = self.find_installed(name)
        with self.database.read() as connection:
            known = approvals_of(connection, name)
        standing, approval = _standing(plugin.digest, known)
        if standing != "approved" or approval is None:
            raise PluginError(f"plugin '{name}' may not run: it is {standing}", fix=_FIXES[standing])
        return ApprovedPlugin(name, plugin.module, plugin.folder, plugin.manifest, plugin.digest, approval["id"])

    def revoke(self, name: str, person_id: str, reason: str) -> None:
        """End every approval of a plugin; raises :class:`ConflictError` when there is none."""
        now = self.clock.now()

        def work(connection: Connection) -> None:
            valid = [known for known in approvals_of(connection, name) if not known["revoked_at"]]
            if not mark_revoked(connection, name, at=now, by=person_id, reason=reason):
                raise ConflictError(f"plugin '{name}' is not approved", fix="nothing needs doing")
            self.log.append(
                connection,
                Activity(
                    iri=self.log.iri("activity", new_id("activity")),
                    type="PluginRevocation",
                    label=f"Approval of plugin {name} revoked",
                    started=now,
                    ended=now,
                    agents=(Agent(self.log.iri("person", person_id), "Person"),),
                    used=tuple(Entity(self.log.iri("approval", known["id"])) for known in valid),
                    attributes={"reason": reason},
                ),
            )

        self.database.write(work)

    def listing(self) -> list[Listed]:
        """Every plugin that is installed or was ever approved, by name."""
        found = discover()
        with self.database.read() as connection:
            known = approvals_of(connection)
        names = set(found.plugins) | set(found.problems) | {row["plugin"] for row in known}
        return [
            _listed(
                name,
                found.plugins.get(name),
                found.problems.get(name),
                [row for row in known if row["plugin"] == name],
            )
            for name in sorted(names)
        ]

    def _verified(self, name: str, digest: str, approvals: Sequence[tuple[str, bytes]]) -> list[Signatory]:
        data = approval_bytes(name, digest)
        people = [self.people.verify(person_id, data, signature) for person_id, signature in approvals]
        if len({person.id for person in people}) < REQUIRED_SIGNATURES:
            raise DeniedError(
                f"plugin '{name}' needs the approval of two different people", fix="let a second person sign it"
            )
        if not any(OFFICER_ROLE in person.roles for person in people):
            raise DeniedError(
                f"plugin '{name}' needs the approval of the data protection officer",
                fix="let a person with the role 'dpo' sign it",
            )
        return people


_FIXES: dict[Standing, str] = {
    "changed since approval": "restore the approved files, or let two people review and approve the present ones",
    "revoked": "see why it was revoked; two people may approve it again",
    "not approved": "let two people, one of them the data protection officer, approve it",
}


def approval_bytes(name: str, digest: str) -> bytes:
    """What an approver signs: the canonical JSON of plugin name and digest."""
    return canonical_json({"approve plugin": name, "digest": digest})


def plugin_iri(log: Log, name: str, digest: str) -> str:
    """The IRI of exactly these files of a plugin."""
    return log.iri("plugin", f"{name}-{digest.removeprefix('sha256:')}")


def plugin_entity(log: Log, plugin: InstalledPlugin | ApprovedPlugin) -> Entity:
    """The plugin as provenance knows it: name, version, digest, kind and graded guarantee."""
    manifest = plugin.manifest
    return Entity(
        plugin_iri(log, plugin.name, plugin.digest),
        types=("Plugin",),
        label=f"{manifest.title} {manifest.version}",
        digest=plugin.digest,
        attributes={
            "pluginName": plugin.name,
            "pluginKind": manifest.kind,
            "guarantee": manifest.guarantee.kind,
            "assurance": manifest.guarantee.assurance,
            "http://purl.org/dc/terms/license": Iri(f"https://spdx.org/licenses/{manifest.licence}")
            if manifest.licence.replace("-", "").replace(".", "").isalnum()
            else manifest.licence,
        },
    )


def _standing(digest: str | None, known: list[dict[str, Any]]) -> tuple[Standing, dict[str, Any] | None]:
    """Where a plugin with these files stands; ``known`` holds its approvals, the newest first."""
    valid = [row for row in known if row["revoked_at"] is None]
    if digest is None:
        return ("approved, no longer installed", valid[0]) if valid else ("revoked", known[0])
    for row in valid:
        if row["digest"] == digest:
            return "approved", row
    if valid:
        return "changed since approval", valid[0]
    return ("revoked", known[0]) if known else ("not approved", None)


def _listed(
    name: str, plugin: InstalledPlugin | None, problem: SynthemaError | None, known: list[dict[str, Any]]
) -> Listed:
    standing: Standing = "not approved"
    approval: dict[str, Any] | None = None
    if plugin is not None or known:
        standing, approval = _standing(plugin.digest if plugin else None, known)
    return Listed(
        name=name,
        standing=standing,
        version=plugin.manifest.version if plugin else None,
        digest=plugin.digest if plugin else None,
        approved_digest=approval["digest"] if approval else None,
        approved_at=approval["approved_at"] if approval else None,
        approved_by=tuple(entry["person"] for entry in approval["approvals"]) if approval else (),
        sentences=tuple(describe(plugin.manifest)) if plugin else (),
        problem=problem.diagnostics() if problem else None,
    )
