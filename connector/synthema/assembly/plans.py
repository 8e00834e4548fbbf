"""Reads study plans that come from outside."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from synthema.assembly.problems import input_error
from synthema.canonical import canonical_json
from synthema.federation import StudyPlan


def read_plan(value: Any) -> StudyPlan:
    """The plan in an invitation or order; raises :class:`InputError` naming the field that is wrong."""
    plan = value.get("plan") if isinstance(value, dict) else None
    try:
        return StudyPlan.model_validate_json(canonical_json(plan), strict=True)
    except ValidationError as error:
        raise input_error(error, "plan", StudyPlan) from error
