"""Terms with labels and broader links: a pure value that answers "is this a kind of that?".

The closure over broader links is reflexive and transitive and is computed once, so
that deciding looks things up in ready sets.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from synthema.errors import InputError
from synthema.vocabulary.namespaces import compact, expand

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a scheme.

    ``label`` is a phrase that fits into a sentence; ``notation`` is the short
    word a policy form uses for it; ``aliases`` are further words for it. A term that is
    ``deprecated`` is still understood; ``replaced_by`` is the one to use in its place.
    """

    iri: str
    label: str
    notation: str | None = None
    aliases: tuple[str, ...] = ()
    broader: tuple[str, ...] = ()
    definition: str = ""
    deprecated: bool = False
    replaced_by: str | None = None

    @property
    def name(self) -> str:
        """The shortest name that people read easily: the notation, or else the compact IRI."""
        return self.notation or compact(self.iri)


class Hierarchy:
    """The terms of one scheme and the reflexive-transitive closure of their broader links."""

    def __init__(self, kind: str, terms: Iterable[Term]) -> None:
        """Raises :class:`InputError` on a broader link to an unknown term or a circle of links."""
        self.kind = kind
        self.terms: Mapping[str, Term] = {term.iri: term for term in sorted(terms, key=lambda term: term.iri)}
        self._ancestors: dict[str, frozenset[str]] = {}
        for iri in self.terms:
            self._climb(iri, ())
        below: dict[str, set[str]] = {iri: set() for iri in self.terms}
        for iri, ancestors in self._ancestors.items():
            for ancestor in ancestors:
                below[ancestor].add(iri)
        self._descendants = {iri: frozenset(found) for iri, found in below.items()}

    def _climb(self, iri: str, path: tuple[str, ...]) -> frozenset[str]:
        if iri in path:
            raise InputError(f"{compact(iri)} is broader than itself", fix="break the circle of broader links")
        if iri not in self.terms:
            raise InputError(f"{compact(iri)} is named as broader but not declared", fix="declare it in ontologies/")
        if iri not in self._ancestors:
            found = {iri}
            for parent in self.terms[iri].broader:
                found |= self._climb(parent, (*path, iri))
            self._ancestors[iri] = frozenset(found)
        return self._ancestors[iri]

    def __contains__(self, iri: object) -> bool:
        return iri in self.terms

    def __iter__(self) -> Iterator[Term]:
        return iter(self.terms.values())

    def __len__(self) -> int:
        return len(self.terms)

    def is_a(self, term: str, ancestor: str) -> bool:
        """Whether ``term`` is ``ancestor`` or a kind of it. An unknown term is a kind of nothing."""
        return ancestor in self._ancestors.get(term, ())

    def ancestors(self, iri: str) -> frozenset[str]:
        """The term itself and everything it is a kind of; empty for an unknown term."""
        return self._ancestors.get(iri, frozenset())

    def descendants(self, iri: str) -> frozenset[str]:
        """The term itself and all its kinds; empty for an unknown term."""
        return self._descendants.get(iri, frozenset())

    def label(self, iri: str) -> str:
        """The English phrase of a term; its compact IRI where it is not ours to name."""
        term = self.terms.get(iri)
        return term.label if term else compact(iri)

    def name(self, iri: str) -> str:
        """How a policy form writes a term so that :meth:`resolve` gives the same term back."""
        term = self.terms.get(iri)
        if term and term.notation and self._names.get(normal(term.notation)) == {iri}:
            return term.notation
        return compact(iri)

    @cached_property
    def _names(self) -> Mapping[str, set[str]]:
        names: dict[str, set[str]] = {}
        for term in self.terms.values():
            local = compact(term.iri).partition(":")[2]
            for text in {term.iri, compact(term.iri), local, term.label, *term.aliases, term.notation or local}:
                names.setdefault(normal(text), set()).add(term.iri)
        return names

    def find(self, text: str) -> str | None:
        """Like :meth:`resolve`, with ``None`` where the text names no term, or several."""
        expanded = expand(text.strip())
        if expanded in self.terms:
            return expanded
        found = self._names.get(normal(text), set())
        return next(iter(found)) if len(found) == 1 else None

    def resolve(self, text: str) -> str:
        """The IRI of the term meant by a full IRI, a compact IRI, a local name, a label or an alias.

        Raises :class:`InputError` naming the nearest term, or all terms a short name could mean.
        """
        found = self.find(text)
        if found is not None:
            return found
        meant = self._names.get(normal(text), set())
        if len(meant) > 1:
            choices = ", ".join(compact(iri) for iri in sorted(meant))
            raise InputError(f"'{text}' can mean several terms: {choices}", fix="write the one you mean in full")
        near = self.nearest(text)
        fix = f"did you mean '{near}'?" if near else f"use a term of the pinned vocabulary ({self.kind})"
        raise InputError(f"'{text[:80]}' is not a known {self.kind}", fix=fix)

    def nearest(self, text: str) -> str | None:
        """The name of the term that looks most like the text, for error messages."""
        wanted = normal(expand(text.strip()).rpartition("#")[2].rpartition("/")[2] or text)
        close = difflib.get_close_matches(wanted, sorted(self._names), n=1, cutoff=0.5)
        return self.name(min(self._names[close[0]])) if close else None


def spaced(name: str) -> str:
    """A name in camel case as words, e.g. "membershipAUC" as "membership AUC"; abbreviations keep their capitals."""
    words = _CAMEL.sub(" ", name).split(" ")
    return " ".join(word if len(word) > 1 and word.isupper() else word.lower() for word in words)


def normal(text: str) -> str:
    """A text with case, hyphens, underscores, CamelCase and runs of spaces evened out."""
    spaced = _CAMEL.sub(" ", text.strip()).replace("_", " ").replace("-", " ")
    return " ".join(spaced.casefold().split())
