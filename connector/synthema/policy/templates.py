"""Templates a data protection officer starts from: text with ``${…}`` gaps, filled from named values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from synthema.errors import InputError, NotFoundError
from synthema.resources import bundled

_SAFE = re.compile(r"^[^\x00-\x1f]*$")
_PLAIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.:/_%()+-]*( [A-Za-z0-9.:/_%()+-]+)*$")


def template_names() -> tuple[str, ...]:
    """The names of the bundled templates."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def placeholders(name: str) -> tuple[str, ...]:
    """The gaps of a template, in the order of first use."""
    return tuple(dict.fromkeys(Template(_read(name)).get_identifiers()))


def render(name: str, values: Mapping[str, str | float]) -> str:
    """Fill a template.

    Every gap needs a value and every value a gap; values are text of one line, and
    cannot add lines or keys to the form. Raises :class:`InputError` naming what is
    missing, unknown or unfit, :class:`NotFoundError` for an unknown template.
    """
    text = _read(name)
    gaps = set(Template(text).get_identifiers())
    for problem, names in (("lacks a value for", gaps - set(values)), ("has no gap called", set(values) - gaps)):
        if names:
            raise InputError(
                f"the template '{name}' {problem}: {', '.join(sorted(names))}",
                fix=f"give exactly: {', '.join(sorted(gaps))}",
            )
    return Template(text).substitute({key: _quoted(key, value) for key, value in values.items()})


def _quoted(key: str, value: str | float) -> str:
    """A value that YAML reads back as the same one-line text."""
    text = str(value)
    if not text.strip() or not _SAFE.match(text):
        raise InputError(f"the value for '{key}' is empty or has several lines", fix="give one line of text")
    if _PLAIN.match(text) and not text.endswith(":") and ": " not in text:
        return text
    return "'" + text.replace("'", "''") + "'"


def _read(name: str) -> str:
    if name not in template_names():
        raise NotFoundError(f"there is no template '{name}'", fix=f"use one of: {', '.join(template_names())}")
    return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def _folder() -> Path:
    return bundled("policies") / "templates"
