from __future__ import annotations

from typing import Any

import pytest

from synthema.certification import IntendedUse, allowed_uses
from synthema.certification.uses import require_allowed, use_sentences
from synthema.errors import DeniedError, InputError

DATASET = "http://127.0.0.1:8100/id/dataset/d"
REGISTRY = "did:web:registry.example"
POLICY = allowed_uses(DATASET, ["health research"], prohibited=["Art54Use"], forbidden_actions=["reidentify"])


def use(purpose: str = "health research", action: str = "ingest") -> IntendedUse:
    return IntendedUse(purpose=purpose, action=action, recipient=REGISTRY)


def test_a_permitted_use_is_allowed() -> None:
    require_allowed(POLICY, DATASET, use())


@pytest.mark.article("EHDS 53")
def test_a_narrower_purpose_is_allowed_and_a_wider_one_is_not() -> None:
    policy = allowed_uses(DATASET, ["Art53-1-e"])
    require_allowed(policy, DATASET, use("health research"))
    with pytest.raises(DeniedError, match="no permission"):
        require_allowed(policy, DATASET, use("Art53Purpose"))


@pytest.mark.article("EHDS 54")
@pytest.mark.parametrize("purpose", ["Art54-c", "dpv:Marketing", "health:InsuranceManagement"])
def test_prohibited_uses_are_refused(purpose: str) -> None:
    with pytest.raises(DeniedError, match="a prohibition covers it"):
        require_allowed(POLICY, DATASET, use(purpose))


@pytest.mark.article("EHDS 61")
def test_reidentification_is_refused_for_any_purpose() -> None:
    with pytest.raises(DeniedError, match="a prohibition covers it"):
        require_allowed(POLICY, DATASET, use(action="reidentify"))


def test_an_unknown_purpose_or_action_is_an_error() -> None:
    with pytest.raises(InputError):
        require_allowed(POLICY, DATASET, use("whatever"))
    with pytest.raises(InputError):
        require_allowed(POLICY, DATASET, use(action="whatever"))


def permission(**changes: Any) -> dict[str, Any]:
    return POLICY | {"permission": [POLICY["permission"][0] | changes]}


@pytest.mark.parametrize(
    "policy",
    [
        {},
        POLICY | {"obligation": []},
        POLICY | {"inheritFrom": "urn:x"},
        permission(duty=[{"action": "odrl:inform"}]),
        permission(target="http://127.0.0.1/another"),
        permission(target=None),
        permission(assignee="did:web:another.example"),
        permission(action=[]),
        permission(action="whatever"),
        permission(action=[{"rdf:value": "odrl:use", "refinement": []}]),
        permission(constraint=[{"leftOperand": "dateTime", "operator": "lt", "rightOperand": "2020-01-01"}]),
        permission(constraint=[{"leftOperand": "purpose", "operator": "isNoneOf", "rightOperand": ["x"]}]),
        permission(constraint=[{"or": []}]),
        permission(constraint=["purpose"]),
        {"permission": "all"},
    ],
)
def test_what_is_not_understood_permits_nothing(policy: dict[str, Any]) -> None:
    with pytest.raises(DeniedError):
        require_allowed(policy, DATASET, use())


@pytest.mark.parametrize(
    "rule",
    [
        "something",
        {},
        {"action": "whatever"},
        {"action": "odrl:use", "constraint": [{"leftOperand": "syn:disease", "operator": "eq", "rightOperand": "x"}]},
        {"action": "odrl:use", "constraint": [{"xone": []}]},
        {"action": "odrl:use", "constraint": {"leftOperand": "purpose", "operator": "isAnyOf", "rightOperand": ["?"]}},
    ],
)
def test_what_is_not_understood_prohibits_everything(rule: object) -> None:
    with pytest.raises(DeniedError, match="a prohibition covers it"):
        require_allowed(POLICY | {"prohibition": [rule]}, DATASET, use())


def test_a_prohibition_for_someone_or_something_else_does_not_apply() -> None:
    for rule in (
        {"action": "odrl:use", "assignee": "did:web:another.example"},
        {"action": "odrl:use", "target": "urn:another"},
    ):
        require_allowed(POLICY | {"prohibition": [rule]}, DATASET, use())


def test_compact_and_full_names_mean_the_same() -> None:
    policy = permission(
        action="use",
        constraint={
            "leftOperand": "purpose",
            "operator": "isA",
            "rightOperand": {"@id": "ehds:HealthcareScientificResearch"},
        },
    )
    require_allowed(policy, DATASET, use())


def test_a_policy_without_purposes_or_with_unknown_ones_cannot_be_made() -> None:
    with pytest.raises(InputError, match="no purpose"):
        allowed_uses(DATASET, [])
    with pytest.raises(InputError):
        allowed_uses(DATASET, ["whatever"])


def test_the_policy_reads_as_sentences() -> None:
    sentences = use_sentences(POLICY)
    assert sentences[0].startswith("Allowed: ")
    assert sum(sentence.startswith("Prohibited: ") for sentence in sentences) == 2
    assert all("http" not in sentence for sentence in sentences)
    assert use_sentences({"permission": ["x"], "prohibition": [{"constraint": [1]}]})[0].endswith("not understood.")
