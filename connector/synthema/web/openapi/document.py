"""Descriptions of single operations, and the document that is made of them.

Handlers read bodies by themselves (``web.security``), so the framework cannot
know what they take; it is said here. A test compares what is said with the
routes of the running applications: no route is left out, none is invented.

Source: OpenAPI Specification 3.1.1; JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from synthema.dataspace.messages import CONTEXT

Schema = Mapping[str, Any]
JSON: Final = "application/json"
_REFERENCES: Final = "#/components/schemas/{model}"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: what it means, in which form, and which headers come with it. ``media_type`` None: no body."""

    meaning: str
    schema: Schema | type[BaseModel] | None = None
    media_type: str | None = JSON
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the path, the query or a header."""

    name: str
    place: Literal["path", "query", "header"] = "path"
    schema: Schema = field(default_factory=lambda: {"type": "string", "minLength": 1})
    required: bool = True


@dataclass(frozen=True, slots=True)
class Described:
    """One operation: a method at a path, what it takes and how it answers.

    ``body`` is the schema of the request's body (None: it takes none); ``open``
    operations ask for no token; ``roles`` are the connectors that serve it (empty: all).
    """

    method: str
    path: str
    summary: str
    answers: Mapping[int, Answer]
    body: Schema | type[BaseModel] | None = None
    media_type: str = JSON
    parameters: tuple[Parameter, ...] = ()
    open: bool = False
    roles: frozenset[str] = frozenset()

    @property
    def key(self) -> tuple[str, str]:
        """Method and path, which no two operations share."""
        return self.method, self.path


def document(title: str, url: str, operations: Iterable[Described], token: str) -> dict[str, Any]:
    """The OpenAPI document of these operations at an address; ``token`` says what the bearer token is."""
    chosen = tuple(operations)
    models = sorted({model for each in chosen for model in _models_of(each)}, key=lambda model: model.__qualname__)
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REFERENCES, schema_generator=_Plain
    )
    writer = _Writer({model: references[model, "validation"] for model in models})
    paths: dict[str, dict[str, Any]] = {}
    for each in chosen:
        paths.setdefault(each.path, {})[each.method.lower()] = writer.operation(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "servers": [{"url": url}],
        "paths": paths,
        "components": {
            "schemas": {name: _adapted(schema) for name, schema in definitions.get("$defs", {}).items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": token}},
        },
    }


class _Plain(GenerateJsonSchema):
    """Says defaults only where they have a JSON form."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as in the base


class _Writer:
    """Writes single operations; bodies that are models become references to them."""

    def __init__(self, references: Mapping[type[BaseModel], Schema]) -> None:
        self._references = references

    def operation(self, described: Described) -> dict[str, Any]:
        name = f"{described.method}{described.path}".replace("/", "_").replace("{", "").replace("}", "")
        value: dict[str, Any] = {
            "operationId": name.lower(),
            "summary": described.summary,
            "parameters": [_parameter(each) for each in described.parameters],
            "responses": {str(status): self._answer(answer) for status, answer in described.answers.items()},
            "security": [] if described.open else [{"token": []}],
        }
        if described.body is not None:
            content = {described.media_type: {"schema": self._schema(described.body)}}
            value["requestBody"] = {"required": True, "content": content}
        return value

    def _answer(self, answer: Answer) -> dict[str, Any]:
        value: dict[str, Any] = {"description": answer.meaning}
        if answer.media_type is not None:
            schema = {} if answer.schema is None else {"schema": self._schema(answer.schema)}
            value["content"] = {answer.media_type: schema}
        if answer.headers:
            value["headers"] = {name: {"schema": {"type": "string"}} for name in answer.headers}
        return value

    def _schema(self, schema: Schema | type[BaseModel]) -> Schema:
        return self._references[schema] if isinstance(schema, type) else schema


def _models_of(described: Described) -> set[type[BaseModel]]:
    found = (described.body, *(answer.schema for answer in described.answers.values()))
    return {each for each in found if isinstance(each, type)}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "schema": dict(parameter.schema),
    }


def _adapted(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a model as it is checked: a message of the protocol must name its context and its type."""
    properties = schema.get("properties", {})
    if not {"@context", "@type"} <= properties.keys():
        return schema
    context = properties["@context"] | {"contains": {"const": CONTEXT}}
    required = dict.fromkeys(["@context", "@type", *schema.get("required", ())])
    return schema | {"properties": properties | {"@context": context}, "required": list(required)}
