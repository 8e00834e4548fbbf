"""Reads study plans that come from outside."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from synthema.assembly.problems import input_error
from synthema.canonical import canonical_json
from synthema.errors import InputError
from synthema.federation import StudyPlan


def read_plan(value: Any) -> StudyPlan:
    """The plan in an order or a question; raises :class:`InputError` naming the field that is wrong."""
    plan = value.get("plan") if isinstance(value, dict) else None
    text = canonical_json(plan)
    try:
        return StudyPlan.model_validate_json(text, strict=True)
    except ValidationError as error:
        # A codebook reads its rules before its types, which the strict mode of pydantic cannot follow.
        if any(problem["loc"][:1] != ("codebook",) for problem in error.errors()):
            raise input_error(error, "plan", StudyPlan) from error
    try:
        found = StudyPlan.model_validate_json(text)
    except ValidationError as error:
        raise input_error(error, "plan", StudyPlan) from error
    if canonical_json(found.model_dump(mode="json")) != text:  # as strict: nothing was read as another value
        raise InputError("the plan's codebook is not of the agreed form", where="plan: codebook", fix="send it whole")
    return found
