"""RDF from outside: nothing vanishes, nothing is fetched, and what is too large or broken is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synthema.errors import PolicyLoadError
from synthema.policy.evaluator import evaluate, read_request, read_world
from synthema.policy.intake import Graph, Syntax, read_graph, read_policies, syntax_of
from synthema.policy.intake import graph as graphs
from tests.unit.policy.evaluator.worlds import asking, graph, permission, saying

CONTEXT = "http://www.w3.org/ns/odrl.jsonld"
BASE = "https://registry.example/"


def policy(**changes: Any) -> dict[str, Any]:
    """A small policy in JSON-LD."""
    rule = {"target": BASE + "samples", "assignee": BASE + "lab", "action": "read"}
    return {"@context": CONTEXT, "@type": "Set", "uid": BASE + "policy", "permission": [rule], **changes}


def with_rule(**changes: Any) -> dict[str, Any]:
    """The same with another rule."""
    return policy(permission=[{**policy()["permission"][0], **changes}])


def parsed(value: Any) -> Graph:
    return read_graph(json.dumps(value).encode(), Syntax.JSON_LD, where="policy.jsonld")


def test_json_ld_and_turtle_of_a_policy_mean_the_same() -> None:
    from_json, from_turtle = read_policies(parsed(policy())), read_policies(graph(permission()))
    one, other = from_json[0].rules[0], from_turtle[0].rules[0]
    assert (one.kind, one.actions, one.targets, one.assignees) == (
        other.kind,
        other.actions,
        other.targets,
        other.assignees,
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (with_rule(constraints=[{"leftOperand": "count"}]), "did you mean 'constraint'"),
        (with_rule(action="raed"), "did you mean 'read'"),
        (with_rule(target="samples"), "relative name"),
        (with_rule(constraint=None), "null"),
        (with_rule(constraint=[{"leftOperand": "purpose", "operator": "equals", "rightOperand": 1}]), "no term"),
        (with_rule(**{"@reverse": {}}), "@reverse"),
        (with_rule(**{"@index": "a"}), "@index"),
        (policy(**{"@context": "https://elsewhere.example/context.jsonld"}), "nothing is fetched"),
        (policy(**{"@context": [CONTEXT, "https://elsewhere.example/context.jsonld"]}), "nothing is fetched"),
        (policy(**{"@context": [CONTEXT, {"@vocab": BASE}]}), "@vocab"),
        (policy(**{"@context": [CONTEXT, {"@base": BASE}]}), "@base"),
        (policy(**{"@context": [CONTEXT, {"constraint": BASE + "ignored"}]}), "another meaning"),
        (policy(**{"@context": [CONTEXT, {"note": None}]}), "not read"),
        (policy(**{"@context": [CONTEXT, {"note": {"@reverse": BASE + "x"}}]}), "not read"),
        (policy(**{"@context": 5}), "neither an address nor an object"),
        (with_rule(**{"@context": "https://elsewhere.example/inner.jsonld"}), "nothing is fetched"),
        ({key: item for key, item in policy().items() if key != "@context"}, "no @context"),
        ("a policy", "no object"),
        ([policy(), None], "null"),
    ],
)
def test_json_ld_that_would_lose_or_fetch_something_is_refused(value: Any, said: str) -> None:
    with pytest.raises(PolicyLoadError, match=said):
        read_policies(parsed(value))


@pytest.mark.parametrize(
    "text",
    ['{"@context": "x", "@context": "y"}', "{", '{"a": NaN}', "[" * 100 + "]" * 100, "\udcff"],
)
def test_json_is_read_strictly(text: str) -> None:
    with pytest.raises(PolicyLoadError):
        read_graph(text.encode("utf-8", "surrogateescape"), Syntax.JSON_LD)


def test_prefixes_and_lists_of_ones_own_are_read() -> None:
    value = with_rule(
        **{"@context": {"ex": BASE}},
        constraint={
            "and": {
                "@list": [
                    {
                        "leftOperand": "purpose",
                        "operator": "isAnyOf",
                        "rightOperand": {"@list": [{"@id": "ex:a"}, {"@id": "ex:b"}]},
                    }
                ]
            }
        },
    )
    condition = read_policies(parsed(value))[0].rules[0].constraints[0]
    (comparison,) = condition.parts  # type: ignore[union-attr]
    assert [node.value for node in comparison.rights] == [BASE + "a", BASE + "b"]  # type: ignore[union-attr]


def test_words_a_context_leaves_out_mean_what_odrl_means() -> None:
    # The drafts' own examples name the address of the ODRL context as the namespace of a prefix.
    value = {
        "@context": {"odrl": CONTEXT, "odrl-fs": "https://w3id.org/odrl-fs#"},
        "@type": "odrl-fs:EvaluationRequest",
        "@id": BASE + "request",
        "action": "odrl:read",
        "assignee": {"@id": BASE + "lab"},
        "target": BASE + "samples",
    }
    request = read_request(parsed(value))
    world = read_world(graph(saying()))
    assert evaluate(read_policies(parsed(policy())), world, request).effect == "permit"


def test_a_request_in_the_words_of_the_draft_is_read() -> None:
    address = (
        "https://raw.githubusercontent.com/w3c/odrl/refs/heads/master/formal-semantics/ontology/evaluation_request.json"
    )
    value = {
        "@context": [CONTEXT, address],
        "@type": "EvaluationRequest",
        "@id": BASE + "request",
        "evaluatedAction": "odrl:read",
        "evaluatedParty": BASE + "lab",
        "evaluatedTarget": BASE + "samples",
        "requestParameters": {
            "@type": "RequestParameter",
            "value": {"@value": "2026-11-21T12:00:00", "@type": "xsd:dateTime"},
            "describesFeature": "sotw:CurrentXSDDateTime",
        },
    }
    request = read_request(parsed(value))
    assert (request.action, request.assignee, request.at.isoformat() if request.at else "") == (
        "http://www.w3.org/ns/odrl/2/read",
        BASE + "lab",
        "2026-11-21T12:00:00+00:00",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ex:a odrl:b", "not valid TURTLE"),
        ("<a> <b> <c> .", "not valid TURTLE"),
        ("ex:w a sotw:SotW ; sotw:currentTime 'noon' .", "no time"),
        ('ex:w a sotw:SotW ; sotw:currentTime "2026-01-01", "2027-01-01" .', "two current times"),
    ],
)
def test_turtle_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(PolicyLoadError, match=said):
        read_world(graph(text))


@pytest.mark.parametrize("text", ["( ex:a ", "ex:l rdf:first ex:a ; rdf:rest ex:l .", "ex:l rdf:first ex:a ."])
def test_a_broken_list_is_refused(text: str) -> None:
    rest = text if text.startswith("ex:l") else ""
    with pytest.raises(PolicyLoadError):
        read_policies(graph(permission("odrl:constraint [ odrl:and ex:l ]" if rest else text) + rest))


def test_size_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MAX_STATEMENTS", 3)
    with pytest.raises(PolicyLoadError, match="too many statements"):
        graph(permission())
    monkeypatch.setattr(graphs, "MAX_BYTES", 10)
    with pytest.raises(PolicyLoadError, match="bytes"):
        graph(permission())


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("a.ttl", Syntax.TURTLE),
        ("a.JSONLD", Syntax.JSON_LD),
        ("a.json", Syntax.JSON_LD),
        ("a.nq", Syntax.N_QUADS),
        ("a.trig", Syntax.TRIG),
    ],
)
def test_the_ending_of_a_name_tells_the_syntax(name: str, syntax: Syntax) -> None:
    assert syntax_of(name) is syntax


def test_another_ending_is_refused() -> None:
    with pytest.raises(PolicyLoadError, match="jsonld"):
        syntax_of("policy.docx")


def test_deep_nesting_is_refused() -> None:
    nested = "[ odrl:leftOperand ex:a ; odrl:operator odrl:eq ; odrl:rightOperand 1 ]"
    for _ in range(40):
        nested = f"[ odrl:and {nested} ]"
    with pytest.raises(PolicyLoadError, match="nested too deeply"):
        read_policies(graph(permission(f"odrl:constraint {nested}")))


def test_named_graphs_are_read_as_one() -> None:
    lines = "".join(
        f"<{BASE}p> <http://www.w3.org/ns/odrl/2/{name}> <{BASE}{value}> <{BASE}g> .\n"
        for name, value in (("permission", "r"), ("assigner", "registry"))
    )
    quads = lines + f"<{BASE}r> <http://www.w3.org/ns/odrl/2/action> <http://www.w3.org/ns/odrl/2/use> .\n"
    (read,) = read_policies(read_graph(quads.encode(), Syntax.N_QUADS))
    assert read.rules[0].assigners[0].iri == BASE + "registry"
    assert read_request(graph(asking())).iri == BASE + "request"
