"""Operations on DUO codes: a dataset policy from codes, and the codes that a policy keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from synthema.assembly.operations.registry import Input, operation
from synthema.policy import access_request, explain_policy, parse_policy
from synthema.policy.analysis import facts_of
from synthema.policy.duo import DuoHead, policy_from_duo
from synthema.policy.duo_codes import parse_codes
from synthema.policy.duo_match import codes_of, fits

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector


class FromDuo(Input):
    """Codes of the Data Use Ontology, with their values, and what the policy is to be called."""

    codes: list[str] = Field(min_length=1, description="e.g. HMB, NPU, DS=ORPHA:519")
    name: str
    title: str
    dataset: str
    version: str = "1"
    no_ai_training: bool = False


@operation("policy/from-duo")
def from_duo(connector: Connector, given: FromDuo) -> dict[str, Any]:
    """Make a dataset policy from DUO codes: the form to read, change and draft, and what it says in sentences."""
    head = DuoHead(given.name, given.title, given.dataset, given.version)
    chosen = parse_codes(given.codes)
    text = policy_from_duo(chosen, head, connector.vocabulary, no_ai_training=given.no_ai_training)
    policy = parse_policy(text, connector.vocabulary, file="DUO codes", base=connector.settings.public_url)
    return {"policy": text, "sentences": list(explain_policy(policy, connector.vocabulary))}


class ToDuo(Input):
    """A policy in the data protection officer's form."""

    text: str
    file: str = "policy.yaml"


@operation("policy/to-duo")
def to_duo(connector: Connector, given: ToDuo) -> list[dict[str, str]]:
    """Say of each DUO code whether a policy keeps it: everywhere, in part, or not."""
    policy = parse_policy(given.text, connector.vocabulary, file=given.file, base=connector.settings.public_url)
    return [match.as_dict() for match in codes_of(policy, connector.vocabulary)]


class MatchDuo(Input):
    """Codes of a dataset, and what is known of a request."""

    codes: list[str] = Field(min_length=1)
    facts: dict[str, str] = Field(default_factory=dict, description="operand → value, as a policy case writes them")
    action: str = "analyse"
    party: str = Field(description="did of who asks")


@operation("policy/match-duo")
def match_duo(connector: Connector, given: MatchDuo) -> list[dict[str, object]]:
    """Say of each DUO code of a dataset whether a request fits it; what is not known stays open."""
    request = access_request(
        connector.vocabulary,
        id="application",
        action=given.action,
        target="urn:dataset:asked-for",
        assignee=given.party,
        at=connector.clock.now(),
        facts=facts_of(given.facts, connector.vocabulary),
    )
    return [fit.as_dict() for fit in fits(parse_codes(given.codes), request, connector.vocabulary)]
