"""A finding: something about a policy that a data protection officer should look at before it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from synthema.policy.decision import request_record
from synthema.policy.form import Spot, read_form
from synthema.policy.model import AccessRequest, Policy
from synthema.policy.phrases import SECTIONS

Severity = Literal["error", "warning", "note"]

Code = Literal[
    "never-applies",
    "never-forbids",
    "never-arises",
    "vacuous",
    "idle-condition",
    "dead-case",
    "dead-exception",
    "redundant",
    "shadowed",
    "never-permits",
    "conflict",
    "part-forbidden",
    "unmatched",
    "overlapping-duties",
    "purpose-too-wide",
    "no-purpose",
    "deprecated-term",
    "no-law",
    "missing-law",
    "threshold-unconfirmed",
    "idle-confirmation",
    "undecided",
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something a data protection officer should look at. An error blocks activation until it is acknowledged.

    ``about`` tells findings of one kind on one rule apart; ``where`` is the file and line of the
    rule, if known; ``witness`` is a request that shows it, where one helps.
    """

    code: Code
    severity: Severity
    policy: str
    rule: str | None
    sentence: str
    fix: str
    about: str = ""
    where: str | None = None
    witness: AccessRequest | None = None

    @property
    def key(self) -> str:
        """Names the finding, so that a person can acknowledge exactly this one."""
        return " ".join(part for part in (self.code, self.rule or self.policy, self.about) if part)

    def record(self) -> dict[str, Any]:
        """The finding for machines."""
        return {
            "severity": self.severity,
            "code": self.code,
            "key": self.key,
            "policy": self.policy,
            "rule": self.rule,
            "sentence": self.sentence,
            "fix": self.fix,
            "where": self.where,
            "witness": None if self.witness is None else request_record(self.witness),
        }


def rule_places(text: str, file: str, policy: Policy) -> Mapping[str, str]:
    """Identifier of a rule (and of the policy) → file and line in the form it was read from."""
    places = {policy.id: f"{file}:1"}
    for _, section, value in read_form(text, file).entries("the policy"):
        if section not in SECTIONS or not value.is_list:
            continue
        for number, spot in enumerate(value.listed(section), start=1):
            name = _id_of(spot) or f"{section}-{number}"
            places[name if ":" in name else f"{policy.id}#{name}"] = spot.where
    return places


def _id_of(spot: Spot) -> str | None:
    if not spot.is_mapping:
        return None
    return next((value.text("id") for _, name, value in spot.entries("a rule") if name == "id"), None)


def placed(findings: tuple[Finding, ...], places: Mapping[str, str]) -> tuple[Finding, ...]:
    """The findings with file and line of the rules they are about."""
    return tuple(replace(one, where=places.get(one.rule or one.policy)) for one in findings)
