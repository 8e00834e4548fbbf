"""The pinned vocabulary as plain values: schemes of terms, and the operands a policy may speak about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from synthema.errors import InputError
from synthema.vocabulary.hierarchy import Hierarchy
from synthema.vocabulary.namespaces import compact


class Datatype(StrEnum):
    """The kind of value an operand takes."""

    TERM = "term"
    TEXT = "text"
    NUMBER = "number"
    COUNT = "count"
    BOOLEAN = "boolean"
    DATE = "date"
    DURATION = "duration"


class ChangedBy(StrEnum):
    """Who can bring another value about. A purpose is nobody's to change: it is true or it is not."""

    REQUESTER = "requester"
    SITE = "site"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Operand:
    """A left operand: what a constraint looks at.

    ``scheme`` names the scheme of its terms (datatype term only); ``unit`` is in
    words; ``site_decision`` says that its thresholds have no legal source, so that
    a data protection officer confirms each of them.
    """

    iri: str
    name: str
    label: str
    datatype: Datatype
    scheme: str | None = None
    unit: str | None = None
    site_decision: bool = False
    changed_by: ChangedBy = ChangedBy.NOBODY
    definition: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """Everything a policy may name. ``version`` is the digest of the pinned statements."""

    version: str
    schemes: Mapping[str, Hierarchy]
    operands: Mapping[str, Operand]

    @property
    def purposes(self) -> Hierarchy:
        return self.schemes["Purposes"]

    @property
    def actions(self) -> Hierarchy:
        return self.schemes["Actions"]

    @property
    def duties(self) -> Hierarchy:
        return self.schemes["Duties"]

    @property
    def diseases(self) -> Hierarchy:
        return self.schemes["Diseases"]

    @property
    def data_categories(self) -> Hierarchy:
        return self.schemes["DataCategories"]

    @property
    def data_formats(self) -> Hierarchy:
        return self.schemes["DataFormats"]

    @property
    def legal_bases(self) -> Hierarchy:
        return self.schemes["LegalBases"]

    @property
    def roles(self) -> Hierarchy:
        return self.schemes["Roles"]

    @property
    def places(self) -> Hierarchy:
        return self.schemes["Places"]

    @property
    def operand_terms(self) -> Hierarchy:
        """The operands as a scheme, to resolve their names."""
        return self.schemes["Operands"]

    def operand(self, text: str) -> Operand:
        """The operand of a name or IRI; raises :class:`InputError` naming the nearest one."""
        return self.operands[self.operand_terms.resolve(text)]

    def terms_of(self, operand: Operand) -> Hierarchy:
        """The scheme an operand takes its terms from; raises :class:`InputError` when it takes none."""
        if operand.scheme is None:
            raise InputError(f"'{operand.name}' takes no terms", fix=f"give a {operand.datatype} instead")
        return self.schemes[operand.scheme]

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """IRI → English phrase, over all schemes."""
        return {term.iri: term.label for scheme in self.schemes.values() for term in scheme}

    def label(self, iri: str) -> str:
        """The English phrase of any term; the compact IRI of anything else."""
        return self.labels.get(iri) or compact(iri)
