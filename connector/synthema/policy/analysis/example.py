"""A request in one line, to show what a class or a finding means."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synthema.policy import words
from synthema.policy.analysis.finding import Finding
from synthema.policy.analysis.witness import SOME_DATASET, SOME_PARTY
from synthema.policy.model import AccessRequest
from synthema.vocabulary import Datatype, Vocabulary, compact


def with_examples(findings: Iterable[Finding], vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Findings for machines, their witnesses also in one line."""
    return [
        one.record() | ({} if one.witness is None else {"example": example(one.witness, vocabulary)})
        for one in findings
    ]


def example(request: AccessRequest, vocabulary: Vocabulary) -> str:
    """A request in one line: "to synthesise, with purpose: health research; epsilon: 7"."""
    told = []
    for iri, fact in sorted(request.facts.items()):
        operand = vocabulary.operands[iri]
        if operand.datatype is Datatype.TERM:
            values = fact.value if isinstance(fact.value, tuple) else (str(fact.value),)
            said = " and ".join(vocabulary.terms_of(operand).name(value) for value in values)
        else:
            said = words.value_words(fact.value, operand, vocabulary)
        told.append(f"{operand.name}: {said}")
    told += [f"done: {vocabulary.label(done.action)}" for done in request.fulfilled]
    where = "" if request.target == SOME_DATASET else f" on {compact(request.target)}"
    who = "" if request.assignee == SOME_PARTY else f" by {request.assignee}"
    facts = f", with {'; '.join(told)}" if told else ", with nothing stated"
    return f"to {vocabulary.label(request.action)}{where}{who}{facts}"
