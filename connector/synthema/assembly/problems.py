"""Says which field of a value from outside is wrong, and what would mend it."""

from __future__ import annotations

from pydantic import BaseModel, ValidationError

from synthema.errors import InputError
from synthema.values import first_problem, fix_for_unknown


def input_error(error: ValidationError, where: str, model: type[BaseModel]) -> InputError:
    """The first thing to mend, as an error that names its field."""
    first = first_problem(error)
    field = ".".join(str(part) for part in first["loc"])
    place = f"{where}: {field}" if field else where
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        return InputError(f"there is no field '{key[:60]}' here", where=place, fix=fix_for_unknown(key, model))
    message = first["msg"].removeprefix("Value error, ")
    return InputError(message, where=place, fix=f"correct '{field}'" if field else "correct the value")
