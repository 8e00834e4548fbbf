"""Reads the Turtle files of ``ontologies/`` into a :class:`Vocabulary`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pyoxigraph

from synthema.canonical import digest_bytes, sorted_nquads
from synthema.errors import InputError
from synthema.resources import bundled
from synthema.vocabulary.hierarchy import Hierarchy, Term
from synthema.vocabulary.model import ChangedBy, Datatype, Operand, Vocabulary
from synthema.vocabulary.namespaces import DCTERMS, ODRL, OWL, SKOS, SYN, compact

SCHEMES: Mapping[str, str] = {
    "Purposes": "purpose",
    "Actions": "action",
    "Duties": "duty",
    "Operands": "operand",
    "Diseases": "disease",
    "DataCategories": "data category",
    "DataFormats": "data format",
    "LegalBases": "legal basis",
    "Roles": "role",
    "Regimes": "regime",
    "PermitStates": "permit state",
    "ConsentStates": "consent state",
    "DpiaOutcomes": "outcome of an impact assessment",
    "Places": "place",
    "Authorisations": "kind of authorisation",
    "CertificateStates": "state of a certificate",
}
"""Scheme → what one of its terms is called in a message."""

_SKIPPED = frozenset({"dictionaries", "shapes"})
_BROADER = (SKOS + "broader", ODRL + "includedIn")

Statements = Mapping[str, Mapping[str, tuple[str, ...]]]


def load_vocabulary(folder: Path | None = None) -> Vocabulary:
    """The vocabulary pinned in a folder (the bundled ``ontologies/`` when none is given); read once per folder.

    Raises :class:`InputError` naming the file that is not Turtle, or the term that is incomplete.
    """
    return _load((folder or bundled("ontologies")).resolve())


@cache
def _load(folder: Path) -> Vocabulary:
    paths = sorted(p for p in folder.rglob("*.ttl") if not _SKIPPED & set(p.relative_to(folder).parts))
    if not paths:
        raise InputError("there is no vocabulary here", where=str(folder), fix="give a folder with Turtle files")
    statements: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    lines: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        for triple in _triples(path):
            if isinstance(triple.subject, pyoxigraph.NamedNode) and not isinstance(triple.object, pyoxigraph.Triple):
                statements[triple.subject.value][triple.predicate.value].append(triple.object.value)
                lines[triple.subject.value].append(f"{triple} .")
    known = {iri: {key: tuple(sorted(values)) for key, values in found.items()} for iri, found in statements.items()}
    schemes = {name: Hierarchy(kind, _terms(known, SYN + name)) for name, kind in SCHEMES.items()}
    operands = {term.iri: _operand(known, term) for term in schemes["Operands"]}
    # Only what the terms of a scheme say is pinned: other ontologies in the folder may change without a trace here.
    pinned = {line for scheme in schemes.values() for term in scheme for line in lines[term.iri]}
    return Vocabulary(version=digest_bytes(sorted_nquads(pinned)), schemes=schemes, operands=operands)


def _triples(path: Path) -> list[pyoxigraph.Triple]:
    try:
        quads = list(pyoxigraph.parse(path=path, format=pyoxigraph.RdfFormat.TURTLE))
    except (SyntaxError, OSError) as error:
        raise InputError(f"not valid Turtle: {error}", where=str(path), fix="mend the line named above") from error
    return [quad.triple for quad in quads]


def _terms(known: Statements, scheme: str) -> Iterable[Term]:
    members = {iri for iri, found in known.items() if scheme in found.get(SKOS + "inScheme", ())}
    for iri in sorted(members):
        found = known[iri]
        label = found.get(SKOS + "prefLabel")
        if not label:
            raise InputError(f"{compact(iri)} has no label", fix="give it a skos:prefLabel in ontologies/")
        notation = found.get(SKOS + "notation")
        links = {parent for link in _BROADER for parent in found.get(link, ())}
        yield Term(
            iri=iri,
            label=label[0],
            notation=notation[0] if notation else None,
            aliases=found.get(SKOS + "altLabel", ()),
            # Duties are also actions; a link that leaves the scheme belongs to the other one.
            broader=tuple(sorted(links & members if scheme == SYN + "Duties" else links)),
            definition=" ".join(found.get(SKOS + "definition", ())),
            deprecated="true" in found.get(OWL + "deprecated", ()),
            replaced_by=next(iter(found.get(DCTERMS + "isReplacedBy", ())), None),
        )


def _operand(known: Statements, term: Term) -> Operand:
    found = known[term.iri]
    try:
        datatype = Datatype(_one(found, "datatype", term).casefold())
        changed_by = ChangedBy(_one(found, "changedBy", term).casefold())
    except ValueError as error:
        raise InputError(f"{compact(term.iri)}: {error}", fix="use a data type and role of the profile") from error
    scheme = _one(found, "termsFrom", term) if datatype is Datatype.TERM else None
    if scheme is not None and scheme not in SCHEMES:
        raise InputError(f"{compact(term.iri)} takes terms from no known scheme", fix="correct syn:termsFrom")
    unit = found.get(SYN + "unit")
    return Operand(
        iri=term.iri,
        name=term.name,
        label=term.label,
        datatype=datatype,
        scheme=scheme,
        unit=unit[0] if unit else None,
        site_decision="true" in found.get(SYN + "siteDecision", ()),
        changed_by=changed_by,
        definition=term.definition,
    )


def _one(found: Mapping[str, tuple[str, ...]], name: str, term: Term) -> str:
    values = found.get(SYN + name, ())
    if len(values) != 1:
        raise InputError(f"{compact(term.iri)} needs exactly one syn:{name}", fix="complete it in ontologies/")
    return values[0].removeprefix(SYN)
