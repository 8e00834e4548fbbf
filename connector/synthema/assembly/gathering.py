"""A hub gathers the evidence on a candidate in quarantine: each site measures it inside and signs what it found.

A site is asked once; which run it answered with stands in the study's story, so that a hub that was killed
asks how that run stands instead of having the candidate measured again. Only a site that was silent for a while, and
then has nothing to vouch with, is asked once more: it was started anew, and a measurement costs no privacy loss.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from synthema.assembly.asking import ask
from synthema.assembly.endings import ENDINGS
from synthema.assembly.study_store import ConductedStudy
from synthema.certification import EvidenceCredential, EvidenceStatement, verify_evidence
from synthema.certification.model import failures_of
from synthema.dataspace import PeerClient
from synthema.errors import DeniedError, PeerError
from synthema.federation import Closing, StudyPlan
from synthema.identity import DidResolver
from synthema.runs.model import RunState
from synthema.runs.rooms import Rooms

EVALUATION_SECONDS = 600.0
SECONDS_BETWEEN_LOOKS = 0.3
_ENDED = (RunState.FAILED, RunState.DENIED, RunState.STOPPED, RunState.RELEASED)


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

        Raises :class:`DeniedError` where a site refuses, :class:`PeerError` where it fails or stays silent,
        :class:`Closing` where this hub stops.
        """
        asked = {event["site"]: event["run"] for event in self._study(plan.id).events if event["kind"] == "measuring"}
        patience = self._rooms.settings.answer_seconds
        waiting = {
            site: _Asked(self._peers, site, asked.get(site) or self._ask_to_measure(plan, site, candidate), patience)
            for site in sites
        }
        found: dict[str, dict[str, Any]] = {}
        while len(found) < len(waiting) and not self._closing.wait(SECONDS_BETWEEN_LOOKS):
            for site in waiting.keys() - found.keys():
                evidence = self._look(plan, site, waiting[site], candidate)
                if evidence is not None:
                    found[site] = evidence
        if len(found) < len(waiting):
            raise Closing
        return {site: found[site] for site in sites}

    def verified(self, credential: Mapping[str, Any], candidate: str) -> EvidenceCredential:
        """Evidence whose signature and subject hold."""
        return verify_evidence(credential, candidate, self._resolver, self._rooms.clock.now())

    def _ask_to_measure(self, plan: StudyPlan, site: str, candidate: str) -> str:
        order = {"plan": plan.model_dump(mode="json"), "candidate": candidate}
        patience = self._rooms.settings.answer_seconds
        answer = ask(self._peers, site, "/federation/evaluations", order, patience=patience, pause=self._pause)
        if answer["effect"] != "permit":
            raise DeniedError(
                f"{site} does not measure the candidate: {' '.join(answer['sentences'])}",
                fix="see the site's decision",
            )
        run = str(answer["run"])
        self._note(plan.id, {"kind": "measuring", "site": site, "run": run, "text": "measures the candidate inside"})
        return run

    def _pause(self, seconds: float) -> None:
        if self._closing.wait(seconds):
            raise Closing

    def _look(self, plan: StudyPlan, site: str, asked: _Asked, candidate: str) -> dict[str, Any] | None:
        """A site's evidence, if it is there and holds; one that was started anew meanwhile is asked again."""
        found = asked.answer()
        if found is None:
            return None
        if found["evidence"] is not None:
            return self._taken(plan, site, found["evidence"], candidate)
        if found["state"] == RunState.AWAITING and asked.waits_for_people():
            self._note(plan.id, {"kind": "evidence", "site": site, "text": "clinicians have yet to judge it"})
        if found["state"] in _ENDED:
            if asked.lost_with_a_restart():
                asked.run = self._ask_to_measure(plan, site, candidate)
            elif found["state"] != RunState.RELEASED:  # figures are released a moment before they are signed
                raise PeerError(f"{site} could not measure the candidate: {found['reason']}", fix="see its log")
        return None

    def _taken(self, plan: StudyPlan, site: str, evidence: dict[str, Any], candidate: str) -> dict[str, Any]:
        verified = self.verified(evidence["credential"], candidate)
        if verified.issuer != site:
            raise PeerError(f"{site} sent the evidence of another", fix="ask its operator")
        failures = against(plan, verified.statement, evidence)
        text = "passes its gates and may leave" if not failures else "; ".join(failures)
        self._note(plan.id, {"kind": "evidence", "site": site, "text": text, "passed": not failures})
        return evidence


class _Asked:
    """A site that was asked to measure, and what it says of its ``run``.

    It may be silent for so many ``seconds``, since it may be on its way back.
    """

    def __init__(self, peers: PeerClient, site: str, run: str, seconds: float) -> None:
        self.run = run
        self._peers = peers
        self._site = site
        self._seconds = seconds
        self._end = time.monotonic() + EVALUATION_SECONDS
        self._told = False
        self._silent_since: float | None = None
        self._was_silent = False

    def answer(self) -> dict[str, Any] | None:
        """How the run stands; None while the site does not answer.

        Raises :class:`PeerError` when it stays silent, or has not come to an end in time.
        """
        if time.monotonic() > self._end:
            raise PeerError(f"{self._site} did not send its evidence in time", fix="start the study again later")
        try:
            found: dict[str, Any] = self._peers.get(self._site, f"/federation/evaluations/{self.run}")
        except PeerError:
            now = time.monotonic()
            self._silent_since, self._was_silent = self._silent_since or now, True
            if now - self._silent_since >= self._seconds:
                raise
            return None
        self._silent_since = None
        return found

    def waits_for_people(self) -> bool:
        """People need days, and the time begins anew as long as they do; whether this is the first one hears of it."""
        self._end = time.monotonic() + EVALUATION_SECONDS
        first, self._told = not self._told, True
        return first

    def lost_with_a_restart(self) -> bool:
        """Whether what it does not vouch for may have been lost because it was started anew; true once."""
        was, self._was_silent = self._was_silent, False
        return was


def against(plan: StudyPlan, statement: EvidenceStatement, evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """What stands against a candidate at one site; its own words on a denial come beside its evidence."""
    words = [str(text)[:2000] for text in evidence.get("refusals", [])]
    return failures_of(statement, ENDINGS[plan.output].needed, words)
