"""The base of our pydantic values: never changed once made, and without unknown fields."""

from __future__ import annotations

import difflib

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails


class Closed(BaseModel):
    """Base of values that are never changed and never hold unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def first_problem(error: ValidationError) -> ErrorDetails:
    """The first thing to mend; a key nobody knows explains best why another one is missing."""
    problems = error.errors()
    return next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])


def fix_for_unknown(key: str, model: type[BaseModel]) -> str:
    """What to do about a key that a model does not have: the nearest one it has, if any is near."""
    nearest = difflib.get_close_matches(key, model.model_fields, n=1)
    return f"did you mean '{nearest[0]}'?" if nearest else f"remove '{key}'"
