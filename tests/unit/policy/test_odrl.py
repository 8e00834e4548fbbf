from __future__ import annotations

import copy
from typing import Any

import pyoxigraph
import pytest

from synthema.errors import PolicyLoadError
from synthema.policy import from_odrl, policy_digest, to_nquads, to_odrl, to_turtle, union_law
from synthema.policy.odrl import CONTEXT
from tests.unit.policy.sample import V, all_policies, template


def test_the_shape_is_odrl_in_our_profile() -> None:
    value = to_odrl(template("study-agreement"))
    assert value["@type"] == "Agreement"
    assert value["@context"] == CONTEXT
    assert value["conflict"] == "prohibit"
    assert value["profile"] == "https://w3id.org/synthema/ns#profile"
    duty = value["obligation"][0]
    assert duty["action"] == "http://www.w3.org/ns/odrl/2/inform"
    assert duty["syn:deadline"] == "P30D"
    constraint = value["permission"][0]["constraint"][0]["and"][2]
    assert constraint["rightOperand"] == {"@value": "6", "@type": "xsd:double"}
    assert to_odrl(union_law(V))["@type"] == "Set"


def test_all_shipped_policies_come_back_unchanged() -> None:
    for policy in [*all_policies(), template("synthetic-data-offer")]:
        assert from_odrl(to_odrl(policy), V) == policy


def _set(value: Any, path: str, new: Any) -> None:
    *head, last = path.split("/")
    for key in head:
        value = value[int(key) if key.isdigit() else key]
    if new is KeyError:
        del value[last]
    else:
        value[int(last) if last.isdigit() else last] = new


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("conflict", "perm", "conflict strategy 'perm'"),
        ("conflict", "odrl:invalid", "conflict strategy"),
        ("conflict", KeyError, "lacks 'conflict'"),
        ("profile", "urn:other", "not the one of this profile"),
        ("@context", [], "not the one of this profile"),
        ("@type", "Offer", "not the one of this profile"),
        ("extra", 1, "unknown keys: extra"),
        ("uid", 7, "not of the right type"),
        ("syn:layer", "L9", "'L9' is not supported"),
        ("permission/0/constraint/0/and/0/operator", "hasPart", "'hasPart' is not supported"),
        ("permission/0/constraint/0/and/0/operator", "term-lteq", "is not supported"),
        ("permission/0/constraint/0", {"andSequence": []}, "lacks 'leftOperand'"),
        ("permission/0/constraint/0/and/0/leftOperand", "urn:x", "'urn:x' is not a known operand"),
        ("permission/0/constraint/0/and/0/rightOperand", {"@value": "6", "@type": "xsd:double"}, "is not a term"),
        ("permission/0/constraint/0/and/2/rightOperand", {"@value": "NaN", "@type": "xsd:double"}, "is not a number"),
        (
            "permission/0/constraint/0/and/2/rightOperand",
            {"@value": "6", "@type": "xsd:float"},
            "data type 'xsd:float'",
        ),
        ("permission/0/constraint/0/and/2/unit", "kg", "not measured in 'kg'"),
        ("permission/0/action", ["urn:act"], "not a known action"),
        ("permission/0/refinement", [], "unknown keys: refinement"),
        ("permission/0/duty", ["x"], "something else than objects"),
        ("syn:ruleOrder", [], "does not list each rule once"),
        ("obligation/0/syn:triggeredBy", [], "names no action"),
        ("target", [], "no targets"),
        ("permission", "x", "not of the right type"),
    ],
)
def test_what_is_not_understood_is_refused(path: str, new: Any, message: str) -> None:
    value = copy.deepcopy(to_odrl(template("study-agreement")))
    _set(value, path, new)
    with pytest.raises(PolicyLoadError, match=message.replace("(", r"\(")):
        from_odrl(value, V)


def test_the_digest_follows_the_meaning() -> None:
    first, second = template("study-agreement"), template("study-agreement", epsilon=7)
    assert policy_digest(first) == policy_digest(template("study-agreement"))
    assert policy_digest(first) != policy_digest(second)


def test_rdf_holds_the_policy() -> None:
    policy = template("research-synthetic-data")
    store = pyoxigraph.Store()
    store.load(to_nquads(policy), format=pyoxigraph.RdfFormat.N_QUADS)
    answer = store.query(
        "PREFIX odrl: <http://www.w3.org/ns/odrl/2/>"
        " SELECT ?limit WHERE { GRAPH ?g { ?rule odrl:constraint/odrl:and ?c ."
        " ?c odrl:leftOperand <https://w3id.org/synthema/ns#epsilonRequested> ; odrl:rightOperand ?limit } }"
    )
    assert isinstance(answer, pyoxigraph.QuerySolutions)
    assert {row["limit"].value for row in answer} == {"6"}
    assert "odrl:conflict odrl:prohibit" in to_turtle(policy)
