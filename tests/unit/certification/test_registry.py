from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest

from synthema.canonical import digest_bytes
from synthema.certification import IntendedUse, Registry
from synthema.errors import ConflictError, InputError, IntegrityError, NotFoundError, StorageError
from tests.unit.certification.world import CANDIDATE, ROWS, World, nobody_answers


@pytest.fixture
def registry(world: World, tmp_path: Path) -> Registry:
    return world.registry(tmp_path / "packages")


def logged(world: World, word: str) -> int:
    return sum(word.encode() in entry.body for entry in world.parties["registry"].log.entries(limit=1000))


def test_a_sound_package_is_taken_in_and_served_by_digest(world: World, registry: Registry) -> None:
    receipt = registry.ingest(world.package(), world.use, person="urn:person:officer")
    assert receipt.accepted
    assert receipt.report.ok
    assert registry.dataset(CANDIDATE) == ("text/csv", ROWS)
    body = world.parties["registry"].log.entry(receipt.log_position).body
    assert b"a certified dataset was taken in" in body
    assert CANDIDATE.encode() in body


def test_a_refusal_is_recorded_and_the_package_stays_in_quarantine(
    world: World, registry: Registry, tmp_path: Path
) -> None:
    damaged = world.package().replace(b"61,F", b"62,F")
    before = len(registry.holdings())
    receipt = registry.ingest(damaged, world.use)
    assert not receipt.accepted
    assert receipt.report.failed == (3, 11)
    assert len(registry.holdings()) == before
    attempt = registry.attempts(1)[0]
    assert attempt["outcome"] == "refused"
    assert attempt["package"] == digest_bytes(damaged)
    assert attempt["report"]["ok"] is False
    assert b'failedChecks> "3, 11"' in world.parties["registry"].log.entry(receipt.log_position).body
    name = digest_bytes(damaged).removeprefix("sha256:")
    assert not (tmp_path / "packages" / name).exists()
    assert (tmp_path / "packages" / "quarantine" / name).exists()
    assert receipt.quarantined
    assert [row["id"] for row in registry.in_quarantine()] == [receipt.id]


def test_bytes_that_are_no_package_are_recorded_too(world: World, registry: Registry) -> None:
    receipt = registry.ingest(b"nonsense", world.use)
    assert not receipt.accepted
    assert not receipt.quarantined
    assert registry.in_quarantine() == []
    assert registry.attempts(1)[0]["certificate"] is None
    assert receipt.as_dict()["report"]["checks"][0]["ok"] is False


def test_what_a_refused_package_claims_becomes_no_statement(world: World, registry: Registry) -> None:
    record = world.issue()
    world.status.revoke(record.id, "faulty")
    receipt = registry.ingest(world.package(record), world.use)
    body = world.parties["registry"].log.entry(receipt.log_position).body.decode()
    assert f"<{record.id}>" not in body
    assert f'"{record.id}"' in body


def test_an_intended_use_of_someone_else_is_an_error(world: World, registry: Registry) -> None:
    with pytest.raises(InputError, match="another registry"):
        registry.ingest(world.package(), IntendedUse(purpose="health research", recipient=world.hub.did))


def test_checking_records_nothing(world: World, registry: Registry) -> None:
    size = world.parties["registry"].log.size()
    assert registry.check(world.package(), world.use).ok
    assert world.parties["registry"].log.size() == size


def test_the_same_package_twice_is_held_once(world: World, registry: Registry) -> None:
    package = world.package()
    before = len(registry.holdings())
    assert registry.ingest(package, world.use).accepted
    assert registry.ingest(package, world.use).accepted
    assert len(registry.holdings()) == before + 1


def test_the_same_package_from_many_sides_at_once_is_held_once(world: World, registry: Registry) -> None:
    package = world.package()
    before = len(registry.holdings())
    accepted: list[bool] = []
    threads = [
        threading.Thread(target=lambda: accepted.append(registry.ingest(package, world.use).accepted)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert accepted == [True] * 6
    assert len(registry.holdings()) == before + 1


def fresh(world: World, registry: Registry) -> tuple[str, bytes]:
    record = world.issue()
    package = world.package(record)
    assert registry.ingest(package, world.use).accepted
    for holding in registry.holdings():
        if holding.certificate != record.id and holding.state != "withdrawn":
            registry.withdraw(holding.certificate, "only the newest is looked at in this test")
    return record.id, package


def state(registry: Registry, certificate: str) -> str:
    return next(holding.state for holding in registry.holdings() if holding.certificate == certificate)


def test_a_withdrawn_dataset_is_gone_for_good(world: World, registry: Registry) -> None:
    certificate, package = fresh(world, registry)
    before = logged(world, "a dataset was withdrawn")
    registry.withdraw(certificate, "the issuer asked for it", person="urn:person:officer")
    assert logged(world, "a dataset was withdrawn") == before + 1
    with pytest.raises(NotFoundError):
        registry.dataset(CANDIDATE)
    receipt = registry.ingest(package, world.use)
    assert not receipt.accepted
    assert "withdrawn here: the issuer asked for it" in receipt.report.results[5].reason
    with pytest.raises(ConflictError, match="withdrawn cannot reinstate"):
        registry.reinstate(certificate, "a change of mind")


def test_a_suspended_dataset_is_not_served_until_it_is_reinstated(world: World, registry: Registry) -> None:
    certificate, _ = fresh(world, registry)
    registry.suspend(certificate, "a question")
    with pytest.raises(NotFoundError):
        registry.dataset(CANDIDATE)
    registry.reinstate(certificate, "it was answered")
    assert registry.dataset(CANDIDATE)[1] == ROWS


def test_the_issuers_word_is_followed(world: World, registry: Registry) -> None:
    certificate, _ = fresh(world, registry)
    assert registry.refresh() == ()
    world.status.suspend(certificate, "a withdrawal is being assessed")
    assert [change.event for change in registry.refresh()] == ["suspend"]
    assert registry.refresh() == ()
    world.status.reinstate(certificate, "no harm was found")
    assert [change.event for change in registry.refresh()] == ["reinstate"]
    world.status.revoke(certificate, "the generator was faulty")
    assert [change.event for change in registry.refresh()] == ["withdraw"]
    assert state(registry, certificate) == "withdrawn"


def test_a_suspension_of_its_own_is_left_alone(world: World, registry: Registry) -> None:
    certificate, _ = fresh(world, registry)
    registry.suspend(certificate, "a question")
    assert registry.refresh() == ()
    assert state(registry, certificate) == "suspended"


def test_a_status_that_cannot_be_learned_suspends(world: World, registry: Registry, tmp_path: Path) -> None:
    certificate, _ = fresh(world, registry)
    blind = world.registry(tmp_path / "packages", status=nobody_answers)
    assert [change.event for change in blind.refresh()] == ["suspend"]
    assert [change.event for change in registry.refresh()] == ["reinstate"]
    assert state(registry, certificate) == "held"


def test_an_expired_certificate_is_withdrawn(world: World, registry: Registry) -> None:
    certificate, _ = fresh(world, registry)
    world.clock.advance(timedelta(days=800))
    assert [change.event for change in registry.refresh()] == ["withdraw"]
    assert state(registry, certificate) == "withdrawn"


def test_a_package_changed_on_disk_is_noticed(world: World, registry: Registry, tmp_path: Path) -> None:
    _, package = fresh(world, registry)
    path = tmp_path / "packages" / digest_bytes(package).removeprefix("sha256:")
    path.write_bytes(package.replace(b"61,F", b"62,F"))
    with pytest.raises(IntegrityError, match="changed on disk"):
        registry.dataset(CANDIDATE)
    path.unlink()
    with pytest.raises(StorageError, match="not readable"):
        registry.dataset(CANDIDATE)


def test_unknown_holdings_and_empty_reasons_are_errors(world: World, registry: Registry) -> None:
    with pytest.raises(NotFoundError):
        registry.withdraw("urn:none", "why")
    with pytest.raises(InputError, match="no reason"):
        registry.withdraw("urn:none", " ")
    with pytest.raises(NotFoundError):
        registry.dataset("sha256:" + "00" * 32)


def test_nothing_is_taken_in_when_the_log_cannot_be_written(
    world: World, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = world.package()
    before = len(registry.holdings())

    def refuses(*_: object) -> None:
        raise StorageError("the log is full", fix="make room")

    monkeypatch.setattr(world.parties["registry"].log, "append", refuses)
    with pytest.raises(StorageError, match="full"):
        registry.ingest(package, world.use)
    assert len(registry.holdings()) == before


# quarantine -------------------------------------------------------------------------------


def test_a_package_in_quarantine_is_taken_in_once_its_reason_has_gone(world: World, tmp_path: Path) -> None:
    record = world.issue()
    blind = world.registry(tmp_path / "packages", status=nobody_answers)
    refused = blind.ingest(world.package(record), world.use)
    assert refused.report.failed == (6,)
    seeing = world.registry(tmp_path / "packages")
    outcome = seeing.check_again(refused.id, person="urn:person:officer")
    assert outcome.accepted
    assert seeing.in_quarantine() == []
    assert state(seeing, record.id) == "held"
    with pytest.raises(NotFoundError, match="not in quarantine"):
        seeing.check_again(refused.id)
    with pytest.raises(NotFoundError, match="no such attempt"):
        seeing.check_again("ingest-0")


def test_a_package_in_quarantine_can_be_discarded_with_a_reason(world: World, registry: Registry) -> None:
    refused = registry.ingest(world.package().replace(b"61,F", b"62,F"), world.use)
    with pytest.raises(InputError, match="no reason"):
        registry.discard(refused.id, " ")
    before = logged(world, "QuarantineDisposal")
    registry.discard(refused.id, "it was changed on the way")
    assert registry.in_quarantine() == []
    assert logged(world, "QuarantineDisposal") == before + 1
    with pytest.raises(NotFoundError, match="not in quarantine"):
        registry.discard(refused.id, "again")


def test_quarantine_is_emptied_after_thirty_days(world: World, registry: Registry) -> None:
    fresh(world, registry)
    registry.ingest(world.package().replace(b"61,F", b"62,F"), world.use)
    world.clock.advance(timedelta(days=29))
    registry.refresh()
    assert len(registry.in_quarantine()) == 1
    world.clock.advance(timedelta(days=2))
    registry.refresh()
    assert registry.in_quarantine() == []


def test_the_catalogue_shows_what_is_in_good_standing(world: World, registry: Registry) -> None:
    certificate, _ = fresh(world, registry)
    records = registry.catalogue("Synthetic data")["dcat:dataset"]
    assert [record["dqv:hasQualityAnnotation"]["oa:hasBody"]["@id"] for record in records] == [certificate]
    registry.suspend(certificate, "a question")
    assert registry.catalogue("Synthetic data")["dcat:dataset"] == []
    registry.reinstate(certificate, "answered")
