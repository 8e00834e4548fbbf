"""Where in the space a request lies: the cell of each dimension."""

from __future__ import annotations

from typing import Any

from synthema.policy.analysis.build import DutyKey, Judge, duty_keys
from synthema.policy.analysis.dimensions import Cell, Dimension
from synthema.policy.analysis.space import Space
from synthema.policy.assess import DATE_TIME
from synthema.policy.model import AccessRequest, Fact
from synthema.policy.values import fits


def locate(space: Space, request: AccessRequest) -> tuple[int, ...] | None:
    """The number of the cell in each dimension; ``None`` for an unknown act. What cannot be read is not stated."""
    if request.action not in space.vocabulary.actions:
        return None
    facts = {**request.facts, **space.standing, DATE_TIME: Fact(request.at)}
    duties = {str(key): key for key in duty_keys(space.rules)}
    names = {"target": request.target, "assignee": request.assignee}
    found: list[int] = []
    for dimension in space.dimensions:
        if dimension.kind == "action":
            number = _number(dimension, lambda cell: cell.value == request.action)
        elif dimension.kind == "name":
            name = names[dimension.key]
            number = _of_names(dimension, (name, *request.collections.get(name, ())))
        elif dimension.kind == "duty":
            number = int(_done(space, duties[dimension.key], request))
        elif dimension.kind == "relation":
            number = _of_relation(space, dimension, facts)
        else:
            number = _of_fact(dimension, facts.get(dimension.key))
        found.append(number)
    return tuple(found)


def _number(dimension: Dimension, wanted: Any) -> int:
    return next(number for number, cell in enumerate(dimension.cells) if wanted(cell))


def _of_names(dimension: Dimension, names: tuple[str, ...]) -> int:
    told = dimension.judge(names)
    return _number(
        dimension, lambda cell: dimension.judge(cell.value if isinstance(cell.value, tuple) else (cell.value,)) == told
    )


def _of_fact(dimension: Dimension, fact: Fact | None) -> int:
    operand = dimension.operand
    if fact is None or operand is None:
        return _number(dimension, lambda cell: cell.missing)
    if dimension.kind == "set":
        return _of_set(dimension, fact)
    if not fits(fact.value, operand.datatype) or fact.unit not in (None, operand.unit):
        return _number(dimension, lambda cell: cell.missing)
    if dimension.kind == "boolean":
        return _number(dimension, lambda cell: cell.value is fact.value)
    return _number(dimension, lambda cell: cell.interval is not None and cell.interval.holds(fact.value))


def _of_set(dimension: Dimension, fact: Fact) -> int:
    judge: Judge = dimension.judge
    told = judge.of_fact(fact)
    several = isinstance(fact.value, tuple) and len(fact.value) > 1

    def same(cell: Cell) -> bool:
        if judge.of_fact(cell.fact) != told:
            return False
        return not dimension.tells_single or several is (cell.most is not None)

    return _number(dimension, same)


def _of_relation(space: Space, dimension: Dimension, facts: dict[str, Fact]) -> int:
    values: list[Any] = []
    for iri in dimension.key.split():
        fact, operand = facts.get(iri), space.vocabulary.operands[iri]
        if fact is None or not fits(fact.value, operand.datatype) or fact.unit not in (None, operand.unit):
            return 0
        values.append(fact.value)
    return 1 if values[0] < values[1] else 2 if values[0] == values[1] else 3


def _done(space: Space, key: DutyKey, request: AccessRequest) -> bool:
    return any(
        done.state == "fulfilled"
        and done.rule is None
        and space.vocabulary.duties.is_a(done.action, key.action)
        and done.at <= request.at
        and (not key.shown or bool(done.evidence and done.evidence.strip()))
        for done in request.fulfilled
    )
