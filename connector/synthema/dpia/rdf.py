"""An assessment as RDF and back: DPV terms, N-Quads without blank nodes or Turtle, and nothing lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, Literal, get_args

import pyoxigraph
from pydantic import BaseModel, ValidationError
from pyoxigraph import NamedNode, RdfFormat

from synthema.canonical import sorted_nquads
from synthema.dpia.model import Dpia
from synthema.dpia.parts import GOOD_OUTCOMES
from synthema.dpia.terms import PREFIXES, RISK, compact, expand
from synthema.dpia.vocabulary import (
    DCT,
    POSITION,
    SHAPES,
    Said,
    likelihood_concept,
    recommendation,
    risk_status,
    severity_concept,
)
from synthema.errors import InputError
from synthema.provenance.model import RDF_TYPE, XSD, literal, node
from synthema.vocabulary.namespaces import DPV, GDPR, SYN

Statement = tuple[str, str, str]
RdfForm = Literal["turtle", "nquads"]

BASE: Final = "https://w3id.org/synthema/dpia/"
_FORMATS: Final = {"turtle": RdfFormat.TURTLE, "nquads": RdfFormat.N_QUADS}
_MOST_BYTES: Final = 8 * 1024 * 1024
_ASSESSMENT: Final = f"<{SYN}ImpactAssessment>"


def iri_of(dpia: Dpia) -> str:
    """The IRI of a version of an assessment that no connector has named yet."""
    return f"{BASE}{dpia.id}/{dpia.version}"


def to_nquads(dpia: Dpia, iri: str | None = None) -> bytes:
    """An assessment as canonical N-Quads in a graph of its own name: sorted, without blank nodes."""
    me = iri or iri_of(dpia)
    return sorted_nquads(f"{s} {p} {o} {node(me)} ." for s, p, o in _statements(dpia, me))


def to_turtle(dpia: Dpia, iri: str | None = None) -> str:
    """An assessment as Turtle."""
    lines = "".join(f"{s} {p} {o} .\n" for s, p, o in sorted(set(_statements(dpia, iri or iri_of(dpia)))))
    triples = pyoxigraph.parse(lines.encode(), format=RdfFormat.N_TRIPLES)
    prefixes = {"syn": SYN, "dpv": DPV, "risk": RISK, "eu-gdpr": GDPR, "eu-ehds": PREFIXES["eu-ehds"], "dct": DCT}
    written = pyoxigraph.serialize(triples, format=RdfFormat.TURTLE, prefixes=prefixes | {"xsd": XSD})
    return (written or b"").decode()


def from_rdf(data: bytes, form: RdfForm, source: str = "assessment") -> Dpia:
    """Read an assessment from RDF; raises :class:`InputError` for what it cannot say, rather than dropping it."""
    if len(data) > _MOST_BYTES:
        raise InputError("the assessment is larger than 8 MiB", where=source, fix="send the assessment alone")
    reader = _Reader(_parsed(data, form, source), source)
    try:
        dpia = Dpia.model_validate(reader.value(Dpia, reader.root))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "assessment"
        raise InputError(f"{field}: {first['msg']}", where=source, fix=f"correct '{field}'") from error
    reader.require_all_read(set(_derived(dpia, reader.root)))
    return dpia


# writing -------------------------------------------------------------------------------


def _statements(dpia: Dpia, iri: str) -> Iterator[Statement]:
    yield from _part(dpia, iri, iri)
    yield from _derived(dpia, iri)


def _part(part: BaseModel, me: str, root: str) -> Iterator[Statement]:
    shape = SHAPES[type(part)]
    yield node(me), node(RDF_TYPE), node(shape.rdf_class)
    for name, said in shape.fields.items():
        value = getattr(part, name)
        if value is None or value in ("", ()):
            continue
        yield from _field(me, root, name, said, value)


def _field(me: str, root: str, name: str, said: Said, value: Any) -> Iterator[Statement]:
    subject, predicate = node(me), node(said.predicate)
    match said.kind:
        case "part":
            child = f"{me}.{_dashed(name)}" if "#" in me else f"{root}#{_dashed(name)}"
            yield subject, predicate, node(child)
            yield from _part(value, child, root)
        case "parts":
            for position, item in enumerate(value):
                child = _child(root, name, getattr(item, "id", str(position + 1)))
                yield subject, predicate, node(child)
                yield node(child), node(POSITION), literal(position + 1)
                yield from _part(item, child, root)
        case "terms" | "names" | "references":
            yield from ((subject, predicate, _object(root, said, each)) for each in value)
        case _:
            yield subject, predicate, _object(root, said, value)


def _object(root: str, said: Said, value: Any) -> str:
    """One value as N-Quads write it."""
    match said.kind:
        case "reference" | "references":
            return node(_child(root, said.of, value))
        case "term" | "terms" | "type":
            return node(expand(value))
        case "outcome":
            return node(value.iri)
        case "date":
            return f'"{value.isoformat()}"^^<{XSD}date>'
        case _:
            return literal(value.value if isinstance(value, Enum) else value)


def _derived(dpia: Dpia, iri: str) -> Iterator[Statement]:
    """What follows from the rest, said for readers that know DPV only."""
    yield node(iri), node(RDF_TYPE), _ASSESSMENT
    go_on = dpia.standing_outcome in GOOD_OUTCOMES and dpia.opinion.favourable
    yield node(iri), node(DPV + "hasRecommendation"), node(recommendation(go_on=go_on))
    high = any(risk.before.is_high for risk in dpia.risks)
    yield node(iri), node(DPV + "hasStatus"), node(risk_status(high=high))
    for risk in dpia.risks:
        me = _child(iri, "risks", risk.id)
        for level, place in ((risk.before, me), (risk.residual, f"{me}.residual")):
            yield node(place), node(DPV + "hasSeverity"), node(severity_concept(level.severity))
            yield node(place), node(DPV + "hasLikelihood"), node(likelihood_concept(level.likelihood))
        yield node(f"{me}.residual"), node(DPV + "isResidualRiskOf"), node(me)


def _child(root: str, collection: str, name: str) -> str:
    return f"{root}#{_dashed(collection)}.{name}"


def _dashed(name: str) -> str:
    return name.replace("_", "-")


# reading -------------------------------------------------------------------------------


def _parsed(data: bytes, form: RdfForm, source: str) -> list[Statement]:
    try:
        quads = list(pyoxigraph.parse(data, format=_FORMATS[form]))
    except (SyntaxError, ValueError) as error:
        raise InputError(f"not valid {form}: {error}", where=source, fix="send it as it was exported") from error
    statements: list[Statement] = []
    for quad in quads:
        subject, predicate, object_ = quad.subject, quad.predicate, quad.object
        if not isinstance(subject, NamedNode) or isinstance(object_, pyoxigraph.BlankNode | pyoxigraph.Triple):
            raise InputError("the assessment holds a node without an IRI", where=source, fix="give each node an IRI")
        statements.append((subject.value, predicate.value, str(object_)))
    return statements


class _Reader:
    """Takes the model out of statements, and remembers which it has read."""

    def __init__(self, statements: list[Statement], source: str) -> None:
        self._source = source
        self._objects: dict[tuple[str, str], list[str]] = {}
        for subject, predicate, object_ in statements:
            self._objects.setdefault((subject, predicate), []).append(object_)
        self._unread = set(statements)
        # A measure may be of type dpv:DPIA as well; the assessment itself is the one that no other part points to.
        parts = {o for _, p, o in statements if p != RDF_TYPE}
        roots = {s for s, p, o in statements if p == RDF_TYPE and o == f"<{DPV}DPIA>" and f"<{s}>" not in parts}
        if len(roots) != 1:
            raise InputError(
                f"the file holds {len(roots)} assessments (dpv:DPIA)", where=source, fix="send one assessment"
            )
        self.root = roots.pop()

    def value(self, model: type[BaseModel], me: str) -> dict[str, Any]:
        """The fields of a part as the model reads them."""
        shape = SHAPES[model]
        self._take(me, RDF_TYPE, f"<{shape.rdf_class}>")
        found: dict[str, Any] = {}
        for name, said in shape.fields.items():
            objects = self._objects.get((me, said.predicate), [])
            if said.kind == "type":
                ours = {f"<{shape.rdf_class}>", _ASSESSMENT}
                objects = [each for each in objects if each not in ours]
            for each in objects:
                self._take(me, said.predicate, each)
            value = self._field(model, name, said, objects)
            if value is not None:
                found[name] = value
        return found

    def require_all_read(self, derived: set[Statement]) -> None:
        """Raise :class:`InputError` for a statement that was not understood."""
        for subject, predicate, object_ in sorted(self._unread):
            if (node(subject), node(predicate), object_) not in derived:
                raise InputError(
                    f"what is said of <{subject}> with {compact(predicate)} cannot be understood",
                    where=self._source,
                    fix="leave it out, or correct it; an assessment is refused rather than understood in part",
                )

    def _take(self, subject: str, predicate: str, object_: str) -> None:
        self._unread.discard((subject, predicate, object_))

    def _field(self, model: type[BaseModel], name: str, said: Said, objects: list[str]) -> Any:
        if said.kind in ("terms", "names", "references", "parts"):
            return self._several(model, name, said, objects)
        if not objects:
            return None
        if len(objects) > 1:
            raise InputError(f"{name} is said {len(objects)} times", where=f"{self._source}: {name}", fix="say it once")
        (one,) = objects
        if said.kind == "part":
            return self.value(_inner(model, name), _iri(one))
        return self._one(said, one)

    def _one(self, said: Said, one: str) -> Any:
        match said.kind:
            case "reference" | "references":
                return _iri(one).removeprefix(f"{self.root}#{_dashed(said.of)}.")
            case "term" | "terms" | "type":
                return compact(_iri(one))
            case "outcome":
                return _iri(one).removeprefix(GDPR)
            case "date" | "names":
                return _text(one)
            case _:
                return _scalar(one)

    def _several(self, model: type[BaseModel], name: str, said: Said, objects: list[str]) -> tuple[Any, ...]:
        if said.kind != "parts":
            return tuple(self._one(said, each) for each in objects)
        inner = _inner(model, name)
        ordered = sorted((self._position(_iri(each)), _iri(each)) for each in objects)
        return tuple(self.value(inner, each) for _, each in ordered)

    def _position(self, me: str) -> int:
        found = self._objects.get((me, POSITION), [])
        for each in found:
            self._take(me, POSITION, each)
        if len(found) != 1 or not _text(found[0]).isdigit():
            raise InputError(f"<{me}> has no one place in its list", where=self._source, fix="give it syn:position")
        return int(_text(found[0]))


def _inner(model: type[BaseModel], name: str) -> type[BaseModel]:
    """The model of a field that is a part, or several."""
    waiting = [model.model_fields[name].annotation]
    while waiting:
        each = waiting.pop()
        if isinstance(each, type) and issubclass(each, BaseModel):
            return each
        waiting.extend(get_args(each))
    raise InputError(f"'{name}' is no part of an assessment", fix="report this")


def _iri(written: str) -> str:
    if not written.startswith("<"):
        raise InputError(f"{written[:60]} stands where an IRI does", fix="give an IRI")
    return written[1:-1]


def _literal(written: str) -> pyoxigraph.Literal:
    if written.startswith("<"):
        raise InputError(f"{written[:60]} stands where a text or number does", fix="give a literal")
    quad = next(iter(pyoxigraph.parse(f"<urn:s> <urn:p> {written} .".encode(), format=RdfFormat.N_TRIPLES)))
    if not isinstance(quad.object, pyoxigraph.Literal):
        raise InputError(f"{written[:60]} stands where a text or number does", fix="give a literal")
    return quad.object


def _text(written: str) -> str:
    return _literal(written).value


def _scalar(written: str) -> Any:
    """A literal as a Python value; what is not of its type is left as text, and the model refuses it."""
    found = _literal(written)
    kind = found.datatype.value.removeprefix(XSD)
    try:
        if kind == "integer":
            return int(found.value)
        if kind in ("double", "decimal", "float"):
            return float(found.value)
    except ValueError:
        return found.value
    return {"true": True, "false": False}.get(found.value, found.value) if kind == "boolean" else found.value
