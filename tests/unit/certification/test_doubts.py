"""A site's post-release gate fails: the issuer suspends what rests on its evidence, and a person decides."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from synthema.assembly.doubting import Doubting
from synthema.certification.doubts import DoubtBook, Doubted
from synthema.certification.evidence import candidate_iri
from synthema.certification.store import certificates_of_candidate
from synthema.dpia import DpiaStore
from synthema.dpia.conformance import Finding
from synthema.errors import (
    ConflictError,
    DeniedError,
    InputError,
    IntegrityError,
    NotFoundError,
    PeerError,
    StorageError,
)
from tests.unit.certification.world import CANDIDATE, START, Party, World

SENTENCE = "Release under gate 'membership-attack-again' was never measured again, which was due on 2027-11-22."

pytestmark = pytest.mark.article("GDPR 35(11)")


def book(world: World, party: Party) -> DoubtBook:
    return DoubtBook(
        party.database, party.log, party.signer, party.did, world.resolver, world._status(party), world.clock
    )


def doubted(world: World, gate: str = "membership-attack-again", **changes: Any) -> Doubted:
    return Doubted(world.hub.did, CANDIDATE, gate, SENTENCE, START + timedelta(**changes))


class Line:
    """Carries a site's doubts to the hub, or loses them."""

    def __init__(self, world: World, site: Party) -> None:
        self.world, self.site = world, site
        self.broken = False
        self.sent: list[dict[str, Any]] = []

    def __call__(self, did: str, document: dict[str, Any]) -> None:
        if self.broken:
            raise PeerError("nobody answers", fix="try again later")
        self.sent.append(document)
        book(self.world, self.world.hub).take(document, self.site.did)


def states(world: World) -> dict[str, tuple[str, str]]:
    with world.hub.database.read() as connection:
        return {each.id: (each.state, each.reason) for each in certificates_of_candidate(connection, CANDIDATE)}


def test_a_doubt_suspends_the_certificate_by_itself(world: World, tmp_path: Path) -> None:
    record, site = world.issue(), world.sites[0]
    registry = world.registry(tmp_path / "packages")
    assert registry.ingest(world.package(record), world.use).accepted
    raised = book(world, site).raise_once(doubted(world))
    line = Line(world, site)
    assert book(world, site).deliver(line) == ()
    assert states(world)[record.id] == ("suspended", f"{site.did}: {SENTENCE}")
    # Both logs say so, and the registry stops serving it without being asked.
    assert f"<{raised}/doubt>" in "".join(e.body.decode() for e in site.log.entries(limit=1000))
    assert f"<{raised}/doubttaken>" in "".join(e.body.decode() for e in world.hub.log.entries(limit=1000))
    assert {change.certificate: change.event for change in registry.refresh()}[record.id] == "suspend"


def test_the_same_failure_is_told_once_and_a_person_ends_the_suspension(world: World) -> None:
    record, site = world.issue(), world.sites[1]
    line = Line(world, site)
    assert book(world, site).raise_once(doubted(world, days=1))
    book(world, site).deliver(line)
    world.status.reinstate(record.id, "measured again by hand; see the minutes of 3 March")
    assert book(world, site).raise_once(doubted(world, days=1)) is None
    assert book(world, site).deliver(line) == ()
    book(world, world.hub).take(line.sent[0], site.did)  # it comes twice: nothing more happens
    assert states(world)[record.id][0] == "valid"
    assert book(world, site).raise_once(doubted(world, days=400))  # it fails again a year later
    book(world, site).deliver(line)
    assert states(world)[record.id][0] == "suspended"


def test_a_doubt_that_is_not_taken_stays_owed(world: World) -> None:
    record, site = world.issue(), world.sites[2]
    line = Line(world, site)
    line.broken = True
    book(world, site).raise_once(doubted(world, days=2))
    (problem,) = book(world, site).deliver(line)
    assert "was not told of a doubt" in problem
    assert states(world)[record.id][0] == "valid"
    line.broken = False
    assert book(world, site).deliver(line) == ()
    assert book(world, site).deliver(line) == ()
    assert len(line.sent) == 1
    assert states(world)[record.id][0] == "suspended"
    told = book(world, world.hub).all(CANDIDATE)[0]
    assert (told["direction"], told["peer"], told["sentence"]) == ("received", site.did, SENTENCE)


def test_only_a_site_of_the_evidence_may_doubt(world: World) -> None:
    world.issue()
    stranger, site = world.parties["stranger"], world.sites[0]
    book(world, stranger).raise_once(doubted(world, days=3))
    with pytest.raises(NotFoundError):
        Line(world, stranger)(world.hub.did, _document(world, stranger))
    book(world, site).raise_once(doubted(world, days=3))
    with pytest.raises(DeniedError, match="not by the one who sends it"):
        book(world, world.hub).take(_document(world, site), stranger.did)


@pytest.mark.parametrize("change", ["sentence", "proof", "position", "type"])
def test_a_doubt_that_was_changed_is_refused(world: World, change: str) -> None:
    record, site = world.issue(), world.sites[0]
    book(world, site).raise_once(doubted(world, f"gate-{change}"))
    document = _document(world, site)
    subject = document["credentialSubject"]
    if change == "sentence":
        subject["sentence"] = "It was measured again."
    elif change == "proof":
        subject["log"]["bundle"] = subject["log"]["bundle"].replace("index", "Index")
    elif change == "position":
        subject["log"]["position"] += 1
    else:
        document["type"] = ["VerifiableCredential", "SyntheticDataReceipt"]
    with pytest.raises((IntegrityError, InputError)):
        book(world, world.hub).take(document, site.did)
    assert states(world)[record.id][0] == "valid"


def test_a_revoked_certificate_stays_revoked(world: World) -> None:
    record, site = world.issue(), world.sites[0]
    world.status.revoke(record.id, "a new one was issued")
    line = Line(world, site)
    book(world, site).raise_once(doubted(world, "another-gate"))
    assert book(world, site).deliver(line) == ()
    assert states(world)[record.id][0] == "revoked"
    with pytest.raises(ConflictError):
        world.status.suspend(record.id, "again")


def _document(world: World, site: Party) -> dict[str, Any]:
    """The newest doubt of a site, signed but not sent."""
    kept: list[dict[str, Any]] = []

    def keep(did: str, document: dict[str, Any]) -> None:
        kept.append(document)
        raise PeerError("kept back", fix="none")

    book(world, site).deliver(keep)
    return kept[-1]


# -- what housekeeping does ----------------------------------------------------------------------------------


class Assessments:
    """An impact assessment with findings about releases."""

    def __init__(self, *found: Finding) -> None:
        self.found = found
        self.runs: tuple[str, ...] = ()

    def failing_releases(self) -> tuple[Finding, ...]:
        return self.found

    def measured_in(self, release: str) -> tuple[str, ...]:
        return self.runs


def failing(**changes: Any) -> Finding:
    values: dict[str, Any] = {
        "kind": "gate",
        "subject": "membership-attack-again",
        "holds": False,
        "sentence": SENTENCE,
        "due": START - timedelta(days=4),
        "release": candidate_iri(CANDIDATE),
    }
    return Finding(**values | changes)


def watching(world: World, site: Party, assessments: Assessments, study: str | None = "study-1") -> Doubting:
    """The watch of a site whose run for a study's candidate was asked for by the hub."""
    request = SimpleNamespace(study=study, requester=world.hub.did)

    def run(identifier: str) -> SimpleNamespace:
        if identifier != "run-1":
            raise NotFoundError("there is no such run", fix="list the runs")
        return SimpleNamespace(request=request)

    rooms = SimpleNamespace(log=site.log, settings=SimpleNamespace(did=site.did))
    governor = SimpleNamespace(rooms=rooms, run=run)
    assessments.runs = (site.log.iri("review", "review-1"), site.log.iri("run", "run-1"))
    peers = SimpleNamespace(post=lambda did, path, value: _post(world, site, did, value))
    return Doubting(
        cast("DpiaStore", assessments), cast("Any", governor), book(world, site), cast("Any", peers), world.clock
    )


def _post(world: World, site: Party, did: str, value: Any) -> tuple[int, Any]:
    assert did == world.hub.did
    return 200, {"kept": book(world, world.hub).take(value["doubt"], site.did)}


def test_an_overdue_gate_suspends_the_certificate_without_anybody_asking(world: World) -> None:
    record, site = world.issue(), world.sites[0]
    watch = watching(world, site, Assessments(failing())).watch
    watch()
    state, reason = states(world)[record.id]
    assert state == "suspended"
    assert SENTENCE in reason
    before = len(site.log.entries(limit=1000))
    watch()
    assert len(site.log.entries(limit=1000)) == before


def test_a_gate_that_was_measured_and_failed_counts_from_the_figure(world: World) -> None:
    site = world.sites[1]
    world.issue()
    at = START - timedelta(days=7)
    watching(world, site, Assessments(failing(due=START + timedelta(days=300), measured_at=at))).watch()
    told = [row for row in book(world, world.hub).all(CANDIDATE) if row["peer"] == site.did and row["since"] == at]
    assert len(told) == 1


def test_what_carries_no_certificate_is_left_to_the_assessment(world: World) -> None:
    record, site = world.issue(), world.sites[2]
    own = failing(release=site.log.iri("run", "run-1"))
    watching(world, site, Assessments(own)).watch()
    watching(world, site, Assessments(failing(due=START - timedelta(days=9))), study=None).watch()
    assert states(world)[record.id][0] == "valid"


def test_what_cannot_be_told_is_told_the_next_minute(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    record, site = world.issue(), world.sites[2]
    doubting = watching(world, site, Assessments(failing(due=START - timedelta(days=11))))
    with monkeypatch.context() as patch:
        patch.setattr(doubting, "_peers", SimpleNamespace(post=lambda *_: (503, {"message": "busy", "fix": "wait"})))
        with pytest.raises(StorageError):
            doubting.watch()
    assert states(world)[record.id][0] == "valid"
    doubting.watch()
    assert states(world)[record.id][0] == "suspended"
