"""Reads an assessment from YAML; every fault is named by file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from synthema.dpia.model import Dpia
from synthema.errors import InputError

Location = tuple[str | int, ...]
_LARGEST_FILE = 1024 * 1024


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
    try:
        text = data.decode("utf-8-sig")
        # One parse gives the values and, through the node marks, the line of each field.
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
    if not isinstance(value, dict):
        raise InputError(
            "an assessment is a mapping of fields", where=source, fix="start from legal/dpia/synthetic-data.yaml"
        )
    try:
        return Dpia.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        place = tuple(first["loc"])
        field = ".".join(str(part) for part in place) or "assessment"
        raise InputError(
            f"{field}: {first['msg']}",
            where=f"{source}:{_line(place, lines)}",
            fix=f"correct '{field}'; legal/dpia/synthetic-data.yaml shows the form",
        ) from error


def _note_lines(node: yaml.Node, place: Location, lines: dict[Location, int], source: str) -> None:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, item in node.value:
            if key.value in seen:
                raise InputError(
                    f"'{key.value}' is given twice",
                    where=f"{source}:{key.start_mark.line + 1}",
                    fix="keep one of the two",
                )
            seen.add(key.value)
            _note_lines(item, (*place, key.value), lines, source)
            lines[(*place, key.value)] = key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_lines(item, (*place, index), lines, source)


def _line(place: Location, lines: dict[Location, int]) -> int:
    """The line of a field, or of the nearest thing around it that the file has."""
    while place not in lines and place:
        place = place[:-1]
    return lines.get(place, 1)
