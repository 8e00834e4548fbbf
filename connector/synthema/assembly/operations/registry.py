"""Management operations: typed functions that the management interface serves and the command line calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from synthema.assembly.problems import input_error
from synthema.errors import InputError, NotFoundError
from synthema.values import Closed

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

InputT = TypeVar("InputT", bound=BaseModel)


class Input(Closed):
    """Base of what an operation is given: unknown fields are refused."""


class Nothing(Input):
    """For operations that need nothing."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a person of the house may ask of the connector."""

    name: str  # noun/verb
    summary: str
    input: type[BaseModel]
    run: Callable[[Connector, Any], Any]

    def call(self, connector: Connector, value: Any) -> Any:
        """Check the input and run; raises :class:`InputError` naming the field that is wrong.

        Nothing is coerced: a number in quotes is a text, and ``1`` is no yes.
        """
        try:
            # JSON's own strictness: dates and choices are texts there, tuples are lists.
            checked = self.input.model_validate_json(to_json(value), strict=True)
        except ValidationError as error:
            raise input_error(error, self.name, self.input) from error
        return self.run(connector, checked)


OPERATIONS: dict[str, Operation] = {}


def operation(
    name: str,
) -> Callable[[Callable[[Connector, InputT], Any]], Callable[[Connector, InputT], Any]]:
    """Register a function ``(connector, input) → JSON value`` under ``noun/verb``; its docstring is the summary."""

    def register(function: Callable[[Connector, InputT], Any]) -> Callable[[Connector, InputT], Any]:
        model = get_type_hints(function, localns={"Connector": object})["given"]
        summary = (function.__doc__ or "").strip().splitlines()[0]
        OPERATIONS[name] = Operation(name, summary, model, function)
        return function

    return register


def find_operation(name: str) -> Operation:
    """The operation of this name; raises :class:`NotFoundError`."""
    try:
        return OPERATIONS[name]
    except KeyError:
        raise NotFoundError(
            f"there is no operation '{name}'", fix="see the management interface's description"
        ) from None


def hexadecimal(text: str, field: str) -> bytes:
    """The bytes of a field; raises :class:`InputError` naming it."""
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise InputError(f"{field} is not hexadecimal", fix="give the bytes as hexadecimal digits") from error
