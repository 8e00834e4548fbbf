# ruff: noqa: INP001 - a script beside the page it writes
"""Writes ``settings.md``: every key of ``connector.toml`` as ``synthema.config`` defines it.

Run: ``python connector/docs/reference/make_settings.py``. A test keeps the page current.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from synthema.config import Settings

PAGE = Path(__file__).with_name("settings.md")
_HEAD = """# Settings

Made from `synthema.config` by `make_settings.py`; do not edit. The same list: `synthema doctor --settings`.

A connector reads `connector.toml` in its home. A variable `SYNTHEMA_<KEY>` in the environment overrides a key,
with two underscores for a dot: `SYNTHEMA_LIMITS__SECONDS=900`. An unknown key is an error. Secrets are never
settings: they are files below `secrets/`.

| key | meaning | values | if left out |
|---|---|---|---|
"""


def page() -> str:
    """The text of the page."""
    return _HEAD + "".join(
        f"| `{key}` | {meaning} | {values} | {default} |\n" for key, meaning, values, default in _rows(Settings, "")
    )


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str, str]]:
    for name, field in model.model_fields.items():
        if prefix + name == "home":
            continue  # the folder the file lies in, not a key of the file
        inner = [part for part in (field.annotation, *get_args(field.annotation)) if _is_model(part)]
        is_list = field.annotation not in inner
        if inner and is_list:
            yield f"[[{prefix}{name}]]", field.description or "", "one table each", "none"
        if inner:
            yield from _rows(inner[0], f"{prefix}{name}.")
        else:
            default = "must be given" if field.is_required() else f"`{field.default}`"
            yield prefix + name, field.description or "", _values(field.annotation), default


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _values(annotation: Any) -> str:
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    chosen = get_args(annotation)
    return ", ".join(f"`{value}`" for value in chosen) if chosen else words.get(annotation, str(annotation))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
