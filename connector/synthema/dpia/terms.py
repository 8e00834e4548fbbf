"""The names an assessment may use: prefixes, kinds of risks and measures, and the nearest one to a wrong name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cache
from types import MappingProxyType
from typing import Final

import pyoxigraph

from synthema.errors import InputError
from synthema.resources import bundled
from synthema.vocabulary import spaced
from synthema.vocabulary.namespaces import DPV, EHDS, GDPR, HEALTH, ODRL, SKOS, SYN

RISK: Final = "https://w3id.org/dpv/risk#"
PREFIXES: Final = MappingProxyType(
    {
        "syn": SYN,
        "dpv": DPV,
        "risk": RISK,
        "eu-gdpr": GDPR,
        "eu-ehds": EHDS,
        "odrl": ODRL,
        "health": HEALTH,
        "gdpr": GDPR,  # the short forms of the policy language are understood too
        "ehds": EHDS,
    }
)
"""Prefix → namespace, as written in assessments; where two stand for one, the first is written."""

RISK_KIND: Final = SYN + "RiskKinds"


def expand(term: str) -> str:
    """The full IRI of a short name; an IRI, or a name under an unknown prefix, comes back as it is."""
    prefix, colon, name = term.partition(":")
    namespace = PREFIXES.get(prefix)
    return namespace + name if colon and namespace is not None and not name.startswith("//") else term


def compact(iri: str) -> str:
    """The short name of an IRI in a known namespace; any other IRI comes back as it is."""
    for prefix, namespace in PREFIXES.items():
        if iri.startswith(namespace) and _is_name(iri.removeprefix(namespace)):
            return f"{prefix}:{iri.removeprefix(namespace)}"
    return iri


def in_words(term: str) -> str:
    """A term as people read it, with the term itself: ``evaluation report (syn:EvaluationReport)``."""
    name = re.split(r"[:#/]", term)[-1]
    words = spaced(name.replace("-", " "))
    return f"{words} ({term})" if ":" in term and re.fullmatch(r"[A-Za-z]+", name) else term


def _is_name(text: str) -> bool:
    return text.isascii() and text.replace("-", "").replace("_", "").isalnum()


@cache
def known_risks() -> frozenset[str]:
    """Kinds of risk: those of DPV's risk module, and ours where DPV has none."""
    return frozenset(_section("risks")) | _own_risks()


@cache
def known_measures() -> frozenset[str]:
    """Kinds of technical and organisational measures of DPV."""
    return frozenset(_section("measures"))


def nearest(name: str, names: Iterable[str], *, otherwise: str = "see legal/dpia/synthetic-data.yaml") -> str:
    """What to write instead of a name nobody knows: the nearest one there is, else ``otherwise``."""
    found = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.6)
    return f"did you mean '{found[0]}'?" if found else otherwise


def require_term(term: str) -> str:
    """The short name of a term; raises :class:`ValueError` unless its prefix is known or it is a full IRI."""
    prefix, colon, name = term.partition(":")
    if not colon or not name:
        raise ValueError(f"'{term[:80]}' is not a term: write a prefix and a name, e.g. dpv:DifferentialPrivacy")
    if name.startswith("//") or prefix == "urn":
        try:
            pyoxigraph.NamedNode(term)
        except ValueError:
            raise ValueError(f"'{term[:80]}' is not an IRI") from None
        return compact(term)
    if prefix not in PREFIXES:
        raise ValueError(f"the prefix of '{term[:80]}' is unknown: {nearest(prefix, PREFIXES, otherwise=_prefixes())}")
    if not _is_name(name):
        raise ValueError(f"'{term[:80]}' is not a term: a name has letters, digits and hyphens only")
    return compact(expand(term))


def require_risk(term: str) -> str:
    """A kind of risk; raises :class:`ValueError` naming the nearest one."""
    return _require_known(require_term(term), known_risks(), "kind of risk")


def require_measure(term: str) -> str:
    """A kind of measure; raises :class:`ValueError` naming the nearest one."""
    return _require_known(require_term(term), known_measures(), "kind of measure")


def _require_known(term: str, names: frozenset[str], what: str) -> str:
    if term.partition(":")[0] in ("risk", "dpv", "syn") and term not in names:
        raise ValueError(f"'{term[:80]}' is no {what}: {nearest(term, names)}")
    return term


def _prefixes() -> str:
    return "use one of " + ", ".join(PREFIXES)


def _section(wanted: str) -> list[str]:
    path = bundled("ontologies") / "risks" / "names.txt"
    names: list[str] = []
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif section == wanted and not line.startswith("#"):
            names += line.split()
    if not names:
        raise InputError(f"the list of {wanted} is empty", where=str(path), fix="reinstall synthema")
    return names


def _own_risks() -> frozenset[str]:
    path = bundled("ontologies") / "dpia.ttl"
    scheme = pyoxigraph.NamedNode(SKOS + "topConceptOf")
    return frozenset(
        compact(quad.subject.value)
        for quad in pyoxigraph.parse(path=path, format=pyoxigraph.RdfFormat.TURTLE)
        if quad.predicate == scheme
        and isinstance(quad.subject, pyoxigraph.NamedNode)
        and quad.object == pyoxigraph.NamedNode(RISK_KIND)
    )
