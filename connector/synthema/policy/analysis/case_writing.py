"""Writes a request as a case, ready to paste into a file of cases."""

from __future__ import annotations

import re
from collections.abc import Mapping

from synthema.clock import to_text
from synthema.policy.analysis.cases import CaseFile
from synthema.policy.model import AccessRequest, Fact, Value
from synthema.policy.values import value_text
from synthema.vocabulary import Datatype, Operand, Vocabulary

_PLAIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 ._/%()+-]*$")
_READ_OTHERWISE = re.compile(r"^([-+.\d].*|true|false|yes|no|on|off|null|y|n)$", re.IGNORECASE)


def case_text(
    name: str, request: AccessRequest, expect: str, because: str | None, file: CaseFile, vocabulary: Vocabulary
) -> str:
    """One entry under ``cases``: what differs from the shared request, and what must come out."""
    lines = [f"  - name: {quoted(name)}"]
    mine = {
        "action": request.action,
        "target": request.target,
        "assignee": request.assignee,
        "at": to_text(request.at),
    }
    for key, value in mine.items():
        if file.fields.get(key) != value:
            told = vocabulary.actions.name(value) if key == "action" else value
            lines.append(f"    {key}: {quoted(told)}")
    changed = {o: f for o, f in request.facts.items() if not _same(file.shared.get(o), f)}
    gone = [operand for operand in file.shared if operand not in request.facts]
    if changed:
        lines.append(f"    facts: {{{', '.join(_fact(o, f, vocabulary) for o, f in sorted(changed.items()))}}}")
    if gone:
        lines.append(f"    without: [{', '.join(vocabulary.operands[o].name for o in gone)}]")
    if request.fulfilled:
        done = dict.fromkeys(vocabulary.duties.name(each.action) for each in request.fulfilled)
        lines.append(f"    done: [{', '.join(map(quoted, done))}]")
    if request.collections:
        lines.append(f"    collections: {{{_collections(request)}}}")
    lines.append(f"    expect: {expect}")
    if because:
        lines.append(f"    because: {quoted(because)}")
    return "\n".join(lines)


def _same(shared: Fact | None, fact: Fact) -> bool:
    return shared is not None and (shared.value, shared.unit) == (fact.value, fact.unit)


def _fact(iri: str, fact: Fact, vocabulary: Vocabulary) -> str:
    operand = vocabulary.operands[iri]
    return f"{operand.name}: {_value(fact.value, operand, vocabulary)}"


def _value(value: Value, operand: Operand, vocabulary: Vocabulary) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_value(item, operand, vocabulary) for item in value)}]"
    if operand.datatype is Datatype.TERM and isinstance(value, str):
        return quoted(vocabulary.terms_of(operand).name(value))
    text = value_text(value)
    return quoted(text) if isinstance(value, str) or operand.datatype is Datatype.DATE else text


def _collections(request: AccessRequest) -> str:
    keys: Mapping[str, str] = {request.target: "target", request.assignee: "assignee"}
    return ", ".join(
        f"{keys[who]}: [{', '.join(map(quoted, names))}]" for who, names in request.collections.items() if who in keys
    )


def quoted(text: str) -> str:
    """A text that YAML reads back as the same text."""
    if _PLAIN.match(text) and not _READ_OTHERWISE.match(text) and text == text.strip():
        return text
    return "'" + text.replace("'", "''") + "'"
