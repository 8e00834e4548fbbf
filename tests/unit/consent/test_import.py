from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from synthema.clock import FixedClock
from synthema.consent import (
    ConsentItem,
    ConsentState,
    ConsentStore,
    Ground,
    Reading,
    parse_csv,
    parse_elements,
    parse_fhir,
)
from synthema.errors import InputError
from synthema.provenance import ProvenanceLog
from tests.unit.consent.conftest import Bring
from tests.unit.consent.support import CONSENT, HEALTH_RESEARCH, NOW

SOURCED = "patient_key,state,date,source_id,source_version"


def test_a_dry_run_says_everything_and_changes_nothing(
    bring: Bring, consents: ConsentStore, log: ProvenanceLog
) -> None:
    bring("patient_key,state,date", "1,ConsentWithdrawn,2025-01-01", "2,ConsentGiven,2025-01-01")
    size = log.size()
    text = (
        "patient_key,state,date,purposes\n"
        "1,ConsentGiven,2025-02-01,\n"  # contradicts what is known
        "2,ConsentGiven,2025-01-01,\n"  # says nothing new
        "3,ConsentGiven,2025-01-01,health research\n"
        "4,Maybe,2025-01-01,tea\n"
    )
    taken = parse_csv(text, "list.csv", Reading(NOW))
    report = consents.import_list("mgus", taken, "list.csv", dry_run=True)
    assert not report.kept
    assert (report.unchanged, report.changes) == (1, {"ConsentGiven": 1, "ConsentUnknown": 1})
    said = [problem.text() for problem in report.problems]
    assert [text.split(":")[0] for text in said] == [
        "line 5, field state",
        "line 5, field purposes",
        "line 2, field state",
    ]
    assert log.size() == size
    assert consents.counts("mgus") == {"ConsentGiven": 1, "ConsentWithdrawn": 1}
    with pytest.raises(InputError, match="nothing was taken"):
        consents.import_list("mgus", taken, "list.csv")


def test_a_dry_run_lists_all_problems_however_many(consents: ConsentStore) -> None:
    lines = "\n".join(f"{number},Maybe,2025-01-01" for number in range(50))
    taken = parse_csv(f"patient_key,state,date\n{lines}\n", "list.csv", Reading(NOW))
    assert len(consents.import_list("mgus", taken, "list.csv", dry_run=True).problems) == 50


def test_a_record_is_taken_once_for_each_version(bring: Bring, consents: ConsentStore, clock: FixedClock) -> None:
    first = bring(SOURCED, "1,ConsentGiven,2025-01-01,r-1,1", "2,ConsentGiven,2025-01-01,r-2,1")
    again = bring(SOURCED, "1,ConsentGiven,2025-01-01,r-1,1", "2,ConsentGiven,2025-01-01,r-2,1")
    assert (first.consents_changed, again.consents_changed, again.unchanged) == (2, 0, 2)
    assert first.version == again.version


@pytest.mark.article("GDPR 7(3)")
def test_an_old_version_does_not_bring_a_withdrawn_consent_back(
    bring: Bring, consents: ConsentStore, clock: FixedClock
) -> None:
    bring(SOURCED, "1,ConsentGiven,2025-01-01,r-1,1")
    clock.advance(timedelta(hours=1))
    consents.withdraw("mgus", "1")
    clock.advance(timedelta(hours=1))
    assert bring(SOURCED, "1,ConsentGiven,2025-01-01,r-1,1").unchanged == 1
    bring(SOURCED, "2,ConsentWithdrawn,2025-06-01,r-2,3")
    assert bring(SOURCED, "2,ConsentGiven,2025-01-01,r-2,2").stale == 1
    assert consents.exclusions("mgus", "12", Ground(CONSENT, None, clock.now())).remaining == 0


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("1,ConsentRefused,2025-01-01,r-1,1", "said something else before"),
        ("2,ConsentGiven,2025-01-01,r-1,2", "about another person"),
        ("1,ConsentGiven,2025-01-01,,2", "a version without the record"),
    ],
)
def test_what_a_source_cannot_say(bring: Bring, consents: ConsentStore, line: str, said: str) -> None:
    bring(SOURCED, "1,ConsentGiven,2025-01-01,r-1,1")
    with pytest.raises(InputError, match=said):
        bring(SOURCED, line)
    assert consents.version() == 1


def test_identifiers_of_source_records_are_kept_as_tokens(bring: Bring, consents: ConsentStore) -> None:
    bring(SOURCED, "1,ConsentGiven,2025-01-01,consent-of-rossi,1")
    with consents._database.read() as connection:
        kept = str(connection.exec_driver_sql("SELECT * FROM consent_records").all())
    assert "rossi" not in kept


def test_all_columns_of_our_own_list() -> None:
    header = "patient_key,state,date,items,purposes,withdrawal_level,notice_version"
    text = f"{header}\n1,ConsentGiven,2025-01-01,secondary-use;linkage,health research,no-further-access,2.1\n"
    (line,) = parse_csv(text, "list.csv", Reading(NOW)).lines
    assert line.purposes == {HEALTH_RESEARCH}
    assert line.level == "no-further-access"
    assert line.legal_basis is None


def test_a_level_must_fit_the_state(bring: Bring) -> None:
    with pytest.raises(InputError, match="does not fit a consent in the state ConsentRefused"):
        bring("patient_key,state,date,withdrawal_level", "1,ConsentRefused,2025-01-01,no-further-contact")
    with pytest.raises(InputError, match="'all' is not one of"):
        bring("patient_key,state,date,withdrawal_level", "1,ConsentGiven,2025-01-01,all")


def test_fhir_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("synthema.consent.fhir.importlib.import_module", missing)
    with pytest.raises(InputError) as error:
        parse_fhir('{"resourceType": "Consent"}', "consent.json", Reading(NOW))
    assert "pip install 'synthema[fhir]'" in error.value.fix


# common data elements 7.1 to 7.4 ---------------------------------------------------------------------

ELEMENTS = "pseudonym,date,7.1,7.2,7.3,7.4"


@pytest.mark.parametrize(
    ("line", "state", "items"),
    [
        ("1,2025-01-01,Yes,Yes,No,No", ConsentState.GIVEN, {"secondary-use", "recontact"}),
        ("1,2025-01-01,0,1,1,0", ConsentState.GIVEN, {"secondary-use", "biological-sample"}),
        (
            "1,2025-01-01,373067005,SNOMEDCT:373066001,373066001,https://directory.example/biobank/7",
            ConsentState.GIVEN,
            {"secondary-use", "biological-sample", "biobank-link"},
        ),
        ("1,2025-01-01,yes,no,,", ConsentState.REFUSED, {"recontact"}),
        ("1,2025-01-01,no,unknown,,", ConsentState.UNKNOWN, set()),
        ("1,2025-01-01,no,,,", ConsentState.UNKNOWN, set()),
    ],
)
def test_common_data_elements(line: str, state: ConsentState, items: set[str]) -> None:
    taken = parse_elements(f"{ELEMENTS}\n{line}\n", "registry.csv", Reading(NOW))
    assert taken.problems == ()
    assert taken.lines[0].state is state
    assert taken.lines[0].items == {ConsentItem(item) for item in items}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{ELEMENTS}\n1,2025-01-01,Yes,Perhaps,,\n", "line 2, field 7.2: 'Perhaps' is not an answer"),
        (f"{ELEMENTS}\n1,2025-01-01,Yes,Yes,No,Yes\n", "line 2, field 7.4: a link to a biobank where there is no"),
        (f"{ELEMENTS}\n,2025-01-01,Yes,Yes,,\n", "line 2, field pseudonym: is empty"),
        (f"{ELEMENTS}\n1,,Yes,Yes,,\n", "line 2, field date: is empty"),
        (f"{ELEMENTS}\n1,2025-01-01,Yes,Yes,,\n1,2025-01-01,Yes,Yes,,\n", "line 3, field pseudonym: the same person"),
        (f"{ELEMENTS}\n1,2025-01-01\n", "line 2: 2 fields"),
    ],
)
def test_faults_of_common_data_elements(text: str, said: str) -> None:
    problems = parse_elements(text, "registry.csv", Reading(NOW)).problems
    assert any(said in problem.text() for problem in problems)


def test_common_data_elements_need_their_columns() -> None:
    with pytest.raises(InputError, match=r"column '7\.2' is missing"):
        parse_elements("pseudonym,date,7.1\n1,2025-01-01,Yes\n", "registry.csv", Reading(NOW))
    with pytest.raises(InputError, match="names no person"):
        parse_elements(f"{ELEMENTS}\n", "registry.csv", Reading(NOW))
    named = "patient_key,date,agreement_to_be_contacted,consent_to_reuse_of_data"
    assert parse_elements(f"{named}\n1,2025-01-01,no,yes\n", "registry.csv", Reading(NOW)).lines


def test_a_registry_that_does_not_know_is_no_withdrawal(bring: Bring, consents: ConsentStore, tmp_path: Path) -> None:
    bring("patient_key,state,date", "1,ConsentGiven,2025-01-01")
    taken = parse_elements(f"{ELEMENTS}\n1,2025-02-01,no,unknown,,\n", "registry.csv", Reading(NOW))
    with pytest.raises(InputError, match="cannot go from ConsentGiven to ConsentUnknown"):
        consents.import_list("mgus", taken, "registry.csv")
