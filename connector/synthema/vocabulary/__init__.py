"""The pinned vocabulary: terms with labels and closures, and the operands a policy may speak about."""

from synthema.vocabulary.hierarchy import Hierarchy, Term, spaced
from synthema.vocabulary.load import load_vocabulary
from synthema.vocabulary.model import ChangedBy, Datatype, Operand, Vocabulary
from synthema.vocabulary.namespaces import PREFIXES, compact, expand

__all__ = [
    "PREFIXES",
    "ChangedBy",
    "Datatype",
    "Hierarchy",
    "Operand",
    "Term",
    "Vocabulary",
    "compact",
    "expand",
    "load_vocabulary",
    "spaced",
]
