"""A federation of real FLARE processes on loopback TLS: one coordinator, some sites, the real protocol between them."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

from synthema.clock import FixedClock, SystemClock
from synthema.errors import SynthemaError
from synthema.federation import FederationEngine, Outcome, Participant, SiteLimits, StudyPlan, StudyResult
from synthema.federation.flare import (
    Authority,
    FlareEngine,
    FlareEnvironment,
    FlareHub,
    FlareSite,
    SiteGate,
    fingerprint,
)
from tests.unit.federation.world import SecureSum, Session, Summing, World, replace_limits

HOST = "localhost"
AGREEMENT = "agreement-1"


class Federation:
    """A world whose parcels travel through FLARE. ``broken`` holds why the agreement of a site does not hold."""

    def __init__(
        self, folder: Path, environment: FlareEnvironment, clock: FixedClock, sites: int = 3,
        answer_seconds: float = 20.0,
    ) -> None:  # fmt: skip
        self.world = World(folder, clock, sites, answer_seconds)
        self.environment = environment
        self.folder = folder
        self.port = free_port()
        self.authority = Authority.create("synthema", SystemClock().now())
        self.broken: dict[str, str] = {}
        self.sites: dict[str, FlareSite] = {}
        self.outcomes: dict[str, Outcome | SynthemaError] = {}
        self.hub = FlareHub(
            folder / "hub", environment, self.authority, self.world.coordinator, SystemClock(), host=HOST,
            port=self.port,
        )  # fmt: skip

    def enrol(self, did: str) -> FlareSite:
        """A site with its certificate and kit, not started."""
        w = self.world

        def in_force(agreement: str) -> str | None:
            return self.broken.get(did) if agreement == AGREEMENT else "this agreement is not known here"

        site = FlareSite(
            self.folder / f"flare-{len(self.sites)}",
            self.environment,
            SiteGate(did, w.databases[did], w.logs[did], w.clock, in_force),
            did,
        )
        seal = fingerprint(self.authority.pem)
        wish = site.request_certificate(AGREEMENT, seal, w.keys[did])
        certificate = self.authority.enrol(wish, w.resolver, lambda *_: None, SystemClock().now())
        site.install(certificate, self.authority.pem, seal, host=HOST, port=self.port)
        self.sites[did] = site
        return site

    def start(self) -> None:
        """All sites, enrolled and connected to the coordinator."""
        for did in self.world.dids:
            self.enrol(did).start()
        self.hub.await_sites(self.world.dids, enough=len(self.world.dids))

    def engine(self, did: str) -> FlareEngine:
        """The engine of one site."""
        w = self.world
        return FlareEngine(
            site=self.sites[did],
            participant=lambda channel: Participant(
                w.databases[did], w.logs[did], w.keys[did], w.resolver, w.clock, did, channel, silence_seconds=150
            ),
        )

    def bare(self) -> FederationEngine:
        """An engine of a connector without a role."""
        return FlareEngine()

    def run(
        self, plan: StudyPlan, algorithm: Any = None, limits: dict[str, dict[str, Any]] | None = None
    ) -> StudyResult | SynthemaError:
        """Run a study with all sites in threads; returns the result or the error that ended it."""
        w, algorithm = self.world, algorithm or Summing()
        self.outcomes.clear()

        def take_part(did: str) -> None:
            w.sessions[did].plugins["summing"] = algorithm
            allowed = replace_limits(SiteLimits.of_plan(plan), (limits or {}).get(did, {}))
            try:
                self.outcomes[did] = self.engine(did).participate(plan, w.sessions[did], allowed)
            except SynthemaError as error:
                self.outcomes[did] = error

        threads = [threading.Thread(target=take_part, args=(did,), daemon=True) for did in w.dids]
        for thread in threads:
            thread.start()
        hub = Session({"summing": algorithm, "secure-sum": SecureSum()})
        try:
            result: StudyResult | SynthemaError = FlareEngine(hub=self.hub, coordinator=w.coordinator).coordinate(
                plan, hub
            )
        except SynthemaError as error:
            result = error
        for thread in threads:
            thread.join(timeout=30)
        return result

    def close(self) -> None:
        """End every process."""
        self.hub.close()
        for site in self.sites.values():
            site.close()
        self.world.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
