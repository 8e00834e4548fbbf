"""The same questions asked of z3, an outside solver, where the algebra meets a limit. Extra ``[analysis]``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, Final

from synthema.policy.analysis.build import TIME, duty_keys
from synthema.policy.analysis.dimensions import STARTING_AT
from synthema.policy.analysis.formulas import Formulas
from synthema.policy.analysis.order import from_number
from synthema.policy.analysis.witness import SOME_DATASET, SOME_PARTY
from synthema.policy.model import AccessRequest, Fact, Fulfilment
from synthema.vocabulary import Datatype, Operand

SECONDS: Final = 5


class Undecided(Exception):  # noqa: N818 - an answer, not a mistake
    """The solver did not find an answer in its time."""


def available() -> bool:
    """Whether the extra ``[analysis]`` is installed."""
    return importlib.util.find_spec("z3") is not None


class Solver(Formulas):
    """Finds requests for formulas, or shows that there are none."""

    seconds: int = SECONDS

    def find(self, truth: Any) -> AccessRequest | None:
        """A request for which something is so, ``None`` where there is none; raises :class:`Undecided`."""
        z3 = self._z3
        solver = z3.Solver()
        solver.set("timeout", self.seconds * 1000)
        solver.add(truth, *self._domain.values(), *self._implied())
        outcome = solver.check()
        if outcome == z3.unsat:
            return None
        if outcome != z3.sat:
            raise Undecided(f"z3 found no answer in {self.seconds} seconds")
        return self._request(solver.model())

    def _implied(self) -> Iterable[Any]:
        is_a = self._vocabulary.duties.is_a
        keys = duty_keys(self._rules)
        for one in keys:
            for other in keys:
                if is_a(one.action, other.action) and (one.shown or not other.shown):
                    yield self._z3.Implies(self._z3.Bool(str(one)), self._z3.Bool(str(other)))

    def _request(self, model: Any) -> AccessRequest:
        z3 = self._z3

        def so(formula: Any) -> bool:
            return bool(z3.is_true(model.eval(formula, model_completion=True)))

        at = STARTING_AT
        if model[self._at] is not None:
            at = from_number(Fraction(model[self._at].as_long()), Datatype.DATE)
        facts: dict[str, Fact] = {}
        for iri, operand in self._vocabulary.operands.items():
            value = self._fact(operand, model, so)
            if value is not None and iri not in self._standing and iri != TIME:
                facts[iri] = Fact(value)
        target, in_target = self._named("target", SOME_DATASET, so)
        party, in_party = self._named("assignee", SOME_PARTY, so)
        done = [key for key in duty_keys(self._rules) if so(z3.Bool(str(key)))]
        act = model.eval(self._act, model_completion=True).as_long()
        return AccessRequest(
            id="witness",
            action=self._actions[act],
            target=target,
            assignee=party,
            at=at,
            facts=facts,
            fulfilled=tuple(Fulfilment(key.action, at, party, "urn:evidence" if key.shown else None) for key in done),
            collections={**in_target, **in_party},
        )

    def _fact(self, operand: Operand, model: Any, so: Callable[[Any], bool]) -> Any:
        z3 = self._z3
        if operand.iri in self._sets:
            held = tuple(item for item, formula in self._sets[operand.iri].items() if so(formula))
            many = so(z3.Bool(f"several {operand.iri}"))
            return None if not held else held[0] if len(held) == 1 and not many else held if len(held) > 1 else held * 2
        if model[z3.Bool(f"known {operand.iri}")] is None or not so(self._known(operand.iri)):
            return None
        found = model.eval(self._value(operand), model_completion=True)
        if operand.datatype is Datatype.BOOLEAN:
            return bool(z3.is_true(found))
        exact = (
            (found.numerator_as_long(), found.denominator_as_long())
            if z3.is_rational_value(found)
            else (found.as_long(), 1)
        )
        number = Fraction(*exact)
        return from_number(number, operand.datatype)

    def _named(self, key: str, other: str, so: Callable[[Any], bool]) -> tuple[str, dict[str, tuple[str, ...]]]:
        names = tuple(name for name in sorted(self._names[key]) if so(self._z3.Bool(f"{key} is {name}")))
        if len(names) < 2:
            return (names[0] if names else other), {}
        return other, {other: names}
