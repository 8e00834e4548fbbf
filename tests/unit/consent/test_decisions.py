"""What decisions make of the register's facts: the age of the opt-out list, and several legal bases at once."""

from __future__ import annotations

from datetime import timedelta

import pytest

from synthema.clock import FixedClock
from synthema.consent import ConsentStore, Ground
from synthema.policy import Decision, access_request, compile_policies, decide, parse_policy
from synthema.vocabulary import load_vocabulary
from tests.unit.consent.conftest import Bring
from tests.unit.consent.support import RESEARCH

WORDS = load_vocabulary()
BASE = "https://hospital.example"
RECENT = """
policy: recent-list
title: Recent opt-outs
layer: {layer}
version: 1
permit:
  - id: recent
    action: process data
    when:
{when}
"""
UNION = """
policy: union
title: Consent
layer: union law
version: 1
law: GDPR 7(3)
forbid:
  - id: consent
    action: process data
    when:
      legal basis is: explicit consent
    unless:
      consent state is: valid
"""
BOTH = """      legal basis is: [explicit consent, research exception]
      opt-out list age at most: PT24H"""


def decision(consents: ConsentStore, clock: FixedClock) -> Decision:
    # The law pack itself has many other demands; here only somebody has to speak for the Union.
    policies = [parse_policy(UNION, WORDS, base=BASE)]
    for layer in ("site", "dataset", "agreement"):
        text = RECENT.format(layer=layer, when=BOTH).replace("recent-list", f"recent-list-{layer}")
        policies.append(parse_policy(text, WORDS, base=BASE))
    found = consents.exclusions("mgus", ["1", "2"], Ground(RESEARCH, None, clock.now()))
    asked = access_request(
        WORDS, id="request-1", action="analyse", target="urn:mgus", assignee="did:web:a.example", at=clock.now(),
        facts=consents.facts(found, clock.now()),
    )  # fmt: skip
    return decide(compile_policies(policies, WORDS), asked)


@pytest.mark.article("EHDS 71(3)")
def test_a_list_must_not_be_older_than_the_policy_says(bring: Bring, consents: ConsentStore, clock: FixedClock) -> None:
    header = "patient_key,state,date,legal_basis,opt_out_date"
    lines = ("1,ConsentGiven,2025-01-01,A9-2-a,", "2,ConsentUnknown,2025-01-01,A9-2-j,")
    assert not decision(consents, clock).permitted, "a list that was never brought has no age"
    bring(header, *lines)
    assert decision(consents, clock).permitted
    clock.advance(timedelta(hours=24))
    assert decision(consents, clock).permitted
    clock.advance(timedelta(seconds=1))
    late = decision(consents, clock)
    assert not late.permitted
    assert "opt-out list" in " ".join(late.sentences())
    bring(header, *lines)
    assert decision(consents, clock).permitted
