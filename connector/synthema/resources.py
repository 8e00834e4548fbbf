"""Finds the folders that travel with the software: policies, ontologies, legal.

In a wheel they lie under ``synthema/_bundled``; in a checkout they are the
top-level folders beside ``pyproject.toml``. A site's own files live in its
configuration, never inside the package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from synthema.errors import NotFoundError

Kind = Literal["policies", "ontologies", "legal"]


def bundled(kind: Kind) -> Path:
    """The folder of this kind; raises :class:`NotFoundError` in a broken installation."""
    package = Path(__file__).resolve().parent
    in_wheel = package / "_bundled" / kind
    if in_wheel.is_dir():
        return in_wheel
    for folder in package.parents:
        if (folder / "pyproject.toml").is_file() and (folder / kind).is_dir():
            return folder / kind
    raise NotFoundError(f"the folder '{kind}' is missing from this installation", fix="reinstall synthema")
