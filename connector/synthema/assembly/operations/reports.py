"""Operations that tell decisions of this site in RDF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from synthema.assembly.operations.registry import Input, operation
from synthema.errors import ConflictError
from synthema.policy.evaluator import decision_report
from synthema.policy.intake import Syntax

if TYPE_CHECKING:
    from synthema.assembly.connector import Connector

_SYNTAXES = {"turtle": Syntax.TURTLE, "nquads": Syntax.N_QUADS, "jsonld": Syntax.JSON_LD}


class DecidedRun(Input):
    """A run whose decision is to be told, and in which syntax of RDF."""

    run: str
    format: Literal["turtle", "nquads", "jsonld"] = Field(default="turtle", description="the syntax of RDF")


@operation("policy/report")
def report_decision(connector: Connector, given: DecidedRun) -> dict[str, Any]:
    """The decision on a run as a compliance report with its provenance, in RDF."""
    decision = connector.governor.run(given.run).decision
    if decision is None:
        raise ConflictError("this request is not decided yet", fix="ask again once it is decided")
    name = connector.log.iri("decision", given.run)
    return {
        "run": given.run,
        "decision": name,
        "report": decision_report(decision, _SYNTAXES[given.format], iri=name).decode(),
    }
