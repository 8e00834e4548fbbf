"""A hub gathers the evidence on a candidate in quarantine: each site measures it inside and signs what it found.

A site is asked once; which run it answered with stands in the study's story, so that a hub that was killed
asks how that run stands instead of having the candidate measured again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from synthema.assembly.asking import ask
from synthema.assembly.study_store import ConductedStudy
from synthema.certification import EvidenceCredential, EvidenceStatement, verify_evidence
from synthema.certification.model import NEEDED_ACTS, undecided
from synthema.dataspace import PeerClient
from synthema.errors import DeniedError, PeerError
from synthema.federation import StudyPlan
from synthema.identity import DidResolver
from synthema.runs.model import RunState
from synthema.runs.rooms import Rooms

EVALUATION_SECONDS = 600.0


class Gathering:
    """Gathers for one hub. ``study`` gives a study as it stands, ``note`` adds an event to its story."""

    def __init__(
        self,
        rooms: Rooms,
        peers: PeerClient,
        resolver: DidResolver,
        study: Callable[[str], ConductedStudy],
        note: Callable[[str, dict[str, Any]], None],
        closing: threading.Event,
    ) -> None:
        self._rooms = rooms
        self._peers = peers
        self._resolver = resolver
        self._study = study
        self._note = note
        self._closing = closing

    def gather(self, plan: StudyPlan, sites: Sequence[str], candidate: str) -> dict[str, dict[str, Any]]:
        """Let every site whose data are in it measure the candidate; site → evidence credential, series for plots.

        Raises :class:`DeniedError` where a site refuses, :class:`PeerError` where it fails or stays silent.
        """
        asked = {event["site"]: event["run"] for event in self._study(plan.id).events if event["kind"] == "measuring"}
        runs = {site: asked.get(site) or self._ask_to_measure(plan, site, candidate) for site in sites}
        return {site: self._await(plan, site, run, candidate) for site, run in runs.items()}

    def verified(self, credential: Mapping[str, Any], candidate: str) -> EvidenceCredential:
        """Evidence whose signature and subject hold."""
        return verify_evidence(credential, candidate, self._resolver, self._rooms.clock.now())

    def _ask_to_measure(self, plan: StudyPlan, site: str, candidate: str) -> str:
        order = {"plan": plan.model_dump(mode="json"), "candidate": candidate}
        answer = ask(self._peers, site, "/federation/evaluations", order)
        if answer["effect"] != "permit":
            raise DeniedError(
                f"{site} does not measure the candidate: {' '.join(answer['sentences'])}",
                fix="see the site's decision",
            )
        run = str(answer["run"])
        self._note(plan.id, {"kind": "measuring", "site": site, "run": run, "text": "measures the candidate inside"})
        return run

    def _await(self, plan: StudyPlan, site: str, run: str, candidate: str) -> dict[str, Any]:
        end, told = time.monotonic() + EVALUATION_SECONDS, False
        while time.monotonic() < end and not self._closing.wait(0.3):
            found: dict[str, Any] = self._peers.get(site, f"/federation/evaluations/{run}")
            if found["state"] == RunState.AWAITING and found["evidence"] is None:
                end = time.monotonic() + EVALUATION_SECONDS  # people need days, and say so as long as they do
                if not told:
                    self._note(plan.id, {"kind": "evidence", "site": site, "text": "clinicians have yet to judge it"})
                told = True
            if found["evidence"] is not None:
                evidence: dict[str, Any] = found["evidence"]
                verified = self.verified(evidence["credential"], candidate)
                if verified.issuer != site:
                    raise PeerError(f"{site} sent the evidence of another", fix="ask its operator")
                failures = failures_of(verified.statement, evidence)
                text = "passes its gates and may leave" if not failures else "; ".join(failures)
                self._note(plan.id, {"kind": "evidence", "site": site, "text": text, "passed": not failures})
                return evidence
            if found["state"] in ("failed", "denied", "stopped"):
                raise PeerError(f"{site} could not measure the candidate: {found['reason']}", fix="see its log")
        raise PeerError(f"{site} did not send its evidence in time", fix="start the study again later")


def failures_of(statement: EvidenceStatement, evidence: Mapping[str, Any]) -> list[str]:
    """What stands against a candidate at one site: gates it did not pass, then acts the site's policies denied.

    The site's words on a denial come beside its evidence; what counts is the signed decision.
    """
    if statement.gates.failures:
        return list(statement.gates.failures)
    denied = [decision.action for decision in statement.decisions if decision.effect != "permit"]
    words = [str(text)[:2000] for text in evidence.get("refusals", [])]
    found = (words or [f"its decision on '{action}' is to deny" for action in denied]) if denied else []
    return [*found, *(f"it did not decide on {act}" for act in undecided(statement.decisions, NEEDED_ACTS))]
