"""Says which field of a value from outside is wrong, and what would mend it."""

from __future__ import annotations

import difflib

from pydantic import BaseModel, ValidationError

from synthema.errors import InputError


def input_error(error: ValidationError, where: str, model: type[BaseModel]) -> InputError:
    """The first thing to mend; a key nobody knows explains best why another one is missing."""
    problems = error.errors()
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    field = ".".join(str(part) for part in first["loc"])
    place = f"{where}: {field}" if field else where
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        nearest = difflib.get_close_matches(key, model.model_fields, n=1)
        fix = f"did you mean '{nearest[0]}'?" if nearest else f"remove '{key}'"
        return InputError(f"there is no field '{key[:60]}' here", where=place, fix=fix)
    message = first["msg"].removeprefix("Value error, ")
    return InputError(message, where=place, fix=f"correct '{field}'" if field else "correct the value")
