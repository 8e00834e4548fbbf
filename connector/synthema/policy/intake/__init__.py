"""Takes ODRL 2.2 in RDF from outside: safely parsed, read as it was written, and turned into our own policies."""

from synthema.policy.intake.graph import Graph, Syntax, read_graph, syntax_of
from synthema.policy.intake.profile import import_policies
from synthema.policy.intake.reader import read_policies
from synthema.policy.intake.statements import WrittenPolicy

__all__ = ["Graph", "Syntax", "WrittenPolicy", "import_policies", "read_graph", "read_policies", "syntax_of"]
