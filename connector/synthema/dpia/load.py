"""Reads an assessment from YAML and writes it back; every fault is named by file, line, field and fix."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from synthema.dpia.model import Dpia
from synthema.errors import InputError
from synthema.values import first_problem

Location = tuple[str | int, ...]
_LARGEST_FILE = 1024 * 1024
_EXAMPLE = "legal/dpia/synthetic-data.yaml shows the form"
SCHEMA_LINE = "# yaml-language-server: $schema=https://w3id.org/synthema/dpia.schema.json\n"


def load_dpia(path: Path) -> Dpia:
    """Read and check an assessment; raises :class:`InputError` naming file, line and field."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the assessment cannot be read: {error.strerror}", where=str(path), fix="give the path of a YAML file"
        ) from error
    return read_dpia(data, str(path))


def read_dpia(data: bytes, source: str) -> Dpia:
    """Read and check an assessment from YAML bytes; ``source`` names them in errors."""
    if len(data) > _LARGEST_FILE:
        raise InputError("the assessment is larger than 1 MiB", where=source, fix="keep annexes in files of their own")
    value, lines = _parse(data, source)
    try:
        return Dpia.model_validate(value)
    except ValidationError as error:
        raise _field_error(error, source, lines) from error


def dump_yaml(dpia: Dpia) -> str:
    """An assessment as YAML; reading it again gives the same assessment. What is left at its default is left out."""
    value = dpia.model_dump(mode="json", exclude_defaults=True)
    return SCHEMA_LINE + yaml_text(value)


def yaml_text(value: Any) -> str:
    """A JSON value as YAML that people can read: in its own order, long texts folded."""
    text: str = yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=110)
    return text


class _Writer(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and never refers back to something written before."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_text(writer: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    block = "\n" in text and not any(line != line.rstrip() for line in text.split("\n"))
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style="|" if block else None)


_Writer.add_representer(str, _write_text)


def _parse(data: bytes, source: str) -> tuple[dict[str, Any], dict[Location, int]]:
    """The mapping in a YAML file, and through the node marks the line of each field."""
    try:
        text = data.decode("utf-8-sig")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Location, int] = {}
        if root is not None:
            _note_lines(root, (), lines, source)
        value: Any = yaml.safe_load(text)
    except UnicodeDecodeError as error:
        raise InputError("the assessment is not UTF-8 text", where=source, fix="save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = source if mark is None else f"{source}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise InputError(f"not valid YAML: {problem}", where=where, fix="mend this line") from error
    except RecursionError as error:
        raise InputError(
            "the assessment is nested too deeply", where=source, fix="write it like the example"
        ) from error
    except ValueError as error:  # a date such as 2026-02-30
        raise InputError(f"a value cannot be read: {error}", where=source, fix="correct the date") from error
    if not isinstance(value, dict):
        raise InputError(
            "an assessment is a mapping of fields", where=source, fix="start from legal/dpia/synthetic-data.yaml"
        )
    return value, lines


def _field_error(error: ValidationError, source: str, lines: dict[Location, int]) -> InputError:
    """The first thing to mend, with its line and the nearest valid name."""
    first = first_problem(error)
    place = (*first["loc"], *first.get("ctx", {}).get("place", ()))
    field = ".".join(str(part) for part in place) or "assessment"
    message = first["msg"].removeprefix("Value error, ")
    fix = _nearest(first, place) or f"correct '{field}'; {_EXAMPLE}"
    if first["type"] == "extra_forbidden":
        message = f"there is no field '{place[-1]}' here"
    elif first["type"] == "missing":
        message = "this field is missing"
        fix = f"add '{place[-1]}'; {_EXAMPLE}"
    return InputError(f"{field}: {message}", where=f"{source}:{_line(place, lines)}", fix=fix)


def _nearest(problem: ErrorDetails, place: Location) -> str:
    """The nearest field name or allowed word, if one is near."""
    if problem["type"] == "extra_forbidden":
        names = list(_model_at(place[:-1]).model_fields)
        found = difflib.get_close_matches(str(place[-1]), names, n=1)
        return f"did you mean '{found[0]}'?" if found else f"remove '{place[-1]}'; there is: {', '.join(names)}"
    if problem["type"] in ("literal_error", "enum"):
        words = [word.strip().strip("'") for word in str(problem["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        found = difflib.get_close_matches(str(problem["input"]), words, n=1, cutoff=0.4)
        return f"did you mean '{found[0]}'?" if found else f"use one of: {', '.join(words)}"
    if "did you mean" in problem["msg"]:
        return problem["msg"][problem["msg"].index("did you mean") :]
    return ""


def _model_at(place: Location) -> type[BaseModel]:
    """The model of the mapping at a place of the document."""
    model: type[BaseModel] = Dpia
    for part in place:
        if isinstance(part, str) and part in model.model_fields:
            model = _inner(model.model_fields[part].annotation) or model
    return model


def _inner(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _inner(argument))), None)


def _note_lines(node: yaml.Node, place: Location, lines: dict[Location, int], source: str) -> None:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, item in node.value:
            name = str(key.value)
            if name in seen:
                raise InputError(
                    f"'{name}' is given twice",
                    where=f"{source}:{key.start_mark.line + 1}",
                    fix="keep one of the two",
                )
            seen.add(name)
            _note_lines(item, (*place, name), lines, source)
            lines[(*place, name)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*place, index), lines, source)


def _line(place: Location, lines: dict[Location, int]) -> int:
    """The line of a field, or of the nearest thing around it that the file has."""
    while place not in lines and place:
        place = place[:-1]
    return lines.get(place, 1)
