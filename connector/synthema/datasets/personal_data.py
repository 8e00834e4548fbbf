"""The names DPV has for kinds of personal data, as a record may use them."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache

from synthema.errors import InputError
from synthema.resources import bundled


@cache
def known_personal_data() -> frozenset[str]:
    """The local names of DPV's personal data module, e.g. ``Age``."""
    path = bundled("ontologies") / "personal-data" / "names.txt"
    lines = path.read_text(encoding="utf-8").splitlines()
    names = frozenset(name for line in lines if not line.startswith("#") for name in line.split())
    if not names:
        raise InputError("the list of kinds of personal data is empty", where=str(path), fix="reinstall synthema")
    return names


def require_personal_data(name: str) -> str:
    """A kind of personal data; raises :class:`ValueError` naming the nearest one."""
    known = known_personal_data()
    if name not in known:
        near = get_close_matches(name, known, 1, 0.0)[0]
        raise ValueError(f"'{name[:60]}' is no kind of personal data in DPV; perhaps '{near}'")
    return name
