from __future__ import annotations

from datetime import timedelta

import pytest

from synthema.clock import FixedClock
from synthema.consent import (
    ConsentItem,
    ConsentState,
    ConsentStore,
    Ground,
    NationalException,
    Question,
    Withdrawal,
    WithdrawalLevel,
)
from synthema.consent.model import NO_NEW_DATA
from synthema.errors import ConflictError, InputError, NotFoundError
from synthema.provenance import ProvenanceLog
from tests.unit.consent.conftest import Bring
from tests.unit.consent.support import CONSENT, NOW, RESEARCH, SYN
from tests.unit.datasets.support import log_text

BASES = "patient_key,state,date,legal_basis,opt_out_date"
MIXED = (
    "consented,ConsentGiven,2025-01-01,A9-2-a,",
    "withdrew,ConsentWithdrawn,2025-01-01,A9-2-a,",
    "research,ConsentUnknown,2025-01-01,A9-2-j,",
    "research-out,ConsentUnknown,2025-01-01,A9-2-j,2026-01-01",
    "consented-out,ConsentGiven,2025-01-01,A9-2-a,2026-01-01",
)
EVERYBODY = ["consented", "withdrew", "research", "research-out", "consented-out", "unheard-of"]


@pytest.mark.article("GDPR 7(3)")
@pytest.mark.article("EHDS 71(3)")
@pytest.mark.parametrize(
    ("default", "unheard_of"), [(CONSENT, {"unheard-of"}), (RESEARCH, set())], ids=["consent", "research"]
)
def test_one_dataset_rests_on_both_grounds(
    bring: Bring, consents: ConsentStore, clock: FixedClock, default: str, unheard_of: set[str]
) -> None:
    """Each person's record says on what it rests; who has none follows the dataset."""
    bring(BASES, *MIXED)
    found = consents.exclusions("mgus", EVERYBODY, Ground(default, None, clock.now()))
    assert found.excluded == {"withdrew", "research-out"} | unheard_of
    assert found.consented == 2
    assert found.bases == {CONSENT: 2, RESEARCH: 1 + (not unheard_of)}
    facts = consents.facts(found, clock.now())
    assert facts[f"{SYN}legalBasis"].value == (CONSENT, RESEARCH)
    assert facts[f"{SYN}consentState"].value == ConsentState.GIVEN.iri
    # An earlier permit is not affected by the opt-out, and still by the withdrawal.
    earlier = consents.exclusions("mgus", EVERYBODY, Ground(default, NOW - timedelta(days=700), clock.now()))
    assert earlier.excluded == {"withdrew"} | unheard_of


def test_facts_speak_of_those_who_remain_only(bring: Bring, consents: ConsentStore, clock: FixedClock) -> None:
    bring(BASES, "1,ConsentWithdrawn,2025-01-01,A9-2-a,", "2,ConsentUnknown,2025-01-01,A9-2-j,")
    facts = consents.facts(consents.exclusions("mgus", "12", Ground(CONSENT, None, clock.now())), clock.now())
    assert facts[f"{SYN}legalBasis"].value == RESEARCH
    assert f"{SYN}consentState" not in facts
    nobody = consents.facts(consents.exclusions("mgus", "1", Ground(CONSENT, None, clock.now())), clock.now())
    assert f"{SYN}legalBasis" not in nobody


@pytest.mark.article("EHDS 71(4)")
def test_the_national_exception_overrules_opt_outs_and_no_consent(
    bring: Bring, consents: ConsentStore, clock: FixedClock
) -> None:
    bring(BASES, *MIXED)
    exception = NationalException("urn:law", "an epidemic", "urn:permit")
    found = consents.exclusions("mgus", EVERYBODY, Ground(CONSENT, None, clock.now(), exception=exception))
    assert found.excluded == {"withdrew", "unheard-of"}
    assert (found.overruled, found.exception) == (1, exception)
    assert "1 person who opted out is read all the same under urn:law (EHDS Art. 71(4))" in found.summary()
    nothing_to_overrule = consents.exclusions("mgus", ["consented"], Ground(CONSENT, None, NOW, exception=exception))
    assert nothing_to_overrule.exception is None


@pytest.mark.article("GDPR 7(3)")
def test_levels_of_withdrawal(consents: ConsentStore, clock: FixedClock) -> None:
    """No further contact, no further access to new data, no further use."""
    ticked = [ConsentItem.SECONDARY_USE, ConsentItem.RECONTACT]
    for key in ("contact", "access", "use"):
        consents.give("mgus", key, items=ticked)
    taken_in = clock.now()
    clock.advance(timedelta(days=1))
    heard: list[Withdrawal] = []
    consents.on_withdrawal(lambda _, found: heard.extend(found))
    for key, level in zip(("contact", "access", "use"), WithdrawalLevel, strict=True):
        consents.withdraw("mgus", key, level)
    assert [each.level for each in heard] == list(WithdrawalLevel)
    clock.advance(timedelta(days=1))

    def left_out(question: Question) -> dict[str, int]:
        keys = ["contact", "access", "use"]
        return consents.exclusions("mgus", keys, Ground(CONSENT, None, clock.now(), question)).reasons

    assert left_out(Question(data_as_of=taken_in)) == {"ConsentWithdrawn": 1}
    assert left_out(Question(data_as_of=clock.now())) == {"ConsentWithdrawn": 1, NO_NEW_DATA: 1}
    assert left_out(Question()) == {"ConsentWithdrawn": 1, NO_NEW_DATA: 1}  # age not known: nothing new is read
    contact = Question(frozenset(ticked), data_as_of=taken_in)
    assert left_out(contact) == {"ConsentWithdrawn": 1, "did not agree to recontact": 2}
    with pytest.raises(ConflictError):
        consents.withdraw("mgus", "use", WithdrawalLevel.CONTACT)
    consents.give("mgus", "access", items=ticked)
    assert left_out(Question(data_as_of=clock.now())) == {"ConsentWithdrawn": 1}


@pytest.mark.article("GDPR 7(3)")
def test_boxes_taken_back_are_told(consents: ConsentStore) -> None:
    heard: list[Withdrawal] = []
    consents.on_withdrawal(lambda _, found: heard.extend(found))
    consents.give("mgus", "1", items=[ConsentItem.SECONDARY_USE, ConsentItem.LINKAGE])
    assert heard == []
    consents.give("mgus", "1", items=[ConsentItem.SECONDARY_USE], purposes=["urn:p"])
    assert [(each.level, each.lost) for each in heard] == [(None, ("linkage", "other purposes"))]


def test_an_end_lies_in_the_future(consents: ConsentStore, clock: FixedClock) -> None:
    with pytest.raises(InputError, match="before it begins"):
        consents.give("mgus", "1", valid_to=clock.now())
    consents.give("mgus", "1", valid_to=clock.now() + timedelta(days=1))
    clock.advance(timedelta(days=1))
    found = consents.exclusions("mgus", ["1"], Ground(CONSENT, None, clock.now()))
    assert found.reasons == {"ConsentExpired": 1}
    consents.give("mgus", "1")  # the old end does not bind what is agreed anew
    assert consents.exclusions("mgus", ["1"], Ground(CONSENT, None, clock.now())).remaining == 1


# EHDS 71(8): matching ends when the pseudonymisation key goes --------------------------------------


@pytest.mark.article("EHDS 71(8)")
def test_opt_outs_are_matched_before_the_key_is_destroyed(
    bring: Bring, consents: ConsentStore, clock: FixedClock, log: ProvenanceLog
) -> None:
    consents.enrol("mgus", "dataset-1", ["1", "2", "3"])
    with pytest.raises(ConflictError, match="not brought up to date"):
        consents.close_matching("mgus", "dataset-1", RESEARCH)
    bring("patient_key,state,date,legal_basis,opt_out_date", "1,ConsentUnknown,2025-01-01,A9-2-j,2026-01-01")
    clock.advance(timedelta(hours=25))
    with pytest.raises(ConflictError, match="import the present opt-out list first"):
        consents.close_matching("mgus", "dataset-1", RESEARCH)
    bring("patient_key,state,date,legal_basis,opt_out_date", "1,ConsentUnknown,2025-01-01,A9-2-j,2026-01-01")
    assert consents.close_matching("mgus", "dataset-1", RESEARCH) == 1
    assert "LastMatching" in log_text(log)
    clock.advance(timedelta(days=1))
    consents.opt_out("2")
    consents.opt_in("1")
    clock.advance(timedelta(days=1))
    ground = Ground(RESEARCH, None, clock.now())
    closed = consents.exclusions("mgus", "123", ground, version_id="dataset-1")
    assert closed.excluded == {"1"}, "what was known stays; what came later can no longer be matched"
    assert consents.cohort_exclusions("mgus", "dataset-1", ground).reasons == {"OptedOut": 1}
    assert consents.exclusions("mgus", "123", ground, version_id="dataset-2").excluded == {"2"}
    with pytest.raises(ConflictError, match="before"):
        consents.close_matching("mgus", "dataset-1", RESEARCH)


@pytest.mark.article("EHDS 71(8)")
@pytest.mark.article("GDPR 7(3)")
def test_the_key_stays_while_anybodys_record_rests_on_consent(bring: Bring, consents: ConsentStore) -> None:
    consents.enrol("mgus", "dataset-1", ["1", "2"])
    bring(BASES, "1,ConsentGiven,2025-01-01,A9-2-a,", "2,ConsentUnknown,2025-01-01,A9-2-j,")
    with pytest.raises(ConflictError, match="rest on consent"):
        consents.close_matching("mgus", "dataset-1", RESEARCH)
    with pytest.raises(NotFoundError):
        consents.close_matching("mgus", "dataset-unknown", RESEARCH)
