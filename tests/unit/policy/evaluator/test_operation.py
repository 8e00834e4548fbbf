"""The operation that tells a decision in RDF."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from synthema.assembly.operations import find_operation
from synthema.errors import ConflictError, InputError
from synthema.policy.intake import Syntax, read_graph
from tests.unit.policy import sample


def connector(decision: dict[str, Any] | None) -> Any:
    """As much of a connector as the operation asks of it."""
    return SimpleNamespace(
        governor=SimpleNamespace(run=lambda _: SimpleNamespace(decision=decision)),
        log=SimpleNamespace(iri=lambda kind, name: f"https://hospital.example/id/{kind}/{name}"),
    )


@pytest.mark.parametrize(
    ("form", "syntax"),
    [("turtle", Syntax.TURTLE), ("nquads", Syntax.N_QUADS)],
)
def test_a_stored_decision_is_told_under_the_name_the_log_gave_it(form: str, syntax: Syntax) -> None:
    operation = find_operation("policy/report")
    told = operation.call(connector(sample.decision().as_dict()), {"run": "run-1", "format": form})
    graph = read_graph(told["report"].encode(), syntax)
    assert told["decision"] == "https://hospital.example/id/decision/run-1"
    assert told["decision"] in graph.subjects


def test_a_request_without_a_decision_has_no_report() -> None:
    with pytest.raises(ConflictError, match="not decided yet"):
        find_operation("policy/report").call(connector(None), {"run": "run-1"})
    with pytest.raises(InputError):
        find_operation("policy/report").call(connector(None), {"run": "run-1", "format": "xml"})
