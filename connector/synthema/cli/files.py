"""The files a person names on the command line: read strictly, never overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from synthema.errors import ConflictError, InputError


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; raises :class:`InputError` where there is none to read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"the file cannot be read: {error.strerror}", where=str(path), fix="give the path of a file you may read"
        ) from error


def read_text(path: Path) -> str:
    """The text of a UTF-8 file; raises :class:`InputError`."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("the file is not UTF-8 text", where=str(path), fix="save it as UTF-8") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises :class:`InputError` naming the line."""
    import yaml

    try:
        value = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise InputError(
            f"not valid YAML: {getattr(error, 'problem', error)}", where=f"{path}{line}", fix="mend that line"
        ) from error
    if not isinstance(value, dict):
        raise InputError("the file holds no fields", where=str(path), fix="write it as lines of 'field: value'")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, read strictly; raises :class:`InputError`."""
    from synthema.canonical import parse_json_strictly

    try:
        value = parse_json_strictly(read_bytes(path))
    except InputError as error:
        error.where = str(path)
        raise
    if not isinstance(value, dict):
        raise InputError("the file holds no JSON object", where=str(path), fix="give the file as it was written")
    return value


def write_new(path: Path, content: bytes) -> None:
    """Write a new file; raises :class:`ConflictError` rather than overwrite, :class:`InputError` where it cannot."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise ConflictError("this file exists already", where=str(path), fix="choose another name") from error
    except OSError as error:
        raise InputError(
            f"the file cannot be written: {error.strerror}", where=str(path), fix="choose a folder you may write to"
        ) from error


def codebook_text(given: str, beside: Path | None = None) -> str:
    """A codebook for an operation: a file's text, or the name of a bundled dictionary as it is.

    A path is relative to the folder ``beside``. Raises :class:`InputError` when neither is there.
    """
    path = (beside or Path()) / given
    if path.is_file():
        return read_text(path)
    from synthema.datasets.codebook import dictionary

    if Path(given).suffix:
        raise InputError("no such codebook", where=str(path), fix="give a codebook's path or a dictionary's name")
    dictionary(given)
    return given
