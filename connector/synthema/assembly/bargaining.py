"""How terms are answered that are not, word for word, the known ones: the policy engine compares what they allow.

Nobody's words are agreed to unread. A provider agrees to the offer of its own
catalogue and to nothing else, so other terms have three answers:

* they mean the same, or ask for less: the catalogue's own words are offered in reply;
* they allow anything that the catalogue's do not, or change a duty: a refusal, with every such case as its reason;
* they cannot be read as a policy, or not compared to the end: a refusal that says why.

A consumer that gets other terms than it asked for leaves them to a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthema.dataspace import Accept, Hold, OfferQuestion, Refuse, Verdict
from synthema.dataspace.policy_wire import RULE_KINDS, from_wire
from synthema.errors import SynthemaError
from synthema.policy import Comparison, Policy, compare, from_odrl
from synthema.policy.wellformed import check_policy
from synthema.vocabulary import Vocabulary

MOST_REASONS = 20
MOST_RULES = 100
_WAY_OUT = (
    "take the offer as the catalogue shows it, or ask the provider's data protection officer to publish another one"
)
_DUTIES = ("duties changed", "duty changed")
_TERMS = "urn:synthema:terms"
_OF_THE_PARTIES = frozenset({"assigner", "assignee", "target", "uid"})
_FORMALITIES = frozenset({"profile", "dct:title", "syn:version", "syn:lawReference", "syn:layer", "@type"})


def answer(question: OfferQuestion, vocabulary: Vocabulary) -> Verdict:
    """The answer to an offer. Same input, same answer: it may be asked again after a crash."""
    if question.same:
        return Accept()
    if question.reference is None:
        return Hold("the provider makes an offer that nobody here has asked for")
    if sum(len(question.offer.get(kind, ())) for kind in RULE_KINDS) > MOST_RULES:
        return _differing(question, (f"the terms have more than {MOST_RULES} rules, too many to be compared",))
    try:
        known, asked = (_read(question, terms, vocabulary) for terms in (question.reference, question.offer))
    except SynthemaError as error:
        where = f" (at {error.where})" if error.where else ""
        return _differing(question, (f"the terms cannot be read as a policy: {error.message}{where}; {error.fix}",))
    found = compare(known, asked, vocabulary)
    told = _beyond(found) if question.role == "provider" else tuple(found.sentences()) if found.differences else ()
    if not found.complete:
        told = (*told, f"the terms could not be compared to the end: {found.reason}")
    return _differing(question, told) if told else Accept()


def _beyond(found: Comparison) -> tuple[str, ...]:
    """What other terms allow that the catalogue's do not, and what they change about duties."""
    return tuple(each.sentence for each in found.differences if each.widens or each.kind in _DUTIES)


def _differing(question: OfferQuestion, told: tuple[str, ...]) -> Verdict:
    shown = (*told[:MOST_REASONS], f"and {len(told) - MOST_REASONS} more") if len(told) > MOST_REASONS else told
    if question.role == "consumer":
        return Hold(" ".join(("The provider's terms differ from those that were asked for.", *shown)))
    return Refuse(("the terms differ from the offer in the catalogue", *shown, _WAY_OUT))


def _read(question: OfferQuestion, terms: Mapping[str, Any], vocabulary: Vocabulary) -> Policy:
    """Terms as a policy between these two parties about this dataset; raises where they cannot be read as one.

    What says nothing about what is allowed (title, number of the version, names and order of rules) is that of the
    known terms.
    """
    known = from_wire(question.reference or {})
    said = {key: value for key, value in from_wire(terms).items() if key not in _OF_THE_PARTIES}
    formal = {key: value for key, value in known.items() if key in _FORMALITIES}
    rules = {kind: [dict(rule) for rule in said[kind]] for kind in RULE_KINDS if kind in said}
    names = [_name(rule, kind, number) for kind in rules for number, rule in enumerate(rules[kind])]
    odrl = {**said, **formal, **rules, "uid": _TERMS, "target": [question.dataset], "syn:ruleOrder": names}
    policy = from_odrl(odrl, vocabulary)
    check_policy(policy, vocabulary)
    return policy


def _name(rule: dict[str, Any], kind: str, number: int) -> str:
    """Give a rule a name of its own: what another connector calls it, if anything, need not be one."""
    rule["uid"] = f"{_TERMS}#{kind}-{number}"
    return str(rule["uid"])
