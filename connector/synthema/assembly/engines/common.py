"""What a hub's and a site's engine have in common: where FLARE lies, which agreement counts, what the log says."""

from __future__ import annotations

from pathlib import Path

from synthema.config import Settings
from synthema.errors import NotFoundError, PluginError
from synthema.federation.flare import FlareEnvironment
from synthema.ids import new_id
from synthema.provenance import Activity, Agent
from synthema.provenance.model import Value
from synthema.runs.rooms import Rooms

CERTIFICATES = "/federation/engine/certificates"
"""Path at a hub at which its sites ask for a certificate of its engine's authority."""


def folder_of(settings: Settings) -> Path:
    """Where keys and kits of the engine lie."""
    return settings.home / "engine"


def environment_of(settings: Settings) -> FlareEnvironment:
    """FLARE's environment, which holds the right release; raises :class:`PluginError`."""
    chosen = settings.engine.environment
    if chosen is None:
        raise PluginError(
            "no environment of NVIDIA FLARE is named here",
            fix="run 'synthema study engine FOLDER', then set engine.carries and engine.environment (connector.toml)",
        )
    return FlareEnvironment(settings.home / chosen).require()


def why_not_in_force(rooms: Rooms, agreement: str, partner: str) -> str | None:
    """Why an agreement does not count between this connector and a partner now; None when it does."""
    try:
        known = rooms.permits.agreement(agreement)
    except NotFoundError:
        return "this agreement is not known here"
    if known.counterparty != partner:
        return "this agreement is with another partner"
    return rooms.permits.ended(agreement, rooms.clock.now())


def enrolment(rooms: Rooms, label: str, agreement: str, authority: str, certificate: str) -> Activity:
    """What the log says of a certificate that was issued or received; digests name authority and certificate."""
    now = rooms.clock.now()
    said: dict[str, Value] = {
        "underAgreement": agreement, "engineAuthority": authority, "engineCertificate": certificate,
    }  # fmt: skip
    return Activity(
        rooms.log.iri("activity", new_id("activity")), "EngineEnrolment", label, now, now,
        agents=(Agent(rooms.settings.did, "Organization"),), attributes=said,
    )  # fmt: skip
