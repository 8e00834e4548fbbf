"""Builds an :class:`AccessRequest` from short names, for rooms that do not want to spell out IRIs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from synthema.errors import InputError
from synthema.policy.model import AccessRequest, Fact, Fulfilment, Value
from synthema.vocabulary import Datatype, Operand, Vocabulary, expand


def access_request(
    vocabulary: Vocabulary,
    *,
    id: str,  # noqa: A002 - the name the field has
    action: str,
    target: str,
    assignee: str,
    at: datetime,
    facts: Mapping[str, Fact | Value],
    fulfilled: tuple[Fulfilment, ...] = (),
    collections: Mapping[str, tuple[str, ...]] | None = None,
) -> AccessRequest:
    """A request with names resolved: operands, the action and terms may be short names, compact or full IRIs.

    A term that is not known stays as it is and will deny, with a reason; an operand
    that is not known raises :class:`InputError`, since it is a mistake of the caller.
    """
    resolved: dict[str, Fact] = {}
    for name, given in facts.items():
        operand = vocabulary.operand(name)
        if operand.iri in resolved:
            raise InputError(f"the fact '{operand.name}' is given twice", fix="give it once")
        fact = given if isinstance(given, Fact) else Fact(given)
        resolved[operand.iri] = replace(fact, value=_term(fact.value, operand, vocabulary))
    return AccessRequest(
        id=id,
        action=vocabulary.actions.find(action) or expand(action),
        target=target,
        assignee=assignee,
        at=at,
        facts=resolved,
        fulfilled=fulfilled,
        collections=collections or {},
    )


def _term(value: Value, operand: Operand, vocabulary: Vocabulary) -> Value:
    if operand.datatype is not Datatype.TERM:
        return value
    scheme = vocabulary.terms_of(operand)
    if isinstance(value, tuple):
        return tuple(scheme.find(item) or expand(item) for item in value)
    return scheme.find(value) or expand(value) if isinstance(value, str) else value
