"""What a connector knows of its own circumstances: who watches its log, and in which environment it works."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from synthema.clock import FixedClock
from synthema.identity import FileSigner
from synthema.provenance import Activity, ProvenanceLog
from synthema.provenance.checkpoint import open_checkpoint
from synthema.provenance.store import put_cosignature
from synthema.runs.circumstances import SECURE_ENVIRONMENT, audit_head_age, environment
from synthema.runs.sandbox.probe import IsolationReport, Machine
from synthema.storage import Database
from synthema.vocabulary.namespaces import SYN

HEAD_AGE = SYN + "auditHeadAge"


def log_of(database: Database, clock: FixedClock, folder: Path) -> ProvenanceLog:
    log = ProvenanceLog(database, FileSigner.create(folder / "keys", b"a passphrase"), "https://site.example", clock)
    now = clock.now()
    log.record(Activity("https://site.example/id/activity/a", "Failure", "something happened", now, now))
    return log


def test_the_head_is_as_old_as_the_last_word_of_a_witness(
    database: Database, clock: FixedClock, tmp_path: Path
) -> None:
    log = log_of(database, clock, tmp_path)
    size = open_checkpoint(log.checkpoint(), log.key).size
    assert audit_head_age(log, clock.now()) == {}, "a head that only we signed was confirmed by nobody"
    seen = clock.now()
    database.write(lambda c: put_cosignature(c, size, "one.example/witness", "line", seen - timedelta(hours=5)))
    database.write(lambda c: put_cosignature(c, size, "two.example/witness", "line", seen))
    clock.advance(timedelta(hours=2))
    fact = audit_head_age(log, clock.now())[HEAD_AGE]
    assert fact.value == timedelta(hours=2)
    assert fact.evidence == f"https://site.example/id/checkpoint/{size}"
    assert audit_head_age(log, seen - timedelta(minutes=1))[HEAD_AGE].value == timedelta(0)


def test_an_environment_is_secure_as_long_as_its_isolation_holds() -> None:
    machine = Machine(*(None for _ in Machine.__dataclass_fields__))  # type: ignore[arg-type]
    report = IsolationReport(2, ("seccomp",), 4, "sha256:" + "0" * 64, (), namespaces=False, machine=machine)
    (fact,) = environment(report, 2).values()
    assert (fact.value, fact.evidence) == (SECURE_ENVIRONMENT, report.probe_digest)
    assert environment(report, 3) == {}
