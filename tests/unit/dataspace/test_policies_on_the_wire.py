"""Policies of the policy room through a whole contract: what was offered is what both sides hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from synthema.canonical import canonical_json, parse_json_strictly
from synthema.dataspace import policy_text
from synthema.dataspace.policy_wire import from_wire, to_wire
from synthema.policy import Layer, parse_policy, to_odrl
from synthema.policy.odrl import from_odrl
from synthema.policy.templates import placeholders, render, template_names
from synthema.vocabulary import load_vocabulary

DATASET = "http://hospital.example/id/dataset/dataset-aml"
CONSUMER = "did:web:hub.example"
PROVIDER = "did:web:hospital.example"
VALUES = {
    "dataset": DATASET,
    "title": "Terms",
    "purpose": "health research",
    "provider": PROVIDER,
    "starts": "2026-01-01T00:00:00Z",
    "ends": "2028-01-01T00:00:00Z",
}


@pytest.mark.parametrize("name", ["synthetic-data-offer", "synthetic-data-offer as dataset policy"])
def test_an_agreement_is_read_back_as_the_policy_that_was_offered(name: str) -> None:
    template = name.partition(" ")[0]
    assert template in template_names()
    vocabulary = load_vocabulary()
    policy = parse_policy(render(template, {gap: VALUES[gap] for gap in placeholders(template)}), vocabulary)
    if name != template:
        policy = replace(policy, layer=Layer.DATASET)

    text = policy_text.agreement(
        "http://hospital.example/id/agreement/agreement-1",
        DATASET,
        PROVIDER,
        CONSUMER,
        "2026-11-21T10:00:00Z",
        to_wire(to_odrl(policy), DATASET),
    )
    received = policy_text.checked_agreement(parse_json_strictly(canonical_json(text)))
    read = from_odrl(from_wire(received), vocabulary)

    assert read.layer is Layer.AGREEMENT
    assert (read.assigner, read.assignees, read.targets) == (PROVIDER, (CONSUMER,), (DATASET,))
    assert read.rules == policy.rules
    assert (read.title, read.law, read.version) == (policy.title, policy.law, policy.version)
    assert (read.effective_from, read.effective_to) == (policy.effective_from, policy.effective_to)
