"""DUO codes as rules of our language; the way back is in :mod:`synthema.policy.duo_match`.

The shape of each rule follows the published mapping of DUO to ODRL (besteves4/duo-odrl-dpv, CC BY 4.0; SWJ 2024) where
that fits our profile. DUO has no code against re-identification and none on training AI: both are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

from synthema.errors import InputError
from synthema.policy.authoring import parse_policy
from synthema.policy.duo_codes import Chosen
from synthema.policy.wellformed import is_iri
from synthema.vocabulary import Hierarchy, Vocabulary
from synthema.vocabulary.namespaces import DPV, EHDS, SYN

RESEARCH = DPV + "ResearchAndDevelopment"
HEALTH_RESEARCH = EHDS + "HealthcareScientificResearch"
ORIGINS = SYN + "PopulationOriginsResearch"
METHODS = SYN + "MethodsDevelopment"
TRAINING = EHDS + "TrainTestAndEvaluateHealthAlgorithms"
COMMERCIAL = DPV + "CommercialPurpose"
GENETIC = SYN + "GeneticStudy"

_PURPOSES = {"GRU": RESEARCH, "HMB": HEALTH_RESEARCH, "DS": HEALTH_RESEARCH, "POA": ORIGINS}
_WIDER = {"HMB": {"GRU"}, "DS": {"GRU", "HMB"}, "POA": {"GRU"}}
"""Permission → the permissions it lies inside."""
_PERMITTED = ("process data", "certify")


@dataclass(frozen=True, slots=True)
class DuoHead:
    """What a policy made from codes is called and what it rests on."""

    name: str
    title: str
    dataset: str
    version: str = "1"
    law: tuple[str, ...] = ("GDPR 9(2)(a)", "GDPR 5(1)(b)")


def contradictions(chosen: Sequence[Chosen], vocabulary: Vocabulary) -> tuple[str, ...]:
    """Why codes cannot stand together, in sentences; empty when they can."""
    codes = {item.code.code: item for item in chosen}
    permissions = [item.code.code for item in chosen if item.code.kind == "permission"]
    found: list[str] = []
    if not permissions:
        found.append("No permission is among the codes: modifiers only narrow one. Add NRES, GRU, HMB, DS or POA.")
    if "NRES" in codes and len(codes) > 1:
        others = ", ".join(code for code in codes if code != "NRES")
        found.append(f"NRES says that any use is allowed; {others} says that it is not.")
    elif permissions and _narrowest(permissions) is None:
        found.append(f"{' and '.join(permissions)} have nothing in common: each allows only what the other leaves out.")
    found += _against_each_other(codes)
    if not found:
        found += _outside_the_permission(codes, permissions, vocabulary)
    return tuple(found)


def _narrowest(permissions: Sequence[str]) -> str | None:
    """The permission that lies inside all the others, if they are nested."""
    for code in permissions:
        if set(permissions) - {code} <= _WIDER.get(code, set()):
            return code
    return None


def _against_each_other(codes: dict[str, Chosen]) -> list[str]:
    found: list[str] = []
    if {"POA", "NPOA"} <= set(codes):
        found.append("POA allows only research on the origins of populations, and NPOA forbids it.")
    if {"POA", "GSO"} <= set(codes):
        found.append("POA and GSO name two kinds of research; write the policy by hand to allow what is both.")
    if {"POA", "CC"} <= set(codes):
        found.append("POA allows research on origins only; CC allows clinical care.")
    return found


def _outside_the_permission(codes: dict[str, Chosen], permissions: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    if "RS" not in codes:
        return []
    wanted = vocabulary.purposes.resolve(codes["RS"].value)
    found: list[str] = []
    allowed = _PURPOSES.get(_narrowest(permissions) or "")
    label = vocabulary.purposes.label(wanted)
    if allowed is not None and not vocabulary.purposes.is_a(wanted, allowed):
        found.append(f"RS limits use to {label}, which lies outside what {_narrowest(permissions)} allows.")
    if "NMDS" in codes and any(vocabulary.purposes.is_a(wanted, purpose) for purpose in (METHODS, TRAINING)):
        found.append(f"RS limits use to {label}, and NMDS forbids it.")
    if {"NCU", "NPUNCU"} & set(codes) and vocabulary.purposes.is_a(wanted, COMMERCIAL):
        found.append(f"RS limits use to {label}, which is commercial; NCU and NPUNCU forbid it.")
    if "NPOA" in codes and vocabulary.purposes.is_a(wanted, ORIGINS):
        found.append(f"RS limits use to {label}, and NPOA forbids it.")
    return found


def policy_from_duo(
    chosen: Sequence[Chosen], head: DuoHead, vocabulary: Vocabulary, *, no_ai_training: bool = False
) -> str:
    """A dataset policy (L3) in the authoring form that says what the codes say, ready to be read, changed and signed.

    Re-identification is always forbidden; ``no_ai_training`` forbids the training of algorithms, too. Raises
    :class:`InputError` with every contradiction, or naming the value that is not understood.
    """
    if problems := contradictions(chosen, vocabulary):
        raise InputError(
            f"these codes contradict one another: {' '.join(problems)}", fix="leave out the codes that were not meant"
        )
    maker = _Maker({item.code.code: item for item in chosen}, vocabulary)
    form: dict[str, Any] = {
        "policy": head.name,
        "title": head.title,
        "layer": "dataset",
        "version": head.version,
        "law": list(head.law),
        "targets": head.dataset,
        **({"assignees": maker.institutions()} if "IS" in maker.codes else {}),
        "permit": maker.permissions(),
        "forbid": maker.prohibitions(no_ai_training=no_ai_training),
    }
    text = _opening(chosen, no_ai_training=no_ai_training) + yaml.safe_dump(
        form, sort_keys=False, allow_unicode=True, width=110
    )
    parse_policy(text, vocabulary, file="DUO codes")
    return text


def _opening(chosen: Sequence[Chosen], *, no_ai_training: bool) -> str:
    lines = ["# Dataset policy (L3), made from codes of the Data Use Ontology (DUO). Read it, change it, sign it.", "#"]
    lines += [f"#   {item} ({item.code.curie}): {item.code.sentence}" for item in chosen]
    permissions = [item.code.code for item in chosen if item.code.kind == "permission"]
    if len(permissions) > 1:
        lines.append(f"#   Of the permissions, the narrowest counts: {_narrowest(permissions)}.")
    lines.append("#   Ours, since DUO has no code for it: nobody may try to identify the persons.")
    if no_ai_training:
        lines.append("#   Ours, since DUO has no code for it: no algorithm may be trained on the data.")
    return "\n".join(lines) + "\n"


def rules_of_code(item: Chosen, vocabulary: Vocabulary) -> dict[str, Any]:
    """The rules of one code alone, as parts of a form; what other codes would narrow is left open."""
    maker = _Maker({item.code.code: item}, vocabulary)
    parties = {"assignees": maker.institutions()} if item.code.code == "IS" else {}
    return {**parties, "permit": maker.permissions(), "forbid": maker.prohibitions(no_ai_training=False)}


@dataclass(frozen=True, slots=True)
class _Maker:
    """Turns codes that fit together into the parts of a form."""

    codes: dict[str, Chosen]
    vocabulary: Vocabulary

    def permissions(self) -> list[dict[str, Any]]:
        rule: dict[str, Any] = {"id": "use", "action": list(_PERMITTED)}
        lines = self._conditions()
        if lines:
            names = [next(iter(line)) for line in lines]
            joined = {name: value for line in lines for name, value in line.items()}
            rule["when"] = joined if len(set(names)) == len(names) else {"all of": lines}
        if duties := self._duties():
            rule["duties"] = duties
        found = [rule]
        if "CC" in self.codes:
            found.append({"id": "clinical-care", "action": list(_PERMITTED), "when": {"purpose is": "clinical care"}})
        return found

    def _conditions(self) -> list[dict[str, Any]]:
        return [*self._purposes(), *self._limits(), *self._evidence()]

    def _purposes(self) -> list[dict[str, Any]]:
        scheme = self.vocabulary.purposes
        narrowest = _narrowest([code for code, item in self.codes.items() if item.code.kind == "permission"])
        allowed = _PURPOSES.get(narrowest or "")
        lines: list[dict[str, Any]] = []
        if "GSO" in self.codes:
            lines.append({"purpose is": scheme.name(GENETIC)})
        elif allowed is not None and "RS" not in self.codes:
            lines.append({"purpose is": scheme.name(allowed)})
        if "RS" in self.codes:
            lines.append({"purpose is": scheme.name(scheme.resolve(self.codes["RS"].value))})
        return lines

    def _limits(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        if "DS" in self.codes:
            lines.append({"disease is": self._several("DS", self.vocabulary.diseases)})
        if "GS" in self.codes:
            lines += [
                {name: self._several("GS", self.vocabulary.places)} for name in ("place is", "recipient place is")
            ]
        if "TS" in self.codes:
            lines.append({"elapsed time at most": f"P{self._months() * 365 // 12}D"})
        return lines

    def _evidence(self) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = []
        if "US" in self.codes:
            lines.append({"authorised person is any of": self._identifiers("US")})
        if "PS" in self.codes:
            lines.append({"project is any of": list(self.codes["PS"].values)})
        if "IRB" in self.codes:
            lines.append({"ethics approval is": "true"})
        if {"NPU", "NPUNCU"} & set(self.codes):
            lines.append({"not for profit is": "true"})
        return lines

    def _duties(self) -> list[dict[str, Any]]:
        duties: list[dict[str, Any]] = []
        if "COL" in self.codes:
            duties.append({"do": "collaborate", "shown by": "agreement to work together"})
        if "PUB" in self.codes:
            duties.append({"do": "publish results", "when": "after", "within": "P548D", "counted from": "completion"})
        if "RTN" in self.codes:
            duties.append({"do": "return data", "when": "after"})
        if "MOR" in self.codes:
            duties.append({"do": "moratorium", "when": "after"})
        return duties

    def prohibitions(self, *, no_ai_training: bool) -> list[dict[str, Any]]:
        names = self.vocabulary.purposes.name
        rules: list[dict[str, Any]] = []

        def forbid(identifier: str, sentence: str, *purposes: str) -> None:
            when = {"purpose is": [names(purpose) for purpose in purposes] if len(purposes) > 1 else names(purposes[0])}
            rules.append({"id": identifier, "action": "process data", "sentence": sentence, "when": when})

        if {"NCU", "NPUNCU"} & set(self.codes):
            forbid("no-commercial-use", "Commercial use is not allowed", COMMERCIAL)
        if "NPOA" in self.codes:
            forbid("no-origins", "Research on the origins or ancestry of populations is not allowed", ORIGINS)
        if "NMDS" in self.codes:
            forbid("no-methods", "Development of general methods or algorithms is not allowed", METHODS, TRAINING)
        if "MOR" in self.codes:
            day = self._day()
            sentence = f"Results are not handed on before {day}"
            rules.append(
                {"id": "moratorium", "action": "distribute", "sentence": sentence, "when": {"time before": day}}
            )
        if no_ai_training:
            rules.append(
                {"id": "no-training", "action": "train model", "sentence": "No model may be trained on the data"}
            )
            if "NMDS" not in self.codes:
                forbid("no-training-purpose", "The training of algorithms is not allowed", TRAINING)
        rules.append(
            {
                "id": "no-reidentification",
                "action": "reidentify",
                "law": "EHDS 61(3)",
                "sentence": "Nobody may try to identify the persons in the data",
            }
        )
        return rules

    def institutions(self) -> list[str]:
        return self._identifiers("IS")

    def _identifiers(self, code: str) -> list[str]:
        values = list(self.codes[code].values)
        for value in values:
            if not is_iri(value):
                raise InputError(
                    f"{code}: '{value[:60]}' is not a full identifier", fix=f"give {self.codes[code].code.needs}"
                )
        return values

    def _several(self, code: str, terms: Hierarchy) -> Any:
        found = [terms.name(terms.resolve(value)) for value in self.codes[code].values]
        return found[0] if len(found) == 1 else found

    def _months(self) -> int:
        text = self.codes["TS"].value
        if not text.isdigit() or not 0 < int(text) <= 1200:
            raise InputError(f"TS: '{text[:20]}' is not a number of months", fix="write e.g. TS=24")
        return int(text)

    def _day(self) -> str:
        text = self.codes["MOR"].value
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError as error:
            raise InputError(f"MOR: '{text[:20]}' is not a date", fix="write e.g. MOR=2028-01-01") from error
