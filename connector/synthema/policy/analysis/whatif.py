"""What would be if: the decision on a request, each single fact that would turn it, and the same under a draft."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from synthema.policy import words
from synthema.policy.analysis.build import TIME
from synthema.policy.analysis.diagram import TooLarge
from synthema.policy.analysis.difference import space_of
from synthema.policy.analysis.dimensions import Cell, Dimension, ordered
from synthema.policy.analysis.wording import clause
from synthema.policy.assess import assess
from synthema.policy.compile import CompiledPolicies, compile_policies
from synthema.policy.decide import decide
from synthema.policy.decision import Decision
from synthema.policy.model import AccessRequest, Fact, OperandReference, Policy
from synthema.policy.values import fits
from synthema.vocabulary import ChangedBy


@dataclass(frozen=True, slots=True)
class Turn:
    """One fact that alone would turn the decision, with all its values that do."""

    operand: str
    effect: str
    sentence: str
    by: str

    def record(self) -> dict[str, Any]:
        """The turn for machines."""
        return {"operand": self.operand, "effect": self.effect, "sentence": self.sentence, "by": self.by}


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The decision on a request, what would turn it, and the decision under a draft."""

    decision: Decision
    turns: tuple[Turn, ...]
    complete: bool
    draft: Decision | None = None

    @property
    def changed(self) -> bool:
        """Whether the draft decides otherwise."""
        return self.draft is not None and self.draft.effect != self.decision.effect

    def record(self) -> dict[str, Any]:
        """The answer for machines."""
        return {
            "effect": self.decision.effect,
            "sentences": list(self.decision.sentences()),
            "decision": self.decision.as_dict(),
            "turns": [turn.record() for turn in self.turns],
            "complete": self.complete,
            "draft": None
            if self.draft is None
            else {
                "effect": self.draft.effect,
                "changed": self.changed,
                "sentences": list(self.draft.sentences()),
                "decision": self.draft.as_dict(),
            },
        }


def what_if(compiled: CompiledPolicies, request: AccessRequest, draft: Policy | None = None) -> WhatIf:
    """Decide a request, look at every value of every single fact that rules name, and decide under a draft."""
    decision = decide(compiled, request)
    try:
        turns, complete = tuple(_turns(compiled, request, permitted=decision.permitted)), True
    except TooLarge:
        turns, complete = (), False
    other = None if draft is None else decide(with_draft(compiled, draft), request)
    return WhatIf(decision, turns, complete, other)


def with_draft(compiled: CompiledPolicies, draft: Policy) -> CompiledPolicies:
    """The policies with a draft in place of the version of it that counts, if there is one; it counts at any time."""
    beside = [policy for policy in compiled.policies if policy.id != draft.id]
    always = replace(draft, effective_from=None, effective_to=None)
    return compile_policies([*beside, always], compiled.vocabulary, standing=compiled.standing)


def _turns(compiled: CompiledPolicies, request: AccessRequest, *, permitted: bool) -> Iterator[Turn]:
    for dimension in space_of(compiled).dimensions:
        if dimension.operand is None or dimension.key in compiled.standing:
            continue
        finer = _finer(dimension, compiled, request)
        mask = 0
        for number, cell in enumerate(finer.cells):
            if cell.value is not None and isinstance(cell.value, tuple):
                continue  # several values at once are no single change
            changed = _changed(request, finer.key, cell)
            if assess(compiled, changed).permitted is not permitted:
                mask |= 1 << number
        if mask:
            effect = "deny" if permitted else "permit"
            told = clause(finer, mask, compiled.vocabulary)
            sentence = words.sentence(f"it would be {'denied' if permitted else 'permitted'} if {told}")
            by = dimension.operand.changed_by
            yield Turn(finer.key, effect, sentence, "time" if finer.key == TIME else str(ChangedBy(by)))


def _finer(dimension: Dimension, compiled: CompiledPolicies, request: AccessRequest) -> Dimension:
    """The dimension cut also at the facts of the request that rules compare this operand with."""
    operand = dimension.operand
    if dimension.kind != "ordered" or operand is None:
        return replace(dimension, cells=tuple(replace(cell, most=None) for cell in dimension.cells), tells_single=False)
    bounds = [one for cell in dimension.cells if cell.interval for one in (cell.interval.low, cell.interval.high)]
    for iri in _compared_with(operand.iri, compiled):
        fact = request.facts.get(iri)
        if fact is not None and fits(fact.value, operand.datatype):
            bounds.append(fact.value)
    known = [bound for bound in bounds if bound is not None]
    return ordered(operand, known, always_known=operand.iri == TIME)


def _compared_with(operand: str, compiled: CompiledPolicies) -> set[str]:
    found: set[str] = set()
    for rule in compiled.rules:
        for tree in (rule.when, rule.unless, *rule.refinements.values()):
            for leaf in () if tree is None else tree.leaves():
                constraint = leaf.constraint
                if constraint is not None and isinstance(constraint.right, OperandReference):
                    pair = {constraint.left, constraint.right.operand}
                    found |= pair - {operand} if operand in pair else set()
    return found


def _changed(request: AccessRequest, operand: str, cell: Cell) -> AccessRequest:
    facts = {iri: fact for iri, fact in request.facts.items() if iri != operand}
    if operand == TIME and isinstance(cell.value, datetime):
        return replace(request, facts=facts, at=cell.value)
    if cell.value is not None:
        facts[operand] = Fact(cell.value, "supposed")
    return replace(request, facts=facts)
