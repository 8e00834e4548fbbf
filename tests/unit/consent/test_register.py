from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from synthema.clock import FixedClock
from synthema.consent import ConsentItem, ConsentState, ConsentStore, Ground, Question, machine_for
from synthema.consent.model import EU_GDPR
from synthema.errors import ConflictError, InputError, StorageError
from synthema.provenance import ProvenanceLog
from synthema.storage import Database
from tests.unit.datasets.support import log_text

CONSENT = EU_GDPR + "A9-2-a"
RESEARCH = EU_GDPR + "A9-2-j"
SYN = "https://w3id.org/synthema/ns#"


def bring(
    consents: ConsentStore, tmp_path: Path, *lines: str, header: str = "patient_key,state,date,opt_out_date,opt_in_date"
) -> int:
    path = tmp_path / "consents.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return consents.import_csv("mgus", path).version


@pytest.mark.article("GDPR 7(3)")
def test_withdrawal_stops_use_from_now_whatever_was_approved(
    consents: ConsentStore, clock: FixedClock, tmp_path: Path
) -> None:
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,,", "2,ConsentGiven,2025-01-01,,")
    approved = datetime(2025, 6, 1, tzinfo=UTC)
    before = clock.now()
    clock.advance(timedelta(minutes=1))
    assert consents.change("mgus", "1", ConsentState.WITHDRAWN) == 2
    found = consents.exclusions("mgus", [1, 2], Ground(CONSENT, approved, clock.now()))
    assert found.excluded == {1}
    assert found.reasons == {"ConsentWithdrawn": 1}
    assert (found.remaining, found.version, found.machine) == (1, 2, "consent")
    assert consents.exclusions("mgus", [1, 2], Ground(CONSENT, approved, before)).excluded == frozenset()


@pytest.mark.article("EHDS 71(3)")
def test_an_opt_out_spares_permits_approved_before_it(consents: ConsentStore, clock: FixedClock) -> None:
    consents.opt_out("1")
    now = clock.now()
    for approved, excluded in (
        (now - timedelta(seconds=1), set()),
        (now, {"1"}),
        (now + timedelta(days=1), {"1"}),
        (None, {"1"}),
    ):
        found = consents.exclusions("mgus", ["1", "2"], Ground(RESEARCH, approved, now + timedelta(days=2)))
        assert found.excluded == excluded
        assert found.machine == "opt-out"


@pytest.mark.article("EHDS 71(1)")
def test_an_opt_out_is_reversible(consents: ConsentStore, clock: FixedClock) -> None:
    consents.opt_out("1")
    clock.advance(timedelta(days=1))
    assert consents.opt_in("1") == 2
    assert consents.exclusions("mgus", ["1"], Ground(RESEARCH, None, clock.now())).excluded == frozenset()
    with pytest.raises(ConflictError):
        consents.opt_in("1")
    consents.opt_out("1")
    with pytest.raises(ConflictError):
        consents.opt_out("1")


def test_the_legal_basis_chooses_the_rule(consents: ConsentStore, clock: FixedClock, tmp_path: Path) -> None:
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,2026-01-01,", "2,ConsentRefused,2025-01-01,,")
    assert consents.exclusions("mgus", ["1", "2"], Ground(CONSENT, None, clock.now())).excluded == {"2"}
    assert consents.exclusions("mgus", ["1", "2"], Ground(RESEARCH, None, clock.now())).excluded == {"1"}
    for basis in ("", "A9", "A6-1-ax", "https://example.org/A9-2-a", "A9-2-z"):
        with pytest.raises(InputError):
            machine_for(basis)
    assert machine_for("eu-gdpr:A6-1-a-explicit-consent") == "consent"


@pytest.mark.parametrize("state", [s for s in ConsentState if s not in (ConsentState.GIVEN, ConsentState.RENEWED)])
def test_all_but_two_states_deny(
    consents: ConsentStore, clock: FixedClock, tmp_path: Path, state: ConsentState
) -> None:
    bring(consents, tmp_path, f"1,{state},2025-01-01,,")
    found = consents.exclusions("mgus", ["1"], Ground(CONSENT, None, clock.now()))
    assert found.excluded == {"1"}
    assert f"{SYN}consentState" not in consents.facts(found, clock.now())


def test_the_unknown_are_left_out(consents: ConsentStore, clock: FixedClock) -> None:
    found = consents.exclusions("mgus", ["1", "2"], Ground(CONSENT, None, clock.now()))
    assert found.excluded == {"1", "2"}
    assert found.reasons == {"ConsentUnknown": 2}
    assert found.remaining == 0
    assert "No person" not in found.summary()


def test_boxes_not_ticked_and_time_run_out(consents: ConsentStore, clock: FixedClock, tmp_path: Path) -> None:
    header = "patient_key,state,date,items,valid_to"
    bring(
        consents,
        tmp_path,
        "1,ConsentGiven,2025-01-01,secondary-use;for-profit,",
        "2,ConsentGiven,2025-01-01,secondary-use,",
        "3,ConsentGiven,2025-01-01,recontact,",
        "4,ConsentGiven,2025-01-01,secondary-use,2026-11-21",
        header=header,
    )
    found = consents.exclusions("mgus", "1234", Ground(CONSENT, None, clock.now()))
    assert found.excluded == {"3", "4"}
    assert found.reasons == {"did not agree to secondary-use": 1, "ConsentExpired": 1}
    paid = Question(frozenset({ConsentItem.SECONDARY_USE, ConsentItem.FOR_PROFIT}))
    assert consents.exclusions("mgus", "12", Ground(CONSENT, None, clock.now(), question=paid)).excluded == {"2"}


def test_consent_for_one_dataset_is_none_for_another(consents: ConsentStore, clock: FixedClock, tmp_path: Path) -> None:
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,,")
    assert consents.exclusions("mds", ["1"], Ground(CONSENT, None, clock.now())).excluded == {"1"}


def test_steps_that_the_table_does_not_know(consents: ConsentStore, clock: FixedClock, tmp_path: Path) -> None:
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,,")
    with pytest.raises(ConflictError, match="cannot go from ConsentGiven to ConsentRequested"):
        consents.change("mgus", "1", ConsentState.REQUESTED)
    consents.change("mgus", "1", ConsentState.WITHDRAWN)
    with pytest.raises(ConflictError):
        consents.change("mgus", "1", ConsentState.GIVEN)
    consents.change("mgus", "1", ConsentState.RENEWED)
    assert consents.exclusions("mgus", ["1"], Ground(CONSENT, None, clock.now())).excluded == frozenset()


def test_an_import_that_contradicts_changes_nothing(consents: ConsentStore, clock: FixedClock, tmp_path: Path) -> None:
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,,", "2,ConsentWithdrawn,2025-05-01,,")
    for line, said in (
        ("2,ConsentGiven,2025-06-01,,", "cannot go from ConsentWithdrawn to ConsentGiven"),
        ("1,ConsentWithdrawn,2024-06-01,,", "dated before"),
    ):
        with pytest.raises(InputError, match=said) as error:
            bring(consents, tmp_path, "3,ConsentGiven,2025-01-01,,", line)
        assert "line 3, field state" in error.value.message
    assert consents.version() == 1
    assert consents.counts("mgus") == {"ConsentGiven": 1, "ConsentWithdrawn": 1}


def test_importing_again_changes_nothing_but_freshness(
    consents: ConsentStore, clock: FixedClock, tmp_path: Path
) -> None:
    lines = ("1,ConsentGiven,2025-01-01,2026-01-01,", "2,ConsentGiven,2025-01-01,2025-01-01,2025-02-01")
    assert bring(consents, tmp_path, *lines) == 1
    clock.advance(timedelta(hours=5))
    old = consents.exclusions("mgus", ["1", "2"], Ground(RESEARCH, None, clock.now()))
    assert consents.facts(old, clock.now())[f"{SYN}optOutListAge"].value == timedelta(hours=5)
    assert bring(consents, tmp_path, *lines) == 1
    new = consents.exclusions("mgus", ["1", "2"], Ground(RESEARCH, None, clock.now()))
    assert consents.facts(new, clock.now())[f"{SYN}optOutListAge"].value == timedelta(0)
    assert new.excluded == {"1"}


def test_changed_boxes_are_a_change(consents: ConsentStore, clock: FixedClock, tmp_path: Path) -> None:
    header = "patient_key,state,date,items"
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,secondary-use;for-profit", header=header)
    assert bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,recontact", header=header) == 2
    assert consents.exclusions("mgus", ["1"], Ground(CONSENT, None, clock.now())).excluded == {"1"}


def test_an_opt_out_ends_only_by_being_taken_back(consents: ConsentStore, clock: FixedClock, tmp_path: Path) -> None:
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,2026-01-01,")
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,,")
    assert consents.exclusions("mgus", ["1"], Ground(RESEARCH, None, clock.now())).excluded == {"1"}
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,2026-01-01,2026-02-01")
    assert consents.exclusions("mgus", ["1"], Ground(RESEARCH, None, clock.now())).excluded == frozenset()
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,2026-01-01,")  # an old line does not bring it back
    assert consents.exclusions("mgus", ["1"], Ground(RESEARCH, None, clock.now())).excluded == frozenset()
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,2026-03-01,")
    assert consents.exclusions("mgus", ["1"], Ground(RESEARCH, None, clock.now())).excluded == {"1"}


def test_facts_name_the_list_they_rest_on(consents: ConsentStore, clock: FixedClock, tmp_path: Path) -> None:
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01,,")
    facts = consents.facts(consents.exclusions("mgus", ["1"], Ground(CONSENT, None, clock.now())), clock.now())
    assert facts[f"{SYN}consentState"].value == "https://w3id.org/dpv#ConsentGiven"
    assert facts[f"{SYN}exclusionListVersion"].value == 1
    assert {fact.evidence for fact in facts.values()} == {"http://127.0.0.1:8101/id/exclusion-list/1"}


def test_a_list_without_opt_outs_says_nothing_about_their_age(
    consents: ConsentStore, clock: FixedClock, tmp_path: Path
) -> None:
    bring(consents, tmp_path, "1,ConsentGiven,2025-01-01", header="patient_key,state,date")
    found = consents.exclusions("mgus", ["1"], Ground(RESEARCH, None, clock.now()))
    assert f"{SYN}optOutListAge" not in consents.facts(found, clock.now())


def test_no_identity_reaches_log_or_database(
    consents: ConsentStore, log: ProvenanceLog, tmp_path: Path, database: Database
) -> None:
    bring(consents, tmp_path, "KEY-4711,ConsentGiven,2025-01-01,,")
    consents.change("mgus", "KEY-4711", ConsentState.WITHDRAWN)
    consents.opt_out("KEY-4711")
    with database.read() as connection:
        tokens = connection.exec_driver_sql("SELECT patient_token FROM consent_records").scalars().all()
        kept = str(connection.exec_driver_sql("SELECT * FROM consent_records").all())
    said = log_text(log)
    assert "4711" not in said
    assert "4711" not in kept
    assert not any(token in said for token in tokens)
    assert "changedToConsentWithdrawn" in said


def test_who_registered_hears_of_a_change_in_the_same_transaction(consents: ConsentStore, clock: FixedClock) -> None:
    heard: list[tuple[int, dict[str, int]]] = []

    def listen(connection: Connection, version: int, counts: dict[str, int]) -> None:
        heard.append((version, counts))
        if version == 2:
            raise StorageError("no room", fix="make room")

    consents.on_change(listen)
    consents.opt_out("1")
    with pytest.raises(StorageError):
        consents.opt_out("2")
    assert heard == [(1, {"OptedOut": 1}), (2, {"OptedOut": 1})]
    assert consents.exclusions("mgus", ["2"], Ground(RESEARCH, None, clock.now())).excluded == frozenset()


def test_what_is_not_logged_does_not_happen(
    consents: ConsentStore, log: ProvenanceLog, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StorageError("the log is full", fix="make room")

    monkeypatch.setattr(log, "append", fail)
    with pytest.raises(StorageError):
        consents.change("mgus", "1", ConsentState.GIVEN)
    assert consents.version() == 0
    assert consents.exclusions("mgus", ["1"], Ground(CONSENT, None, clock.now())).excluded == {"1"}


def test_refuses_empty_names(consents: ConsentStore, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        consents.change("mgus", " ", ConsentState.GIVEN)
    with pytest.raises(InputError):
        consents.change("", "1", ConsentState.GIVEN)
    with pytest.raises(InputError):
        consents.change("mgus", "1", ConsentState.GIVEN, legal_basis="because")
    with pytest.raises(InputError):
        consents.import_csv("", tmp_path / "none.csv")


def test_exclusions_are_known_before_the_data_are_opened(
    consents: ConsentStore, clock: FixedClock, tmp_path: Path, log: ProvenanceLog
) -> None:
    bring(consents, tmp_path, "KEY-1,ConsentGiven,2025-01-01,2026-01-01,", "KEY-2,ConsentRefused,2025-01-01,,")
    assert consents.enrol("mgus", "dataset-1", ["KEY-1", "KEY-2"]) == 2
    assert consents.enrol("mgus", "dataset-1", ["KEY-2", "KEY-1"]) == 2
    size = log.size()
    with pytest.raises(ConflictError):
        consents.enrol("mgus", "dataset-1", ["KEY-3"])
    assert log.size() == size
    for basis, reasons in ((CONSENT, {"ConsentRefused": 1}), (RESEARCH, {"OptedOut": 1})):
        known = consents.cohort_exclusions("mgus", "dataset-1", Ground(basis, None, clock.now()))
        opened = consents.exclusions("mgus", ["KEY-1", "KEY-2"], Ground(basis, None, clock.now()))
        assert known.reasons == opened.reasons == reasons
        assert known.remaining == opened.remaining == 1
        assert not known.excluded & {"KEY-1", "KEY-2"}
    assert "KEY-" not in log_text(log)


def test_nobody_remains_of_a_version_that_was_never_enrolled(consents: ConsentStore, clock: FixedClock) -> None:
    found = consents.cohort_exclusions("mgus", "dataset-1", Ground(CONSENT, None, clock.now()))
    assert found.remaining == 0
    assert f"{SYN}consentState" not in consents.facts(found, clock.now())
