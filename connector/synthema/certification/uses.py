"""What a certificate allows: an ODRL policy of permissions and prohibitions over purposes.

Only the part of ODRL is read that is understood in full. Anything else in a
permission makes it worthless, anything else in a prohibition makes it apply.
Sources: ODRL Information Model 2.2; EHDS Art. 53, 54 and 61.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from synthema.certification.model import IntendedUse
from synthema.errors import DeniedError, InputError, SynthemaError
from synthema.policy.authoring import parse_policy
from synthema.policy.duo_codes import CODES
from synthema.policy.duo_match import codes_of
from synthema.vocabulary import Hierarchy, Vocabulary, compact, expand, load_vocabulary

ODRL_CONTEXT: Final = "http://www.w3.org/ns/odrl.jsonld"
PROFILE: Final = "https://w3id.org/synthema/ns#profile"
_ODRL: Final = "http://www.w3.org/ns/odrl/2/"
_PURPOSE: Final = _ODRL + "purpose"
DATA_USE: Final = "syn:dataUse"
_POLICY_KEYS: Final = {"@context", "@type", "@id", "uid", "profile", "permission", "prohibition", DATA_USE}
_RULE_KEYS: Final = {"target", "action", "constraint", "assignee"}
_OPERATORS: Final = {_ODRL + "isA", _ODRL + "isAnyOf", _ODRL + "eq"}


def allowed_uses(
    dataset: str, purposes: Sequence[str], *, prohibited: Sequence[str] = (), forbidden_actions: Sequence[str] = ()
) -> dict[str, Any]:
    """The ODRL policy that allows use of a dataset for purposes, and prohibits others.

    Names are terms of the pinned vocabulary (IRI, compact IRI or short name);
    raises :class:`InputError` on an unknown one. Use only for listed purposes
    is the rule: what no permission names is not allowed.
    """
    vocabulary = load_vocabulary()
    if not purposes:
        raise InputError("no purpose is allowed", fix="name at least one purpose")
    rules: dict[str, Any] = {
        "@context": ODRL_CONTEXT,
        "@type": "Set",
        "uid": f"{dataset}#uses",
        "profile": PROFILE,
        "permission": [_purpose_rule(vocabulary, dataset, purposes)],
        "prohibition": [],
    }
    if prohibited:
        rules["prohibition"].append(_purpose_rule(vocabulary, dataset, prohibited))
    rules["prohibition"] += [
        {"target": dataset, "action": vocabulary.actions.resolve(action)} for action in forbidden_actions
    ]
    return rules | {DATA_USE: list(duo_codes(rules))}


def duo_codes(policy: Mapping[str, Any]) -> tuple[str, ...]:
    """The codes of the Data Use Ontology that the rules of an allowed-uses policy keep, e.g. ``DUO:0000006``.

    Read off the rules by the policy room; a rule that is not understood keeps no code.
    """
    vocabulary = load_vocabulary()
    form: dict[str, Any] = {
        "policy": "urn:synthema:allowed-uses",
        "title": "Allowed uses",
        "layer": "agreement",
        "version": "1",
        "law": "EHDS 61",
        "targets": "urn:synthema:dataset",
        "permit": [_as_form(rule) for rule in _list(policy.get("permission", []))],
        "forbid": [_as_form(rule) for rule in _list(policy.get("prohibition", []))],
    }
    try:
        parsed = parse_policy(yaml.safe_dump({k: v for k, v in form.items() if v}), vocabulary, file="allowed uses")
    except SynthemaError:
        return ()
    kept = {match.code for match in codes_of(parsed, vocabulary) if match.holds == "yes"}
    return tuple(code.curie for code in CODES if code.code in kept)


def _as_form(rule: Any) -> dict[str, Any]:
    """A rule of :func:`allowed_uses` as an officer would write it; anything else becomes what nobody understands."""
    constraints = _list(rule.get("constraint", [])) if isinstance(rule, Mapping) else [None]
    purposes = [_names(each.get("rightOperand")) if isinstance(each, Mapping) else [] for each in constraints]
    if not isinstance(rule, Mapping) or set(rule) - _RULE_KEYS or any(not names for names in purposes):
        return {}
    actions = [str(name) for name in _names(rule.get("action"))]
    when = {"when": {"purpose is": purposes[0]}} if len(purposes) == 1 else {}
    return {"action": actions, **when} if len(purposes) <= 1 else {}


def _purpose_rule(vocabulary: Vocabulary, dataset: str, purposes: Sequence[str]) -> dict[str, Any]:
    resolved = [vocabulary.purposes.resolve(purpose) for purpose in purposes]
    constraint = {"leftOperand": _PURPOSE, "operator": _ODRL + "isAnyOf", "rightOperand": resolved}
    return {"target": dataset, "action": _ODRL + "use", "constraint": [constraint]}


def require_allowed(policy: Mapping[str, Any], dataset: str, use: IntendedUse) -> None:
    """Raise :class:`DeniedError` unless a permission covers the intended use and no prohibition does."""
    vocabulary = load_vocabulary()
    purpose = vocabulary.purposes.resolve(use.purpose)
    action = vocabulary.actions.resolve(use.action)
    unknown = sorted(set(policy) - _POLICY_KEYS)
    if unknown:
        raise _denied(f"the policy holds '{unknown[0]}', which is not understood")
    reader = _Reader(vocabulary, dataset, purpose, action, use.recipient)
    for rule in _list(policy.get("prohibition", [])):
        if reader.may_apply(rule):
            raise _denied(f"a prohibition covers it: {_sentence(vocabulary, rule)}")
    if not any(reader.surely_applies(rule) for rule in _list(policy.get("permission", []))):
        raise _denied(f"no permission covers the purpose '{vocabulary.purposes.label(purpose)}'")
    if DATA_USE in policy and policy[DATA_USE] != list(duo_codes(policy)):
        raise _denied("its codes of the Data Use Ontology are not those that its rules keep")


def require_understood(policy: Mapping[str, Any], dataset: str) -> None:
    """Raise :class:`InputError` unless all that the policy says of the dataset is understood, down to its DUO codes.

    Asked before terms of use are told in another language: what is half understood would be told wrongly.
    """
    vocabulary = load_vocabulary()
    reader = _Reader(vocabulary, dataset, "", "", "")
    unknown = sorted(set(policy) - _POLICY_KEYS)
    if unknown:
        raise _not_understood(f"the policy holds '{unknown[0]}'")
    if not _list(policy.get("permission", [])):
        raise _not_understood("the policy permits nothing")
    for kind in ("permission", "prohibition"):
        for rule in _list(policy.get(kind, [])):
            if not reader.understands(rule):
                raise _not_understood(f"a {kind} says: {_sentence(vocabulary, rule)}")
    if policy.get(DATA_USE, []) != list(duo_codes(policy)):
        raise _not_understood("its codes of the Data Use Ontology are not those that its rules keep")


class _Reader:
    """Holds one intended use against rules."""

    def __init__(self, vocabulary: Vocabulary, dataset: str, purpose: str, action: str, recipient: str) -> None:
        self._vocabulary = vocabulary
        self._dataset = dataset
        self._purpose = purpose
        self._action = action
        self._recipient = recipient

    def surely_applies(self, rule: Any) -> bool:
        """For permissions: understood in full, and all of it holds."""
        return (
            isinstance(rule, Mapping)
            and set(rule) <= _RULE_KEYS
            and rule.get("target") == self._dataset
            and rule.get("assignee", self._recipient) == self._recipient
            and any(self._is_a(self._vocabulary.actions, self._action, name) for name in _names(rule.get("action")))
            and all(self._holds(constraint) is True for constraint in _list(rule.get("constraint", [])))
        )

    def understands(self, rule: Any) -> bool:
        """Whether nothing in a rule is left open: its keys, its target, its actions, each of its constraints."""
        if not isinstance(rule, Mapping) or not set(rule) <= _RULE_KEYS or rule.get("target") != self._dataset:
            return False
        actions = _names(rule.get("action"))
        known = bool(actions) and all(self._vocabulary.actions.find(name) is not None for name in actions)
        return known and all(self._holds(constraint) is not None for constraint in _list(rule.get("constraint", [])))

    def may_apply(self, rule: Any) -> bool:
        """For prohibitions: unless something in it surely does not hold."""
        if not isinstance(rule, Mapping):
            return True
        actions = _names(rule.get("action"))
        target = rule.get("target", self._dataset)
        assignee = rule.get("assignee", self._recipient)
        known = all(self._vocabulary.actions.find(name) is not None for name in actions)
        elsewhere = isinstance(target, str) and target != self._dataset
        for_another = isinstance(assignee, str) and assignee != self._recipient
        other_action = (
            known
            and bool(actions)
            and not any(self._is_a(self._vocabulary.actions, self._action, name) for name in actions)
        )
        other_purpose = any(self._holds(constraint) is False for constraint in _list(rule.get("constraint", [])))
        return not (elsewhere or for_another or other_action or other_purpose)

    def _holds(self, constraint: Any) -> bool | None:
        """Whether a constraint on the purpose holds; ``None`` when it is not understood."""
        if not isinstance(constraint, Mapping) or set(constraint) != {"leftOperand", "operator", "rightOperand"}:
            return None
        if _term(constraint["leftOperand"]) != _PURPOSE or _term(constraint["operator"]) not in _OPERATORS:
            return None
        names = _names(constraint["rightOperand"])
        purposes = self._vocabulary.purposes
        if not names or any(purposes.find(name) is None for name in names):
            return None
        if _term(constraint["operator"]) == _ODRL + "eq":
            return [purposes.find(name) for name in names] == [self._purpose]
        return any(self._is_a(purposes, self._purpose, name) for name in names)

    @staticmethod
    def _is_a(hierarchy: Hierarchy, term: str, name: str) -> bool:
        found = hierarchy.find(name)
        return found is not None and hierarchy.is_a(term, found)


def use_sentences(policy: Mapping[str, Any]) -> tuple[str, ...]:
    """The policy in words: what is allowed first, then what is prohibited."""
    vocabulary = load_vocabulary()
    rules = tuple(
        f"{word}: {_sentence(vocabulary, rule)}."
        for key, word in (("permission", "Allowed"), ("prohibition", "Prohibited"))
        for rule in _list(policy.get(key, []))
    )
    known = {code.curie: f"{code.code} ({code.curie}): {code.sentence}" for code in CODES}
    coded = [known.get(str(curie), str(curie)) for curie in policy.get(DATA_USE, [])]
    return rules + tuple(f"In the codes of the Data Use Ontology: {sentence}" for sentence in coded)


def _sentence(vocabulary: Vocabulary, rule: Any) -> str:
    if not isinstance(rule, Mapping):
        return "something that is not understood"
    actions = " or ".join(_labels(vocabulary, _names(rule.get("action")))) or "any action"
    conditions = [_condition(vocabulary, constraint) for constraint in _list(rule.get("constraint", []))]
    return " and ".join([actions, *conditions]) if len(conditions) > 1 else " ".join([actions, *conditions])


def _condition(vocabulary: Vocabulary, constraint: Any) -> str:
    if isinstance(constraint, Mapping) and _term(constraint.get("leftOperand")) == _PURPOSE:
        return "for " + " or ".join(_labels(vocabulary, _names(constraint.get("rightOperand"))))
    return "under a condition that is not understood"


def _labels(vocabulary: Vocabulary, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield vocabulary.label(_term(name) or name) or compact(name)


def _term(value: Any) -> str | None:
    """A term of ODRL or of ours as IRI; a bare word is one of ODRL's own context."""
    names = _names(value)
    if len(names) != 1:
        return None
    name = expand(names[0])
    return name if ":" in name else _ODRL + name


def _names(value: Any) -> list[str]:
    names = [item.get("@id") if isinstance(item, Mapping) else item for item in _list(value)]
    return [name for name in names if isinstance(name, str)] if all(isinstance(n, str) for n in names) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _denied(reason: str) -> DeniedError:
    return DeniedError(
        f"the intended use is not allowed: {reason}", fix="name a purpose the certificate allows, or ask the issuer"
    )


def _not_understood(reason: str) -> InputError:
    return InputError(
        f"the terms of use are not understood in full: {reason}", fix="ask the issuer for terms in the Synthema profile"
    )
