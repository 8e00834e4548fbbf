"""Drafts of codebooks from schemas that others have: the public SYNTHEMA JSON schema, and flat JSON Schema.

The SYNTHEMA style (``synthema-project``, MIT) groups variables and says of each a list that begins with its type::

    {"disease": "AML", "data": {"clinical": {"ID": ["string"], "HB": ["float", 2, 22]}, "mutations": {"NPM1": ["int"]}}}

Such a schema rarely says what a codebook must: bounds, categories, roles. What a bundled dictionary knows under the
same name is taken from there; what nobody says is left **open** and named, never read from data and never guessed.
A draft with open points is not yet a codebook.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from synthema.datasets.codebook import Codebook, Variable, read_codebook
from synthema.errors import InputError

TYPES = {
    "int": "integer",
    "integer": "integer",
    "float": "decimal",
    "number": "decimal",
    "double": "decimal",
    "string": "text",
    "str": "text",
    "category": "category",
    "bool": "flag",
    "boolean": "flag",
}
FLAGS = ("0", "1")
_GENETIC = re.compile(r"mutation|karyotyp|cytogen|genetic|gene", re.IGNORECASE)
_IDENTIFIER = re.compile(r"(patient|subject|pseudonym)?[ _-]*(id|key|code)?", re.IGNORECASE)
_STATUS = re.compile(r"(^|[ _])status([ _]|$)", re.IGNORECASE)
_TIME = re.compile(r"(^|[ _])(time|survival)([ _]|$)", re.IGNORECASE)
_NAME = re.compile(r"[^A-Za-z0-9_]+")
SHOWN = 12


@dataclass(slots=True)
class Draft:
    """A codebook under way: what is known, what was assumed, what is open, and what cannot be taken over."""

    document: dict[str, Any]
    assumed: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    open_points: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def codebook(self) -> Codebook:
        """The codebook; raises :class:`InputError` naming what is still open."""
        if self.open_points:
            more = len(self.open_points) - SHOWN
            said = "; ".join(self.open_points[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
            raise InputError(
                f"the schema leaves {len(self.open_points)} points open that a codebook must say: {said}",
                fix="write the draft to a file, fill in what its head names, and use that file as the codebook",
            )
        return read_codebook(yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True), "draft")

    def _flags_said(self) -> list[str]:
        lines = [self.flags[start : start + SHOWN] for start in range(0, len(self.flags), SHOWN)]
        return [f"yes or no, written 1 and 0: {', '.join(line)}" for line in lines]

    def text(self) -> str:
        """The draft as YAML for a person to complete; what to do stands in comments at its head."""
        head = [
            "# Draft of a codebook, made from a schema. Bounds and categories are yours to say: never from the data."
        ]
        for title, points in (
            ("Open: fill these in, or take the variable out", self.open_points),
            ("Assumed: confirm or correct", [*self.assumed, *self._flags_said()]),
            ("Left out", self.left_out),
        ):
            if points:
                head += ["#", f"# {title}:", *(f"#   {point}" for point in points)]
        body = yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True, width=120)
        return "\n".join(head) + "\n" + body


def import_schema(
    value: Any, *, name: str, title: str, disease: str, known: Codebook | None = None, where: str = "schema"
) -> Draft:
    """A draft from a SYNTHEMA schema or a flat JSON Schema; ``known`` is a dictionary that lends what it knows.

    Raises :class:`InputError` where the value is neither.
    """
    draft = Draft({"id": name, "version": "1", "title": title, "disease": disease, "patient_key": ""})
    variables: list[dict[str, Any]] = []
    lent = _lent(known)
    for group, heading, said in _entries(value, where):
        found = _variable(group, heading, said, draft, lent, {v["name"] for v in variables})
        if found is None:
            continue
        variables.append(found)
        if found.get("role") == "identifier" and not draft.document["patient_key"]:
            draft.document["patient_key"] = found["name"]
    if not draft.document["patient_key"]:
        draft.open_points.append("patient_key: no variable is an identifier; say which one names the patient")
    draft.document["variables"] = variables
    if any(variable.get("role") == "time" for variable in variables):
        draft.assumed.append("outcomes: none yet; name each time, its event and the event's value to have any")
    return draft


def _entries(value: Any, where: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Group, heading, and what is said, of every variable in either style."""
    if isinstance(value, dict) and isinstance(value.get("data"), dict):
        for group, members in value["data"].items():
            if not isinstance(members, dict):
                raise _neither(where)
            for heading, listed in members.items():
                yield group, heading, _of_list(listed, heading, where)
    elif isinstance(value, dict) and isinstance(value.get("properties"), dict):
        for heading, property_ in value["properties"].items():
            if not isinstance(property_, dict):
                raise _neither(where)
            yield "", heading, _of_property(property_, needed=heading in (value.get("required") or ()))
    else:
        raise _neither(where)


def _neither(where: str) -> InputError:
    return InputError(
        "this is neither a SYNTHEMA schema nor a flat JSON Schema",
        where=where,
        fix='give {"data": {group: {variable: [type, …]}}}, or a JSON Schema with "properties"',
    )


def _of_list(listed: Any, heading: str, where: str) -> dict[str, Any]:
    """``["float", 2, 22, "g/dL"]``: the type, then bounds of a number with its unit, or the values of a category."""
    if not isinstance(listed, list) or not listed or listed[0] not in TYPES:
        raise InputError(
            f"the variable '{heading[:40]}' does not begin with a type",
            where=where,
            fix=f"begin its list with one of: {', '.join(TYPES)}",
        )
    kind, rest = TYPES[listed[0]], listed[1:]
    numbers = [x for x in rest if isinstance(x, int | float) and not isinstance(x, bool)]
    texts = [x for x in rest if isinstance(x, str)]
    said: dict[str, Any] = {"type": kind}
    if kind in ("integer", "decimal"):
        if len(numbers) == 2:
            said |= {"minimum": min(numbers), "maximum": max(numbers)}
        if texts:
            said["unit"] = texts[0]
    elif rest:
        said |= {"type": "category", "categories": [f"{x:g}" if isinstance(x, float) else str(x) for x in rest]}
    return said


def _of_property(given: dict[str, Any], *, needed: bool) -> dict[str, Any]:
    kinds = given.get("type")
    listed = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind != "null"]
    said: dict[str, Any] = {"type": TYPES.get(str(listed[0]) if listed else "string", "text")}
    if isinstance(given.get("enum"), list):
        said |= {"type": "category", "categories": [str(x) for x in given["enum"] if x is not None]}
    for ours, theirs in (("minimum", "minimum"), ("maximum", "maximum"), ("unit", "unit"), ("unit", "x-unit")):
        if given.get(theirs) is not None:
            said[ours] = given[theirs]
    for key in ("role", "code", "missing"):
        if given.get(key) is not None:
            said[key] = given[key]
    label = given.get("title") or given.get("description")
    return said | ({"label": str(label)} if label else {}) | ({"may_be_missing": False} if needed else {})


def _lent(known: Codebook | None) -> dict[str, Variable]:
    if known is None:
        return {}
    return {_plain(text): v for v in known.variables for text in (v.name, v.heading or v.name, v.label)}


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _name(heading: str, taken: set[str]) -> str:
    name = _NAME.sub("_", heading).strip("_") or "variable"
    name = name if name[0].isalpha() else f"v_{name}"
    found, number = name, 2
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found


def _variable(
    group: str, heading: str, said: dict[str, Any], draft: Draft, lent: dict[str, Variable], taken: set[str]
) -> dict[str, Any] | None:
    name = _name(heading, taken)
    found: dict[str, Any] = {"name": name, "label": said.pop("label", heading.strip())}
    found |= {"heading": heading} if name != heading else {}
    known = lent.get(_plain(heading))
    if known is not None and _agrees(said, known):
        draft.assumed.append(f"{name}: as '{known.name}' of the dictionary (type, unit, bounds, role, code)")
        return (
            known.model_dump(mode="json", exclude={"name", "derivation", "heading"}) | found | _said_more(said, known)
        )
    kind = said.pop("type")
    if kind == "text" and _identifies(heading):
        return found | {"type": "text", "role": "identifier", "may_be_missing": False}
    if kind == "text" and "categories" not in said:
        draft.left_out.append(f"{heading}: free text; describe it as a category with its values to take it in")
        return None
    if kind == "flag" or (kind == "integer" and "minimum" not in said and _is_flag(group, heading)):
        draft.flags.append(name)
        role = {"role": "event"} if _STATUS.search(heading) else {"role": "sensitive"}
        return found | {"type": "category", "categories": list(FLAGS)} | role | said
    _say_what_is_open(kind, name, said, draft)
    timed = kind != "category" and _TIME.search(heading) is not None
    return found | {"type": kind} | ({"role": "time"} if timed else {}) | said


def _said_more(said: dict[str, Any], known: Variable) -> dict[str, Any]:
    """What the schema itself says beyond its type goes before what the dictionary knows."""
    more = {key: value for key, value in said.items() if key != "type" and known.type != "text"}
    if {"minimum", "maximum"} & set(more):
        more |= {"edges": [], "bands": []}  # those of the dictionary reach to its own bounds
    return more


def _agrees(said: dict[str, Any], known: Variable) -> bool:
    """Whether a dictionary's variable can be the one meant: numbers with numbers, the same categories and unit."""
    numeric = ("integer", "decimal")
    if "unit" in said and said["unit"] != known.unit:
        return False
    if said["type"] in numeric:
        return known.type in numeric or (
            known.type == "category" and _whole(known.categories) and "minimum" not in said
        )
    if said["type"] == "text":
        return known.type == "text"
    return known.type == "category" and set(said.get("categories", known.categories)) == set(known.categories)


def _whole(categories: tuple[str, ...]) -> bool:
    return all(category.isdigit() for category in categories)


def _identifies(heading: str) -> bool:
    return bool(heading.strip()) and _IDENTIFIER.fullmatch(heading.strip()) is not None


def _is_flag(group: str, heading: str) -> bool:
    return _GENETIC.search(group) is not None or _STATUS.search(heading) is not None


def _say_what_is_open(kind: str, name: str, said: dict[str, Any], draft: Draft) -> None:
    if kind == "category":
        if not said.get("categories"):
            said["categories"] = []
            draft.open_points.append(f"{name}: list its categories")
        return
    for bound in ("minimum", "maximum"):
        if bound not in said:
            said[bound] = None
    missing = [bound for bound in ("minimum", "maximum") if said[bound] is None]
    if missing:
        draft.open_points.append(f"{name}: give {' and '.join(missing)}, in which unit")
