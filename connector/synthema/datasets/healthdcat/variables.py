"""The variables of a dataset as a CSVW table group, from its codebook (EHDS Art. 77: what the data hold).

The form is that of HealthDCAT-AP release 8: ``csvw:table`` and ``csvw:column`` are plain repeated properties, a
column has one name and one datatype, and title and description in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from synthema.datasets.codebook import Variable
from synthema.datasets.healthdcat.terms import CODING_SYSTEMS, Node, concept, text

_DATATYPES: Final = {"integer": "integer", "decimal": "decimal"}
_MANY: Final = 30
"""More categories than these are counted in a description, not listed."""


def table_group(iri: str, title: str, variables: Iterable[Variable]) -> Node:
    """The table group of a dataset named ``iri``: one table, one column for each variable."""
    return {
        "@id": f"{iri}#variables",
        "@type": "csvw:TableGroup",
        "dct:title": text(f"Variables of {title}"),
        "csvw:table": {
            "@id": f"{iri}#table",
            "@type": "csvw:Table",
            "dct:title": text(title),
            "csvw:column": [_column(iri, variable) for variable in variables],
        },
    }


def coding_systems(codes: Iterable[str]) -> list[Node]:
    """The coding systems that codes (IRIs) are from, as far as the Commission's list has them."""
    found = {(code, label) for iri in codes for start, code, label in CODING_SYSTEMS if iri.startswith(start)}
    return [
        {**concept("coding-system", code, label), "@type": ["skos:Concept", "dct:Standard"]}
        for code, label in sorted(found)
    ]


def _column(iri: str, variable: Variable) -> Node:
    column: Node = {
        "@id": f"{iri}#column-{variable.name}",
        "@type": "csvw:Column",
        "csvw:name": variable.name,
        "csvw:title": text(variable.label),
        "csvw:datatype": _DATATYPES.get(variable.type, "string"),
        "csvw:required": not variable.may_be_missing,
        "dct:description": text(" ".join(_sentences(variable))),
    }
    if variable.unit is not None:
        column["syn:columnUnit"] = variable.unit
    if variable.code is not None:
        column["csvw:propertyUrl"] = {"@id": variable.code}
    return column


def _sentences(variable: Variable) -> Iterator[str]:
    yield f"{variable.label}."
    if variable.minimum is not None and variable.maximum is not None:
        unit = f" {variable.unit}" if variable.unit else ""
        yield f"From {variable.minimum:g} to {variable.maximum:g}{unit}."
    if len(variable.categories) > _MANY:
        yield f"One of {len(variable.categories)} categories."
    elif variable.categories:
        yield f"One of: {', '.join(variable.categories)}."
    if variable.may_be_missing:
        yield "May be missing."
