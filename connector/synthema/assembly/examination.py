"""What a doctor looks at in a connector: each check says what it found, and what to do where something is wrong.

``ok`` needs nothing, ``warn`` needs a person soon, ``fail`` stops work or lets it go wrong.
"""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from sqlalchemy import text

from synthema.assembly.joining.membership import STANDING_PATH
from synthema.assembly.joining.model import CLOCK_TOLERANCE
from synthema.canonical import canonical_json, parse_json_strictly
from synthema.clock import from_text
from synthema.dataspace import fetch_did_document
from synthema.errors import SynthemaError
from synthema.identity import credentials
from synthema.identity.did import document_url
from synthema.policy.versions import PolicyState

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

Status = Literal["ok", "warn", "fail"]

OLD_KEY: Final = timedelta(days=2 * 365)
SOON: Final = timedelta(days=30)
STALE_LIST: Final = timedelta(hours=2)
LATEST_ENTRIES: Final = 10_000
LITTLE_SPACE: Final = 5 * 1024**3
NO_SPACE: Final = 1024**3
_TLS_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    status: Status
    result: str
    fix: str = ""


def examine(connector: Connector, *, served: bool) -> list[dict[str, str]]:
    """Run all checks; ``served`` says whether partners could reach the connector now."""
    return [{"check": name} | _as_json(check(connector, served)) for name, check in CHECKS]


def _as_json(finding: Finding) -> dict[str, str]:
    return {
        "result": finding.result,
        "status": finding.status,
        "fix": "" if finding.status == "ok" else finding.fix,
    }


def _keys(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001 - every check is called alike
    version = next(v for v in connector.signer.versions("assertion") if v.name == connector.signer.current("assertion"))
    now = connector.clock.now()
    if version.revoked:
        return Finding(
            "fail", f"{version.name} is revoked and nothing replaced it", "run: synthema key rotate assertion"
        )
    if version.begins is not None and now - version.begins > OLD_KEY:
        return Finding("warn", f"{version.name} is over two years old", "run: synthema key rotate assertion")
    waiting = [v.name for v in connector.signer.versions("assertion") if v.begins is not None and v.begins > now]
    return Finding("ok", f"{version.name} signs" + (f"; {waiting[0]} waits to" if waiting else ""))


def _database(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    try:
        with connector.database.read() as connection:
            found = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    except SynthemaError as error:
        return Finding("fail", error.message, "restore the home folder from its backup")
    if found != "ok":
        return Finding("fail", f"the database is damaged: {found}", "stop, and restore the home from its backup")
    megabytes = connector.settings.database.stat().st_size / 1024**2
    return Finding("ok", f"whole, {megabytes:.0f} MiB")


def _log(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    size = connector.log.size()
    try:
        connector.log.verify(max(0, size - LATEST_ENTRIES))
    except SynthemaError as error:
        return Finding("fail", error.message, "treat it as an incident (SECURITY.md): stop, keep the disk, compare")
    return Finding("ok", f"{size} entries, the latest {min(size, LATEST_ENTRIES)} are unchanged")


def _disk(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    free = shutil.disk_usage(connector.settings.home).free
    result = f"{free / 1024**3:.1f} GiB free"
    fix = "free some space: a full disk stops every step, because none can be logged"
    return Finding("fail" if free < NO_SPACE else "warn" if free < LITTLE_SPACE else "ok", result, fix)


def _isolation(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    report, floor = connector.sandbox.isolation(), connector.settings.minimum_isolation
    enough = report.level >= floor
    return Finding(
        "ok" if enough else "fail", f"level {report.level}, {floor} is needed", "; ".join(report.sentences())
    )


def _plugins(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    waiting = [item.name for item in connector.plugins.listing() if item.standing != "approved"]
    return Finding("warn" if waiting else "ok", f"{len(waiting)} not approved", f"approve: {', '.join(waiting)}")


def _policies(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    active = [version for version in connector.policies.versions() if version.state is PolicyState.ACTIVE]
    if not active:
        return Finding("warn", "none: everything is denied", "write and sign one: synthema policy new --help")
    return Finding("ok", f"{len(active)} in force")


def _did_document(connector: Connector, served: bool) -> Finding:  # noqa: FBT001
    settings = connector.settings
    url = document_url(settings.public_url)
    if not served:
        return Finding("warn", "not looked at: the connector is not served", f"synthema serve --home {settings.home}")
    try:
        found = parse_json_strictly(fetch_did_document(url, allow_http=settings.mode == "demo"))
    except SynthemaError as error:
        return Finding("fail", error.message, f"see that {url} is reachable: name service, firewall, TLS proxy")
    if found != parse_json_strictly(canonical_json(connector.did_document())):
        return Finding("fail", f"{url} shows another document than ours", "see what answers there instead of us")
    return Finding("ok", f"{url} shows our keys")


def _tls(connector: Connector, served: bool) -> Finding:  # noqa: FBT001
    parts = urlsplit(connector.settings.public_url)
    if parts.scheme != "https":
        demo = connector.settings.mode == "demo"
        return Finding("ok" if demo else "fail", "plain http", "give public_url an https address, with a TLS proxy")
    if not served:
        return Finding("warn", "not looked at: the connector is not served", "serve it, then look again")
    host, port = parts.hostname or "", parts.port or 443
    try:
        with (
            socket.create_connection((host, port), timeout=_TLS_SECONDS) as raw,
            ssl.create_default_context().wrap_socket(raw, server_hostname=host) as secure,
        ):
            ends = _end_of(secure.getpeercert())
    except (OSError, ssl.SSLError) as error:
        return Finding("fail", f"no trustworthy TLS at {host}:{port}: {error}", "renew or mend the proxy's certificate")
    left = ends - connector.clock.now()
    return Finding("warn" if left < SOON else "ok", f"the certificate ends on {ends:%Y-%m-%d}", "renew it")


def _end_of(certificate: Any) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


def _clock(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    row = connector.membership.current()
    if row is None:
        return Finding("ok", "not compared: there is no authority to compare with")
    try:
        described = connector.membership.rooms.authorities.describe(row["authority"], row["url"])
        ahead = connector.clock.now() - from_text(str(described.get("time")))
    except SynthemaError as error:
        return Finding("warn", f"not compared: {error.message}", error.fix)
    enough = abs(ahead) <= CLOCK_TOLERANCE
    result = f"{ahead.total_seconds():+.1f} s against the authority"
    return Finding(
        "ok" if enough else "fail", result, "let a time service (NTP) set the clock: tokens live two minutes"
    )


def _membership(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    row, listed = connector.membership.current(), connector.membership.members()
    if row is None or listed is None:
        return Finding("ok", "none: partners are those of the settings")
    now = connector.clock.now()
    if row["state"] != "active":
        return Finding("fail", f"{row['space']}: we are {row['state']}", "ask the authority; see: synthema site status")
    if listed.valid_until <= now:
        return Finding(
            "fail", "the list of members has ended, so no member counts", "see that the authority is reached"
        )
    if now - row["list_seen_at"] > STALE_LIST:
        result = f"the authority was last heard {row['list_seen_at']:%Y-%m-%d %H:%M} UTC"
        return Finding("warn", result, f"members count until {listed.valid_until:%H:%M} UTC; reach it before")
    return Finding("ok", f"{row['space']}, {len(listed.active())} members, list {listed.version}")


def _credentials(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    row, now = connector.membership.current(), connector.clock.now()
    if row is None:
        return Finding("ok", "none are needed outside of a data space")
    ends: list[datetime] = []
    for held in row["credentials"]:
        try:
            verified = credentials.verify(held["document"], connector.resolver, now, connector.trust.status_list)
        except SynthemaError as error:
            return Finding("fail", f"{held['type']}: {error.message}", "ask the authority; see: synthema site status")
        ends.append(verified.valid_until or datetime.max.replace(tzinfo=UTC))
    if not ends:
        return Finding("fail", "the authority gave none", "ask the authority to issue them")
    soon = min(ends) - now < SOON
    result = f"{len(ends)} hold, the first ends on {min(ends):%Y-%m-%d}; status lists were read"
    return Finding("warn" if soon else "ok", result, "ask the authority to issue it again: synthema authority issue")


def _engine(connector: Connector, _served: bool) -> Finding:  # noqa: FBT001
    chosen, role = connector.settings.engine.carries, connector.settings.role
    at_hub, at_site = connector.conductor.engine, connector.participation.engine
    try:
        if role == "registry" or (chosen == "embedded" and role == "site"):
            return Finding("ok", "no study is carried by FLARE here")
        if chosen == "embedded":
            at_hub.require()
            return Finding("ok", "the connectors' own channel, on this machine")
        return Finding("ok", at_hub.stands() if role == "hub" else at_site.stands())
    except SynthemaError as error:
        return Finding("fail" if chosen == "nvflare" else "warn", error.message, error.fix)


def _peers(connector: Connector, served: bool) -> Finding:  # noqa: FBT001
    if not connector.parties:
        return Finding("warn", "none", "join a data space (synthema site join), or add [[peers]] to connector.toml")
    if not served:
        return Finding("warn", f"{len(connector.parties)} known; not asked, as we are not served", "serve, look again")
    silent = [peer.name for did, peer in connector.parties.items() if not _answers(connector, did)]
    result = f"{len(connector.parties) - len(silent)} of {len(connector.parties)} answer and know us"
    fix = f"call the operators of: {', '.join(silent)}; see: synthema site status"
    return Finding("warn" if silent else "ok", result, fix)


def _answers(connector: Connector, did: str) -> bool:
    try:
        connector.peers.get(did, STANDING_PATH)
    except SynthemaError:
        return False
    return True


Check = Callable[["Connector", bool], Finding]

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("isolation", _isolation),
    ("keys", _keys),
    ("database", _database),
    ("log", _log),
    ("disk", _disk),
    ("plugins", _plugins),
    ("policies", _policies),
    ("did document", _did_document),
    ("tls", _tls),
    ("clock", _clock),
    ("membership", _membership),
    ("credentials", _credentials),
    ("engine", _engine),
    ("peers", _peers),
)
"""The checks in the order of what rests on what."""
